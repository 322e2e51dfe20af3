"""
Issue a payload: with a random_str of our own, or with one that the client brings and that is signed only once.

Never waits for the network in the first case. Imports `payload`, `apps`, `store` and `errors`.
"""

import secrets

from authsvc import payload
from authsvc.apps import Served
from authsvc.errors import Replayed
from authsvc.payload import MAX_AGE_MS, MAX_SKEW_MS, AuthPayload
from authsvc.store import Store


def issue(app: Served, *, random_str: str | None, store: Store, now_ms: int) -> AuthPayload:
    """
    Return a payload of this moment.

    Args:
        random_str: the client's own, or None for 128 random bits of ours, which need no memory.
        now_ms: Unix milliseconds by the server's clock.

    Raises:
        InvalidRandomStr: the client's random_str breaks its rule.
        Replayed: it was signed before, while a payload with it could live.
        StoreAway: that cannot be known now.
    """
    if random_str is None:
        random_str = fresh_random_str()
    else:
        payload.check_random_str(random_str)
        key = f"issue:{app.appkey}:{random_str}"
        if not store.add(key, secrets.token_hex(16), keep_ms=MAX_AGE_MS + 2 * MAX_SKEW_MS):
            raise Replayed("random_str: was signed before; send another one, or none")
    return payload.issue(
        appkey=app.appkey, master_secret=app.app.master_secret.reveal(), random_str=random_str, now_ms=now_ms
    )


def fresh_random_str() -> str:
    """Return 32 hexadecimal characters: 128 bits from the operating system's random source."""
    return secrets.token_hex(16)
