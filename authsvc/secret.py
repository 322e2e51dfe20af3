"""
A secret that is masked in repr, str, format, JSON and pickle. And the bytes of a key.

Imports nothing of the project.
"""

import base64
import hashlib
import hmac
import re
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

BASE64 = "base64:"  # before a key that is bytes, as in Laravel
_MASK = "**********"
_DIGITS = re.compile(r"([A-Za-z0-9+/]+|[A-Za-z0-9_-]+)(={0,2})")


class Secret:
    """Holds one secret text. Only `reveal()` returns it; a pickled copy does not have it."""

    __slots__ = ("_text",)

    def __init__(self, text: str | None) -> None:
        self._text = text

    def reveal(self) -> str:
        """
        Return the secret text.

        Raises:
            ValueError: this is an unpickled copy, which does not have it.
        """
        if self._text is None:
            raise ValueError("a secret is not pickled")
        return self._text

    def fingerprint(self) -> str:
        """Return 8 hexadecimal characters that distinguish this secret from others, and do not reveal it."""
        return hashlib.sha256(f"authsvc fingerprint\0{self.reveal()}".encode()).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __reduce__(self) -> tuple[type[Self], tuple[None]]:
        return type(self), (None,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._of, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def _of(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError("must be text")  # noqa: TRY004 -- pydantic reports a ValueError as the field's fault
        if not value:
            raise ValueError("is empty")
        return cls(value)


def key_bytes(text: str) -> bytes:
    """
    Return the bytes of a key: those encoded after `base64:`, in either alphabet, else the text in UTF-8.

    Raises:
        ValueError: the text after `base64:` is not exactly that, or the key is not UTF-8. The message has no part of
            it.
    """
    if not text.startswith(BASE64):
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise ValueError("is not UTF-8 text") from None
    digits = _DIGITS.fullmatch(text.removeprefix(BASE64))
    if digits is not None and (not digits[2] or len(digits[0]) % 4 == 0) and len(digits[1]) % 4 != 1:
        plain = digits[1].replace("-", "+").replace("_", "/")
        key = base64.b64decode(plain + "=" * (-len(plain) % 4))
        if base64.b64encode(key).decode().rstrip("=") == plain:  # a typo would leave bits over
            return key
    raise ValueError(f"is not base64 after {BASE64}")
