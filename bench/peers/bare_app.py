"""
Less than any server of payloads can do: an answer that never changes, and a signature for nobody in particular.

Under granian or gunicorn they show what of a request's cost is the server's own.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

APPKEY = os.environ["APPKEY"]
MASTER_SECRET = os.environ["MASTER_SECRET"]


def constant(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer two bytes."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return (b"{}",)


def signing(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer everybody with a signed payload, with no look at who asks."""
    random_str = secrets.token_hex(16)
    timestamp = str(time.time_ns() // 1_000_000)
    text = f"appkey={APPKEY}&timestamp={timestamp}&random_str={random_str}&key={MASTER_SECRET}"
    signature = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    told = f'{{"appkey":"{APPKEY}","random_str":"{random_str}","signature":"{signature}","timestamp":"{timestamp}"}}'
    content = told.encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return (content,)
