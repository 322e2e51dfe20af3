"""Reading the payload that somebody presents: at one look or the long way, with a holder or without."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.errors import InvalidRequest, Refusal
from authsvc.payloads import payload
from authsvc.payloads.payload import AuthPayload
from authsvc.web import json_body, presented
from tests.support import made_up

JSON = "application/json"
RANDOM_STR = "made-up-random-string-01"
ISSUED = payload.issue(
    appkey=made_up.APPKEY, master_secret=made_up.MASTER_SECRET, random_str=RANDOM_STR, now_ms=1_750_000_000_000
).to_dict()
WRITTEN = json.dumps(ISSUED).encode()
ODD = st.sampled_from(
    ["", " ", "a\\", 'a"', "\n", "\x7f", "é", "极", "٣" * 13, "1" * 13, "x" * 128, "x" * 129, "-_" * 18]
)
Read = tuple[AuthPayload, str | None] | tuple[type[Refusal], str]


def read_as_any(text: bytes) -> Read:
    try:
        fields = json_body.read(text, content_type=JSON, fields=presented.FIELDS, may_be_empty=False)
        return presented.read(fields)
    except Refusal as refusal:
        return type(refusal), refusal.detail


def read_json(text: bytes) -> Read:
    try:
        return presented.read_json(text, content_type=JSON)
    except Refusal as refusal:
        return type(refusal), refusal.detail


@pytest.mark.parametrize("holder", [{}, {"holder": "connection-1"}])
def test_read(holder: dict[str, str]) -> None:
    """A holder may come with the four fields, and is none of them."""
    fields = ISSUED | holder
    before = dict(fields)
    assert presented.read(fields) == (payload.parse(ISSUED), holder.get("holder"))
    assert fields == before
    with pytest.raises(InvalidRequest, match=r"^holder: must be a string"):
        presented.read(fields | {"holder": 1})


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",", " : ")])
@pytest.mark.parametrize("holder", [None, "connection-1", 'quoted"'])
def test_a_body_is_read(separators: tuple[str, str], holder: str | None) -> None:
    """However its JSON is written, a payload as it was issued comes back, and its holder."""
    fields = ISSUED if holder is None else {**ISSUED, "holder": holder}
    found, held = presented.read_json(json.dumps(fields, separators=separators).encode(), content_type=JSON)
    assert found.to_dict() == ISSUED
    assert held == holder


@given(
    changes=st.dictionaries(st.sampled_from([*ISSUED, "holder"]), ODD | st.text(max_size=3), max_size=2),
    is_ascii=st.booleans(),
    cut=st.integers(0, len(WRITTEN)) | st.just(len(WRITTEN) + 99),
    put=st.sampled_from([b"", b'"', b"\\", b" ", b"}", b"{", b",", b"\x00", b"\xff", b"9", b"x"]),
)
@example(changes={}, is_ascii=True, cut=len(WRITTEN), put=b"")
@example(changes={}, is_ascii=True, cut=len(WRITTEN), put=b" ")
@example(changes={"holder": "x"}, is_ascii=True, cut=len(WRITTEN) + 99, put=b"")
def test_as_issued_is_read_as_any(changes: dict[str, str], cut: int, put: bytes, *, is_ascii: bool) -> None:
    """What is read at one look is read as all else is, to the refusal and its words."""
    text = json.dumps({**ISSUED, **changes}, ensure_ascii=is_ascii).encode(errors="replace")
    text = text[:cut] + put + text[cut + 1 :]
    assert read_json(text) == read_as_any(text)


def test_no_body_is_read_as_any() -> None:
    """A body of nothing is no payload of nothing."""
    assert read_json(b"") == read_as_any(b"")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_payload_of_another_type_rejected(content_type: str) -> None:
    """A form of another site can send this text, so a payload as it was issued needs the type, too."""
    with pytest.raises(InvalidRequest, match=r"^body: must be JSON, with Content-Type: application/json$"):
        presented.read_json(WRITTEN, content_type=content_type)
