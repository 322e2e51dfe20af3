"""The rules of a media_id and of the URL that the vendor returns for it."""

import re
from urllib.parse import unquote_plus

import pytest
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.errors import InvalidMediaId
from authsvc.vendor.media_url import check_media_id, expires_at_ms, is_allowed

HOSTS = ("*.im.jiguang.cn", "media.file.jpush.cn")
ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-")


@pytest.mark.parametrize(
    "media_id",
    [
        "qiniu/image/CE0ACD035CBF71F8",
        "qiniu/image/j/FB564290B56CBD0BD13215386055D424.png",
        "/avatar",
        "a",
        ".",
        "x" * 255,
    ],
)
def test_a_media_id_of_the_vendors_shapes_passes(media_id: str) -> None:
    """The shapes that the vendor uses, its own odd one with a leading slash among them."""
    check_media_id(media_id)


@pytest.mark.parametrize(
    "media_id",
    [
        "",
        "/",
        "//avatar",
        "//evil.example/x",
        "a/../b",
        "..",
        "a%2e%2e/b",
        "a b",
        "a\r\nHost: evil",
        "a\0",
        "user@evil.example",
        "http://evil.example/",
        "a?b",
        "a#b",
        "a&mediaId=b",
        "a\\b",
        "．．/a",
        "qiniu/图",
        "a\n",
        "x" * 256,
        "/" + "x" * 255,
        "x" * 8192,
    ],
)
def test_anything_else_is_no_media_id(media_id: str) -> None:
    """What could lead the vendor's API, or ours, elsewhere is refused."""
    with pytest.raises(InvalidMediaId, match="media_id: must be 1 to 255"):
        check_media_id(media_id)


@given(st.text(max_size=300))
def test_the_rule_is_the_contracts(media_id: str) -> None:
    """Accepted exactly if it fits an independent statement of the rule."""
    fits = (
        1 <= len(media_id) <= 255
        and set(media_id) <= ALLOWED
        and ".." not in media_id
        and not media_id.startswith("//")
        and media_id != "/"
    )
    if fits:
        check_media_id(media_id)
    else:
        with pytest.raises(InvalidMediaId):
            check_media_id(media_id)


@pytest.mark.parametrize(
    "url",
    [
        "http://dl.im.jiguang.cn/qiniu/image/x?e=1517798242&token=a:b=",
        "https://FMEDIA.im.jiguang.cn/x",
        "http://media.file.jpush.cn/x",
        "http://dl.im.jiguang.cn:8080/x",
    ],
)
def test_urls_on_the_vendors_hosts_are_allowed(url: str) -> None:
    """Both schemes, any case of the host, any port."""
    assert is_allowed(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://dl.im.jiguang.cn/x",
        "//dl.im.jiguang.cn/x",
        "javascript:alert(1)",
        "http://a.im.jiguang.cn.evil.com/x",
        "http://im.jiguang.cn/x",
        "http://a.b.im.jiguang.cn/x",
        "http://evilim.jiguang.cn/x",
        "http://dl.im.jiguang.cn@evil.example/x",
        "http://im.jiguang.cn@evil/x",
        "http://user:pw@dl.im.jiguang.cn/x",
        "http://evil.example/dl.im.jiguang.cn",
        "http://evil.example\\@dl.im.jiguang.cn/x",
        "http://10.0.0.1/x",
        "http://[::1]/x",
        "http://[dl.im.jiguang.cn/x",
        "http://dl.im.jiguang.cn:port/x",
        "http://dl.im.jiguang.cn/x y",
        "http://dl.im.jiguang.cn/x\r\nSet-Cookie: a",
        "http://dl。im。jiguang。cn/x",
        "http://.im.jiguang.cn/x",
        "http://evil%2f.im.jiguang.cn/x",
        "http://a%2eb.im.jiguang.cn/x",
        "http://localhost;.im.jiguang.cn/x",
        "http://a^b.im.jiguang.cn/x",
        "http:///x",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """Hosts are compared label by label; tricks with suffixes, users, ports and characters come to nothing."""
    assert not is_allowed(url, HOSTS)


LABEL, PORT = "[a-z0-9_-]+", "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4}"
PLAIN_URL = re.compile(
    rf"https?://(?i:{LABEL}\.im\.jiguang\.cn|media\.file\.jpush\.cn)(:0*({PORT})?)?([/?#][!-\[\]-~]*)?",
    re.ASCII,
)
PIECES = st.sampled_from(
    [
        "http://", "https://", "HTTPS://", "ftp://", "//", "/", "\\", "?", "#", "@", ":", ":80", ":65535", ":65536",
        ":x", ":٣", "dl.im.jiguang.cn", "DL.im.jiguang.cn", ".im.jiguang.cn", "im.jiguang.cn", "media.file.jpush.cn",
        "evil.example", "127.0.0.1", "[::1]", "[", "]", "user", ".", "..", "*", "%2e", "%2f", "%40", "%00",
        ",", ";", "。", "Ｄ", "ſ", "\t", "\r\n", " ", "\0", "x", "-", "_", "e=1517798242", "&",
    ]
)  # fmt: skip
URLS = st.tuples(
    st.sampled_from(["http://", "https://"]),
    st.sampled_from(["dl.im.jiguang.cn", "media.file.jpush.cn", ""]),
    st.lists(PIECES, max_size=5),
).map(lambda parts: parts[0] + "".join(parts[2][:1]) * (len(parts[2]) % 2) + parts[1] + "".join(parts[2]))


@given(URLS | st.lists(PIECES, max_size=8).map("".join) | st.text())
@example("https://dl.im.jiguang.cn:065535/x")
def test_the_rule_of_urls(url: str) -> None:
    """Allowed exactly if a plain grammar accepts it with its host; and an HTTP client reads the same host."""
    assert is_allowed(url, HOSTS) == bool(PLAIN_URL.fullmatch(url)), url
    if is_allowed(url, HOSTS):
        read = urllib3.util.parse_url(url)
        assert read.auth is None
        assert read.host is not None
        assert read.host == "media.file.jpush.cn" or re.fullmatch(rf"{LABEL}\.im\.jiguang\.cn", read.host)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["e", "E", "Expires", "expires", "x", "%65", ""]),
            st.sampled_from(["=", "", "=="]),
            st.sampled_from(["1517798242", "%31517798242", "+1517798242", "0", "-1", "١٥١٧٧٩٨٢٤٢", ""])
            | st.text(max_size=12),
        ).map("".join)
    ).map("&".join)
)
def test_the_rule_of_expiry(query: str) -> None:
    """It is a second that one of the parameters names, in milliseconds, or none; nothing is ever raised."""
    found = expires_at_ms(f"https://dl.im.jiguang.cn/x?{query}")
    named = re.findall(
        r"(?:^|&)(?:e|Expires|expires)=([1-9][0-9]{8,10})(?=&|$)", unquote_plus(query.partition("#")[0]), re.ASCII
    )
    assert found is None or found in [int(second) * 1000 for second in named]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?e=1517798242&token=a:b", 1517798242000),
        ("?Expires=1517798242", 1517798242000),
        ("?expires=1517798242", 1517798242000),
        ("?e=1&e=1517798242", 1517798242000),
        ("?e=soon&Expires=1517798242", 1517798242000),
        ("", None),
        ("?e=", None),
        ("?e=-1517798242", None),
        ("?e=1517798242.5", None),
        ("?e=1517798242000", None),
        ("?e=١٥١٧٧٩٨٢٤٢", None),
        ("?x=1517798242", None),
    ],
)
def test_the_expiry_is_read_from_the_url(query: str, expected: int | None) -> None:
    """Unix seconds in `e`, or under the names that other stores use; what makes no sense counts as none."""
    assert expires_at_ms(f"http://dl.im.jiguang.cn/x{query}") == expected
