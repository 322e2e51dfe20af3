"""
The vendor's signature of an auth payload: the sign string, its MD5, and the comparison.

Pure; imports nothing of the project. The rules for the four fields are in `payload`: the vendor's printed example has a
random_str of 15 characters, which this module signs and `payload` rejects.
"""

import hashlib
import hmac
import re

DIGEST = re.compile(r"[0-9A-Fa-f]{32}")


def sign(*, appkey: str, timestamp_ms: int, random_str: str, master_secret: str) -> str:
    """
    Return the vendor's signature of one auth payload.

    Args:
        appkey: the app's public key.
        timestamp_ms: time of issue, Unix milliseconds, UTC.
        random_str: single-use salt.
        master_secret: never logged, never sent to a browser.

    Returns:
        32 lower-case hexadecimal characters.

    Source: JMessage Web SDK V2 guide, "鉴权".
    """
    sign_string = f"appkey={appkey}&timestamp={timestamp_ms}&random_str={random_str}&key={master_secret}"
    return hashlib.md5(sign_string.encode(), usedforsecurity=False).hexdigest()


def is_digest(text: str) -> bool:
    """Return whether the text has the shape of a signature: 32 hexadecimal characters of either case."""
    return DIGEST.fullmatch(text) is not None


def is_valid(signature: str, *, appkey: str, timestamp_ms: int, random_str: str, master_secret: str) -> bool:
    """
    Return whether the signature is the vendor's for these fields, compared in constant time.

    Either case is accepted: the vendor's guide prints upper case, its own demo sends lower case.
    """
    expected = sign(appkey=appkey, timestamp_ms=timestamp_ms, random_str=random_str, master_secret=master_secret)
    return is_digest(signature) and hmac.compare_digest(expected, signature.lower())
