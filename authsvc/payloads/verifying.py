"""
Verify a presented payload, and use it up.

The order is shape, appkey, signature, time, replay: a forgery never uses up a nonce.
Imports `payload`, `apps`, `store`, `secret`, `ids` and `errors`.
"""

import hmac
import re
from collections.abc import Sequence

from authsvc.errors import Expired, InvalidRequest, MemoryLost, NotLoggedIn, Replayed
from authsvc.ids import fresh_id
from authsvc.payloads import payload
from authsvc.payloads.apps import Apps
from authsvc.payloads.payload import MAX_SKEW_MS, AuthPayload
from authsvc.secret import Secret
from authsvc.stores.store import Store

HOLDER = "X-Holder"

_HOLDER = re.compile(r"[\x21-\x7e]{1,128}")


def holder_of(header: str | None, in_body: str | None) -> str | None:
    """
    Return the holder that the verifier names, in the header or in a body that it has written itself.

    Raises:
        InvalidRequest: both are present, so the body is the page's, and a page must not choose the holder; or the
            header is repeated.
    """
    if header is None:
        return in_body
    if in_body is not None:
        raise InvalidRequest(
            "holder",
            "must not be in the body together with the header {header}, which the verifier sets",
            header=HOLDER,
        )
    if "," in header:
        raise InvalidRequest(HOLDER, "contains a comma or was sent twice")
    return header


def verify(presented: AuthPayload, *, holder: str | None, apps: Apps, store: Store, now_ms: int) -> None:
    """
    Accept a payload once, or raise the first rule that it breaks.

    Args:
        holder: the connection that presents it, 1 to 128 printable ASCII characters. The same holder may present the
            same payload again, because the vendor's SDK retransmits an identical `c_init` up to 5 times.
        now_ms: Unix milliseconds by the server's clock.

    Raises:
        InvalidRequest: the holder has the wrong shape.
        UnknownAppkey, BadSignature, Expired, NotYetValid, Replayed: in this order.
        StoreUnavailable: the store cannot answer now.
    """
    if holder is not None and not _HOLDER.fullmatch(holder):
        raise InvalidRequest("holder", "must be 1 to 128 printable ASCII characters without spaces")
    check(presented, apps=apps, now_ms=now_ms)
    _claim(presented, holder, store, now_ms)


def check(presented: AuthPayload, *, apps: Apps, now_ms: int) -> None:
    """Raise the first of UnknownAppkey, BadSignature, Expired and NotYetValid that applies; use up nothing."""
    served = apps.find(presented.appkey)
    payload.check_signature(presented, served.secrets_for(presented.timestamp_ms))
    payload.check_time(presented, now_ms)


def nonce_key(presented: AuthPayload) -> str:
    """Return the store's key of the claim on this payload. No part may contain a colon, so no two keys are equal."""
    return f"verify:{presented.appkey}:{presented.timestamp_ms}:{presented.random_str}"


class Verifiers:
    """The keys of those that may call the verify route. `replace` swaps the keys in one step."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        self._keys = keys

    def replace(self, keys: Sequence[Secret]) -> None:
        """Accept these keys from now on, and no others."""
        self._keys = keys

    def check(self, authorization: str | None) -> None:
        """Raise NotLoggedIn unless the Authorization header's value is `Bearer` and one of the keys."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotLoggedIn("a verifier key is required: Authorization: Bearer <one of AUTHSVC_VERIFIER_KEYS>")
        presented = token.encode()
        for key in self._keys:
            if hmac.compare_digest(presented, key.reveal().encode()):
                return
        raise NotLoggedIn("the Bearer token is not one of AUTHSVC_VERIFIER_KEYS")


def _claim(presented: AuthPayload, holder: str | None, store: Store, now_ms: int) -> None:
    claimant = f"once:{fresh_id()}" if holder is None else f"holder:{holder}"
    try:
        won = store.add(
            nonce_key(presented),
            claimant,
            keep_ms=presented.expires_at_ms - now_ms + 2 * MAX_SKEW_MS,
            since_ms=presented.timestamp_ms,
        )
    except MemoryLost as lost:
        raise Expired(
            "timestamp: the payload is older than the store's records, which begin at {born_ms}; get a fresh one",
            born_ms=lost.born_ms,
        ) from lost
    if not won:
        raise Replayed("the payload was already used")
