"""The sandbox's files and their URLs."""

import io
import itertools
import zlib

import imagesize
import pytest

from authsvc.sandbox.files import KEPT, PICTURE_ID, Files, picture
from authsvc.sandbox.state import Storage

BASE = "http://127.0.0.1:8100"
NOW_S = 1_750_000_000
NUMBERS = itertools.count(1)


def test_there_is_a_picture_from_the_start() -> None:
    """A page has something to show before anybody has uploaded anything."""
    file = Files(Storage(), {}).get(f"/{PICTURE_ID}")
    assert file is not None
    assert imagesize.get(io.BytesIO(file.content)) == (240, 240)
    assert picture() == file.content


def test_an_image() -> None:
    """The vendor tells its size and format, and an id that ends in it."""
    files = Files(Storage(), {})
    content = picture(16)
    told = files.add("image", "photo.png", content, number=next(NUMBERS))
    media_id = str(told["media_id"])
    assert media_id.startswith("qiniu/image/r/")
    assert media_id.endswith(".png")
    assert {"width": 16, "height": 16, "format": "png", "fsize": len(content)}.items() <= told.items()
    assert told["media_crc32"] == zlib.crc32(content)
    file = files.get(media_id)
    assert file is not None
    assert file.content == content


def test_other_files() -> None:
    """A file has its name, a voice has none; neither has to be a picture."""
    files = Files(Storage(), {})
    assert files.add("file", "小抄.txt", b"text", number=next(NUMBERS))["fname"] == "小抄.txt"
    assert "fname" not in files.add("voice", "a.amr", b"sound", number=next(NUMBERS))


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG, or so it says", b"<svg/>"])
def test_no_image(content: bytes) -> None:
    """What is no picture is refused as one."""
    with pytest.raises(ValueError, match="type: image takes jpg, png, gif and bmp"):
        Files(Storage(), {}).add("image", "photo.png", content, number=next(NUMBERS))


def test_the_oldest_make_room() -> None:
    """The memory is bounded."""
    files = Files(Storage(), {})
    ids = [str(files.add("file", str(number), b"", number=next(NUMBERS))["media_id"]) for number in range(KEPT)]
    assert files.get(PICTURE_ID) is None
    assert all(files.get(media_id) for media_id in ids)


def test_a_url_lives_until_its_second() -> None:
    """To the millisecond: valid before, expired at it."""
    files = Files(Storage(), {})
    url = files.url(BASE, f"/{PICTURE_ID}", NOW_S)
    assert url.startswith(f"{BASE}/{PICTURE_ID}?e={NOW_S}&token=")
    assert files.is_valid(url, 1000 * NOW_S - 1)
    assert not files.is_valid(url, 1000 * NOW_S)


@pytest.mark.parametrize(
    ("old", "new"),
    [(f"e={NOW_S}", f"e={NOW_S + 1}"), (".png", ".jpg"), ("token=", "token=x"), ("&token=", "&w=1&token="), ("&", "")],
)
def test_a_changed_url_is_worth_nothing(old: str, new: str) -> None:
    """The signature covers all before the token, and the token is compared whole."""
    files = Files(Storage(), {})
    url = files.url(BASE, PICTURE_ID, NOW_S)
    assert not files.is_valid(url.replace(old, new, 1), 0)
    assert not Files(Storage(), {}).is_valid(url, 0)


def test_upload_tokens() -> None:
    """Each is its user's; the oldest are forgotten."""
    files = Files(Storage(), {})
    first = files.upload_token("key", "ming")
    assert files.holder_of(first) == ("key", "ming")
    assert files.holder_of("none") is None
    for _ in range(KEPT):
        files.upload_token("key", "ana")
    assert files.holder_of(first) is None
