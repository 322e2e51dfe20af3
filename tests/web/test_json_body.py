"""Tests of `json_body`: whatever bytes come in, a dictionary of known fields or one refusal comes out."""

import json
from contextlib import suppress

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.errors import InvalidRequest
from authsvc.web import json_body

FIELDS = {"appkey", "random_str"}
JSON = "application/json"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*FIELDS, "", "\ud800"]) | st.text(), inner),
    max_leaves=8,
)


def read(data: bytes, content_type: str = JSON, *, may_be_empty: bool = True) -> dict[str, object]:
    return dict(json_body.read(data, content_type=content_type, fields=FIELDS, may_be_empty=may_be_empty))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}", {}),
        (b' {"appkey" : "a"} \r\n', {"appkey": "a"}),
        (b'{"appkey":"\xe6\x9e\x81"}', {"appkey": "极"}),
        (b'{"appkey":"\\u0061\\n"}', {"appkey": "a\n"}),
        (b'{"appkey":null,"random_str":[{}]}', {"appkey": None, "random_str": [{}]}),
        (b'{"appkey":{"any":1,"name":2}}', {"appkey": {"any": 1, "name": 2}}),
        (b'{"appkey":' + b"9" * 4000 + b"}", {"appkey": int("9" * 4000)}),
    ],
)
def test_reads_an_object_of_known_fields(data: bytes, expected: dict[str, object]) -> None:
    """A JSON object comes back as it is; types of values and names further down are not this reader's business."""
    assert read(data) == expected


@pytest.mark.parametrize("content_type", ["", JSON, "text/plain"])
def test_nothing_is_an_empty_object_where_that_is_allowed(content_type: str) -> None:
    """Without a body the content type does not matter; a page that only wants the defaults sends none."""
    assert read(b"", content_type) == {}


def test_nothing_is_refused_where_fields_are_needed() -> None:
    """An empty body is not JSON."""
    with pytest.raises(InvalidRequest, match=r"^body: is not JSON$"):
        read(b"", may_be_empty=False)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json-seq",
        "application/problem+json",
        "application/x-ndjson",
    ],
)
@pytest.mark.parametrize("may_be_empty", [True, False])
def test_only_application_json_is_read(content_type: str, *, may_be_empty: bool) -> None:
    """A body of any other type is refused, so that no HTML form can post one across sites without a preflight."""
    rule = "must be empty, or JSON with" if may_be_empty else "must be JSON, with"
    with pytest.raises(InvalidRequest, match=f"^body: {rule} Content-Type: application/json$"):
        read(b"{}", content_type, may_be_empty=may_be_empty)


@pytest.mark.parametrize(
    "data",
    [
        b" ",
        b"appkey=a",
        b"{'appkey': 'a'}",
        b'{"appkey":"a",}',
        b'{"appkey":"a"}{}',
        b'{"appkey":"a"} // comment',
        b'{"appkey":"a\n"}',
        b'{"appkey":NaN}',
        b'{"appkey":Infinity}',
        b'{"appkey":-Infinity}',
        b'{"appkey":01}',
        b'{"appkey":"\xff"}',
        b'{"appkey":"\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"appkey":"a"}',
        '{"appkey":"a"}'.encode("utf-16"),
        '{"appkey":"a"}'.encode("utf-16-le"),
        '{"appkey":"a"}'.encode("utf-32"),
        b'{"appkey":"a"}\x00',
        b'{"appkey":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"appkey":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    """Python's dialect of JSON, other encodings, nesting too deep and numbers too long are all just not JSON."""
    with pytest.raises(InvalidRequest, match=r"^body: is not JSON$"):
        read(data)


@pytest.mark.parametrize("data", [b"null", b" null\n"])
def test_null_is_nothing(data: bytes) -> None:
    """Libraries write it for a body that was left out; where fields are needed it is refused as any other value."""
    assert read(data) == {}
    with pytest.raises(InvalidRequest, match=r"^body: must be a JSON object$"):
        read(data, may_be_empty=False)


@pytest.mark.parametrize("data", [b"true", b"1", b'"appkey"', b"[]", b'[{"appkey":"a"}]', b"1e999"])
def test_what_is_not_an_object_is_refused(data: bytes) -> None:
    """Fields can only be in an object."""
    with pytest.raises(InvalidRequest, match=r"^body: must be a JSON object$"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"appkey":"a","appkey":"a"}',
        b'{"appkey":"a","\\u0061ppkey":"b"}',
        b'{"appkey":{"x":1,"x":2}}',
        b'{"x":1,"x":2}',
    ],
)
def test_a_name_twice_is_refused(data: bytes) -> None:
    """Of two fields with one name, a reader on the way may have checked the other; at any depth, however spelt."""
    with pytest.raises(InvalidRequest, match=r"^body: has the same name twice in one object$"):
        read(data)


@pytest.mark.parametrize("name", ["timestamp", "user_id", "signature", "Appkey", "appkey ", "", "\x00", "x" * 65])
def test_an_unknown_name_is_refused(name: str) -> None:
    """The refusal has the name, cut, and the known names."""
    with pytest.raises(InvalidRequest) as refused:
        read(json.dumps({"appkey": "a", name: "x"}).encode())
    assert refused.value.detail == f"{name[:64]}: is not a known field; known fields: appkey, random_str"


@pytest.mark.parametrize("data", [b'{"appkey":"\\ud800"}', b'{"\\ud800x":1}', b'{"appkey":[{"\\uDFFF\\ud800":1}]}'])
def test_half_a_surrogate_pair_is_refused(data: bytes) -> None:
    """JSON can spell it and UTF-8 cannot: it made the line of the log, and with it the answer, a fault of ours."""
    with pytest.raises(InvalidRequest, match=r"^body: contains an unpaired surrogate, which is not valid text$"):
        read(data)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    """As JSON spells what is beyond the first 65 536 in ASCII."""
    assert read(b'{"appkey":"\\ud83d\\ude00"}') == {"appkey": "\U0001f600"}


@given(data=st.binary() | st.text().map(str.encode) | json_values.map(lambda value: json.dumps(value).encode()))
@example(data=b'{"appkey":"\\udfff"}')
def test_any_bytes_give_known_fields_or_a_refusal(data: bytes) -> None:
    """Nothing but InvalidRequest is ever raised, its text is text, and what comes back has only known names."""
    try:
        fields = read(data)
    except InvalidRequest as refused:
        refused.detail.encode()
    else:
        assert fields.keys() <= FIELDS


@given(
    st.lists(
        st.sampled_from(
            [
                "{", "}", "[", "]", ":", ",", '"appkey"', '"random_str"', '"', "\\", "\\u", "d83d", "\\ude00",
                "\\ud800", "null", "true", "NaN", "-", "0", "1", ".5", "e9", "E+", " ", "\n", "\t", "\x0c", "\u00a0",
                "\ufeff", "//", "'", "é", "\0", '{"appkey":', '{"appkey":"a"', '{"random_str":1',
            ]
        ),
        max_size=10,
    ).map("".join)
)  # fmt: skip
def test_what_is_read_is_json_to_others_too(text: str) -> None:
    """A second reader, which is stricter than Python's own, reads the same in all that is accepted."""
    with suppress(InvalidRequest):
        assert read(text.encode(), may_be_empty=False) == orjson.loads(text)


@given(fields=st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text()))
def test_reads_back_what_was_written(fields: dict[str, str]) -> None:
    """Every object of known text fields comes back the same, whichever way it was escaped."""
    assert read(json.dumps(fields).encode()) == fields
    assert read(json.dumps(fields, ensure_ascii=False).encode()) == fields


def test_a_text_field_is_its_text_or_absent() -> None:
    """An absent field is None, an empty one is not."""
    assert json_body.text({"appkey": ""}, "appkey") == ""
    assert json_body.text({"appkey": "a"}, "random_str") is None


@pytest.mark.parametrize("value", [None, False, 0, 1.5, [], ["a"], {}])
def test_a_text_field_of_another_type_is_refused(value: object) -> None:
    """Null is a type too: a client that means nothing leaves the field out."""
    with pytest.raises(InvalidRequest, match=r"^appkey: must be a string$"):
        json_body.text({"appkey": value}, "appkey")
