"""
The files that the sandbox keeps, and their URLs, which expire as those of the vendor's storage do.

A URL is `{base}/{media_id}?e={Unix seconds}&token={access key}:{signature}`, with the token last; the signature is the
URL-safe Base64 of the HMAC-SHA-1 of all before `&token=`. Source: the storage's page on private downloads.
"""

import base64
import functools
import hashlib
import hmac
import io
import secrets
import struct
import zlib
from collections.abc import MutableMapping
from dataclasses import dataclass

import imagesize

from authsvc.sandbox.state import Storage, Upload

PICTURE_ID = "qiniu/image/r/0A1B2C3D4E5F6071.png"  # there from the start
MAX_BYTES = 8 * 1024 * 1024  # the vendor's limit
KEPT = 200
_FORMATS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif", b"BM": "bmp"}


@dataclass(frozen=True, slots=True)
class File:
    """One file with what the vendor tells of it."""

    content: bytes
    name: str
    format: str


class Files:
    """Files by media_id; the oldest make room for new ones."""

    def __init__(self, storage: Storage, contents: MutableMapping[str, bytes]) -> None:
        """Take what is kept already: what is known of the files, and their contents by media_id."""
        self._storage = storage
        self._contents = contents
        if not storage.files:
            storage.files[PICTURE_ID] = Upload("picture.png", "png")
            contents[PICTURE_ID] = picture()

    def get(self, media_id: str) -> File | None:
        media_id = media_id.removeprefix("/")
        known, content = self._storage.files.get(media_id), self._contents.get(media_id)
        return None if known is None or content is None else File(content, known.name, known.format)

    def add(self, kind: str, name: str, content: bytes, *, number: int) -> dict[str, object]:
        """
        Keep a file and return what the vendor answers to its upload.

        Args:
            kind: "image", "file" or "voice".
            number: that no other file has; it is in the media_id.

        Raises:
            ValueError: an image that is none.
        """
        file_format = next((word for magic, word in _FORMATS.items() if content.startswith(magic)), "")
        told: dict[str, object] = {"media_crc32": zlib.crc32(content), "fsize": len(content)}
        if kind == "image":
            width, height = imagesize.get(io.BytesIO(content))
            if not file_format or width < 1:
                raise ValueError("type: image takes jpg, png, gif and bmp")
            told |= {"width": width, "height": height, "format": file_format}
        elif kind == "file":
            told |= {"fname": name}
        media_id = f"qiniu/{kind}/r/{number:016X}" + (f".{file_format}" if file_format else "")
        self._storage.files[media_id] = Upload(name, file_format)
        self._contents[media_id] = content
        if len(self._storage.files) > KEPT:
            oldest = next(iter(self._storage.files))
            del self._storage.files[oldest], self._contents[oldest]
        digest = base64.urlsafe_b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()
        return {"media_id": media_id, "hash": digest} | told

    def upload_token(self, appkey: str, username: str) -> str:
        """Return what lets this user upload through the SDK."""
        token = secrets.token_urlsafe(24)
        self._storage.tokens[token] = (appkey, username)
        if len(self._storage.tokens) > KEPT:
            del self._storage.tokens[next(iter(self._storage.tokens))]
        return token

    def holder_of(self, token: str) -> tuple[str, str] | None:
        """Return appkey and username that an upload token was given to; None for any other text."""
        return self._storage.tokens.get(token)

    def url(self, base: str, media_id: str, expires_s: int) -> str:
        """Return where the file is until then (Unix seconds)."""
        unsigned = f"{base}/{media_id.removeprefix('/')}?e={expires_s}"
        return f"{unsigned}&token={self._storage.access_key}:{self._sign(unsigned)}"

    def is_valid(self, url: str, now_ms: int) -> bool:
        """Return whether we made this URL, and it has not expired."""
        unsigned, _, token = url.partition("&token=")
        expires_s = unsigned.rpartition("?e=")[2]
        ours = f"{self._storage.access_key}:{self._sign(unsigned)}"
        return hmac.compare_digest(token.encode(), ours.encode()) and now_ms < 1000 * int(expires_s)

    def _sign(self, unsigned: str) -> str:
        return base64.urlsafe_b64encode(
            hmac.digest(bytes.fromhex(self._storage.secret_key), unsigned.encode(), "sha1")
        ).decode()


@functools.cache
def picture(size: int = 240) -> bytes:
    """Return a PNG to show: a sun over a sea, drawn here so that there is no foreign picture to keep."""
    rows = bytearray()
    for y in range(size):
        rows.append(0)  # no filter
        for x in range(size):
            rows += _pixel(x / size, y / size)
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _pixel(x: float, y: float) -> bytes:
    if y > 0.66:
        wave = 0.5 + 0.5 * ((x * 7 + y * 23) % 1)
        return bytes((16, int(90 + 50 * wave), int(120 + 60 * wave)))
    if (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.045:
        return bytes((255, 214, 102))
    return bytes((int(110 + 140 * y), int(150 + 60 * y), int(220 - 60 * y)))
