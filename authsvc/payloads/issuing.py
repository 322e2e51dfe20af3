"""
Issue a payload: with a random_str of our own, or with one of the client, which is signed only once.

The first case never waits for the network. Imports `payload`, `apps`, `ids`, `store` and `errors`.

Both functions that sign a client's random_str claim it under the same key. The value of `issue` is a fresh id; that of
`sign_chosen` is the same for all its calls, because jchat-web has one randomStr and signs it with many timestamps. So
the first function to claim it excludes the other, and each claim is a single call to the store.
"""

from authsvc.errors import Expired, InvalidRandomStr, NotYetValid, Replayed
from authsvc.ids import fresh_id
from authsvc.payloads import payload
from authsvc.payloads.apps import Served
from authsvc.payloads.payload import MAX_AGE_MS, MAX_SKEW_MS, AuthPayload
from authsvc.stores.store import Store

KEEP_MS = MAX_AGE_MS + 2 * MAX_SKEW_MS  # a chosen timestamp may be a skew ahead, and the verifier's clock one behind
_IN_PAIRS = "in-pairs"


def issue(app: Served, *, random_str: str | None, store: Store, now_ms: int) -> AuthPayload:
    """
    Return a payload of this moment.

    Args:
        random_str: the client's own, or None for 128 random bits of ours, which need no claim.
        now_ms: Unix milliseconds by the server's clock.

    Raises:
        InvalidRandomStr: the client's random_str breaks its rule.
        Replayed: either function here has signed it, and a payload with it may still be valid.
        StoreUnavailable: the store cannot answer now.
    """
    if random_str is None:
        random_str = fresh_id()
    else:
        payload.check_random_str(random_str)
        if not _claim(app, random_str, fresh_id(), store):
            raise Replayed("random_str: was already signed; send a new one, or none")
    return payload.issue(
        appkey=app.appkey, master_secret=app.app.master_secret.reveal(), random_str=random_str, now_ms=now_ms
    )


def sign_chosen(app: Served, *, timestamp_ms: int, random_str: str, store: Store, now_ms: int) -> AuthPayload:
    """
    Return a payload with the time and the random_str of the page, as the vendor's front end jchat-web needs (its
    README).

    Only the current time is signed, or a user could collect payloads for later. The pair is signed once: jchat-web has
    one randomStr for all its pages.

    Raises:
        InvalidRandomStr: it breaks its rule.
        Expired, NotYetValid: the time is more than 30 000 ms from now.
        Replayed: the pair is signed already, or `issue` has signed the random_str.
        StoreUnavailable: the store cannot answer now.
    """
    try:
        payload.check_random_str(random_str, name="randomStr")
    except InvalidRandomStr as exc:
        raise InvalidRandomStr("{what}; it is set in jchat-web's configuration", what=exc.message) from None
    age_ms = now_ms - timestamp_ms
    if age_ms > MAX_SKEW_MS:
        raise Expired(
            "timestamp: is {age_ms} ms old; at most {most_ms} ms are allowed; check the browser's clock",
            age_ms=age_ms,
            most_ms=MAX_SKEW_MS,
        )
    if age_ms < -MAX_SKEW_MS:
        raise NotYetValid(
            "timestamp: is {ahead_ms} ms in the future; at most {most_ms} ms are allowed; check the browser's clock",
            ahead_ms=-age_ms,
            most_ms=MAX_SKEW_MS,
        )
    if not _claim(app, random_str, _IN_PAIRS, store):
        raise Replayed("randomStr: was already signed by POST /v1/auth-payload; generate another one for jchat-web")
    if not store.add(f"pair:{app.appkey}:{random_str}:{timestamp_ms}", fresh_id(), keep_ms=KEEP_MS):
        raise Replayed("timestamp, randomStr: this pair was already signed; read the clock again for each request")
    return payload.issue(
        appkey=app.appkey, master_secret=app.app.master_secret.reveal(), random_str=random_str, now_ms=timestamp_ms
    )


def _claim(app: Served, random_str: str, claimant: str, store: Store) -> bool:
    return store.add(f"signed:{app.appkey}:{random_str}", claimant, keep_ms=KEEP_MS)
