"""The vendor's signature."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.payloads.signature import is_digest, is_valid, sign

FIELDS = {"appkey": "a" * 24, "timestamp_ms": 1_700_000_000_000, "random_str": "r" * 32, "master_secret": "s" * 24}


@given(st.text(max_size=30), st.integers(), st.text(max_size=40), st.text(max_size=30))
def test_the_sign_string_is_the_vendors(appkey: str, timestamp_ms: int, random_str: str, master_secret: str) -> None:
    """The MD5 of the four fields in the vendor's order, in UTF-8; whatever is signed is valid in both cases."""
    fields = {"random_str": random_str, "master_secret": master_secret, "appkey": appkey, "timestamp_ms": timestamp_ms}
    expected = hashlib.md5(
        b"appkey=" + appkey.encode() + b"&timestamp=%d" % timestamp_ms
        + b"&random_str=" + random_str.encode() + b"&key=" + master_secret.encode(),
        usedforsecurity=False,
    ).hexdigest()  # fmt: skip
    assert sign(**fields) == expected  # type: ignore[arg-type] # fields of several types
    assert is_valid(expected.upper(), **fields)  # type: ignore[arg-type] # the same


@pytest.mark.parametrize("changed", FIELDS)
def test_every_field_is_signed(changed: str) -> None:
    """A signature is good for its fields alone."""
    other = FIELDS | {changed: FIELDS[changed] + 1 if changed == "timestamp_ms" else f"{FIELDS[changed]}x"}  # type: ignore[operator] # the one integer
    assert is_valid(sign(**FIELDS), **FIELDS)  # type: ignore[arg-type] # fields of several types
    assert not is_valid(sign(**FIELDS), **other)  # type: ignore[arg-type] # the same


@given(st.text(max_size=40))
def test_a_digest_is_32_hexadecimal_characters(text: str) -> None:
    """Any text but that is no digest, and no signature."""
    is_one = len(text) == 32 and set(text) <= set("0123456789abcdefABCDEF")
    assert is_digest(text) is is_one
    assert not is_valid(text, **FIELDS)  # type: ignore[arg-type] # fields of several types


@pytest.mark.parametrize("digest", ["0" * 32, "aF" * 16])
def test_digests_of_either_case(digest: str) -> None:
    """Both cases have the shape of one."""
    assert is_digest(digest)
