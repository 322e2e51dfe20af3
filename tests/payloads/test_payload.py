"""The rules of a payload: its shape, its signature, its time."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import BadSignature, Expired, InvalidRandomStr, InvalidRequest, NotYetValid
from authsvc.payloads import payload
from authsvc.payloads.payload import AuthPayload

SECRET = "made-up-secret"
NOW_MS = 1_700_000_000_000
RANDOM_STRS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", min_size=20, max_size=36)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def issued(now_ms: int = NOW_MS, random_str: str = "r" * 32) -> AuthPayload:
    return payload.issue(appkey="a" * 24, master_secret=SECRET, random_str=random_str, now_ms=now_ms)


@given(st.integers(10**12, 10**13 - 1), RANDOM_STRS)
def test_what_is_issued_parses_and_verifies(now_ms: int, random_str: str) -> None:
    """A payload goes out as four strings and comes back the same, signed and of this moment."""
    out = issued(now_ms, random_str)
    assert list(out.to_dict()) == ["appkey", "random_str", "signature", "timestamp"]
    assert all(isinstance(value, str) for value in out.to_dict().values())
    back = payload.parse(json.loads(json.dumps(out.to_dict())))
    assert back == out
    payload.check_signature(back, [SECRET])
    payload.check_time(back, now_ms)
    assert back.expires_at_ms == now_ms + 600_000


def test_a_payload_does_not_show_its_signature() -> None:
    """The repr of one may land in a log."""
    assert issued().signature not in repr(issued())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"random_str": "q" * 32}, "random_str"),
        ({"timestamp": str(NOW_MS + 1)}, "timestamp"),
        ({"appkey": "b"}, "appkey"),
    ],
)
def test_a_changed_field_breaks_the_signature(change: dict[str, str], name: str) -> None:
    """The signature covers each of the other three, and the refusal does not contain it."""
    changed = payload.parse(issued().to_dict() | change)
    with pytest.raises(BadSignature) as refusal:
        payload.check_signature(changed, [SECRET])
    expected = payload.issue(
        appkey=changed.appkey, master_secret=SECRET, random_str=changed.random_str, now_ms=changed.timestamp_ms
    ).signature
    assert expected not in refusal.value.detail
    assert SECRET not in refusal.value.detail
    assert name in change


@pytest.mark.parametrize("secrets", [[SECRET], ["another", SECRET], [SECRET, "another"]])
def test_any_of_the_secrets_may_have_signed(secrets: list[str]) -> None:
    """Rotation: each is tried."""
    payload.check_signature(issued(), secrets)


@pytest.mark.parametrize("secrets", [[], ["another"]])
def test_no_other_secret_will_do(secrets: list[str]) -> None:
    """Without the one that signed, the signature is bad."""
    with pytest.raises(BadSignature):
        payload.check_signature(issued(), secrets)


@given(st.integers(-(10**13), 10**13))
def test_the_window_is_exact(age_ms: int) -> None:
    """Accepted exactly while -30 000 <= age < 600 000 ms."""
    out = issued()
    if -30_000 <= age_ms < 600_000:
        payload.check_time(out, NOW_MS + age_ms)
    else:
        with pytest.raises(Expired if age_ms > 0 else NotYetValid):
            payload.check_time(out, NOW_MS + age_ms)


@pytest.mark.parametrize(
    ("age_ms", "refusal"),
    [(-30_001, NotYetValid), (-30_000, None), (-29_999, None), (599_999, None), (600_000, Expired), (600_001, Expired)],
)
def test_the_boundaries_of_time(age_ms: int, refusal: type[Exception] | None) -> None:
    """One millisecond below, at and above each bound."""
    if refusal is None:
        payload.check_time(issued(), NOW_MS + age_ms)
    else:
        with pytest.raises(refusal):
            payload.check_time(issued(), NOW_MS + age_ms)


@given(st.text(max_size=40))
def test_the_rule_of_random_str(random_str: str) -> None:
    """20 to 36 of A-Z a-z 0-9 _ - and nothing else."""
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    if 20 <= len(random_str) <= 36 and set(random_str) <= allowed:
        payload.check_random_str(random_str)
    else:
        with pytest.raises(InvalidRandomStr, match="random_str"):
            payload.check_random_str(random_str)


@given(
    st.dictionaries(st.sampled_from(payload.FIELDS) | st.text(max_size=5), JSON, max_size=5)
    | st.fixed_dictionaries(dict.fromkeys(payload.FIELDS, JSON))
)
def test_any_object_parses_or_is_refused(fields: dict[str, Any]) -> None:
    """No JSON object makes `parse` fail in another way."""
    with suppress(InvalidRequest, InvalidRandomStr):
        assert payload.parse(fields).to_dict().keys() == fields.keys()


_DIGITS = st.text("0123456789", min_size=12, max_size=14)
_NEARLY_GOOD = {
    "appkey": st.just("a" * 24) | JSON,
    "random_str": st.text("aZ09_-", min_size=19, max_size=37) | st.just("٣" * 20) | st.just("r" * 20 + "\n") | JSON,
    "signature": st.text("0123456789abcdefABCDEF", min_size=31, max_size=33)
    | st.just("٣" * 32)
    | st.just("g" * 32)
    | JSON,
    "timestamp": _DIGITS | _DIGITS.map(int) | st.just("١" * 13) | st.just("1" * 13 + "\n") | st.just(1.7e12) | JSON,
}


@given(st.fixed_dictionaries(_NEARLY_GOOD) | st.fixed_dictionaries({}, optional=_NEARLY_GOOD | {"more": JSON}))
def test_the_rule_of_a_payload(fields: dict[str, Any]) -> None:
    """Parsed exactly if an independent statement of the rules accepts it, and then unmodified."""
    texts = {name: value for name, value in fields.items() if isinstance(value, str) and value.isascii()}
    stamp = fields.get("timestamp")
    is_good = (
        set(fields) == {"appkey", "random_str", "signature", "timestamp"}
        and isinstance(fields["appkey"], str)
        and 20 <= len(texts.get("random_str", "")) <= 36
        and not set(texts["random_str"]) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
        and len(texts.get("signature", "")) == 32
        and not set(texts["signature"]) - set("0123456789abcdefABCDEF")
        and type(stamp) in (int, str)
        and str(stamp).isascii()
        and str(stamp).isdigit()
        and len(str(stamp)) == 13
        and str(stamp)[0] != "0"
    )
    if is_good:
        assert payload.parse(fields).to_dict() == fields | {"timestamp": str(stamp)}
    else:
        with pytest.raises((InvalidRequest, InvalidRandomStr)):
            payload.parse(fields)


@pytest.mark.parametrize("timestamp", [1_700_000_000, "1700000000"])
def test_seconds_are_named(timestamp: object) -> None:
    """The most common mistake has its own message."""
    with pytest.raises(InvalidRequest, match=r"timestamp: is in seconds \(10 digits\)"):
        payload.parse(issued().to_dict() | {"timestamp": timestamp})


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"timestamp": None}, "timestamp: must be a string or a whole number"),
        ({"timestamp": True}, "timestamp: must be a string or a whole number"),
        ({"timestamp": 1.7e12}, "timestamp: must be a string or a whole number"),
        ({"timestamp": ...}, "timestamp: is missing"),
        ({"timestamp": "0700000000000"}, "timestamp: must be Unix milliseconds, 13 digits"),
        ({"timestamp": -NOW_MS}, "timestamp: must be Unix milliseconds, 13 digits"),
        ({"timestamp": 10**5000}, "timestamp: must be Unix milliseconds, 13 digits"),
        ({"timestamp": -(10**5000)}, "timestamp: must be Unix milliseconds, 13 digits"),
        (
            {"timestamp": 1_700_000_000},
            "timestamp: is in seconds (10 digits); it must be in milliseconds (13 digits)",
        ),
        ({"signature": 5}, "signature: must be a string"),
        ({"signature": ...}, "signature: is missing"),
        ({"signature": "x" * 32}, "signature: must be 32 hexadecimal characters"),
        ({"random_str": 5}, "random_str: must be a string"),
        ({"random_str": ...}, "random_str: is missing"),
        ({"random_str": "r" * 19}, "random_str: must be 20 to 36 characters long, this one has 19"),
        ({"random_str": "r" * 31 + "="}, "random_str: may contain only A-Z a-z 0-9 _ -"),
        ({"appkey": 5}, "appkey: must be a string"),
        ({"appkey": ...}, "appkey: is missing"),
        ({"user": "eve"}, "user: is not a field of an auth payload"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_names_field_and_rule(changes: dict[str, Any], detail: str) -> None:
    """In these words, which callers show to who has to mend it; a number of any size is refused, not converted."""
    fields = {name: value for name, value in (issued().to_dict() | changes).items() if value is not ...}
    with pytest.raises((InvalidRequest, InvalidRandomStr)) as refusal:
        payload.parse(fields)
    assert refusal.value.detail == detail


@pytest.mark.parametrize(
    ("age_ms", "detail"),
    [
        (600_000, "timestamp: the payload is 600000 ms old and expires after 600000 ms"),
        (-30_001, "timestamp: is 30001 ms in the future; at most 30000 ms are allowed"),
    ],
)
def test_a_refusal_names_the_time_difference(age_ms: int, detail: str) -> None:
    """With both numbers, so that a clock that is wrong shows."""
    with pytest.raises((Expired, NotYetValid)) as refusal:
        payload.check_time(issued(), NOW_MS + age_ms)
    assert refusal.value.detail == detail


def test_a_random_str_has_the_clients_name() -> None:
    """jchat-web calls it otherwise."""
    for text, rule in (
        ("r" * 37, "must be 20 to 36 characters long, this one has 37"),
        ("r" * 30 + "&", "may contain"),
    ):
        with pytest.raises(InvalidRandomStr, match=f"^randomStr: {rule}"):
            payload.check_random_str(text, name="randomStr")
