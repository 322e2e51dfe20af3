"""
The IM account of each app user: its name, its password, and its registration with the vendor on first use.

Nothing is stored but that it was done: the password is derived from ACCOUNT_KEY and can be derived again.
Imports `vendor`, `places`, `apps`, `secret`, `ids`, `store` and `errors`.
"""

import hashlib
import hmac
import json
import re
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field

from authsvc.apps import Served
from authsvc.errors import StoreAway, VendorBusy
from authsvc.ids import fresh_id
from authsvc.places import Places
from authsvc.secret import Secret
from authsvc.store import Store
from authsvc.vendor import Credentials, Vendor

# Vendor's rule (facts §1.4): 4 to 128 bytes, a letter or digit, then letters, digits and _ . - @
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{3,127}")
_ESCAPED = "id-"  # begins the name of a user whose id the vendor would not take
_HASHED = "sha-"  # the same, and too long even for that
_KEPT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@")

MAX_KNOWN = 50_000  # in one worker, some 10 MB
KNOWN_MS = 30 * 86_400_000  # after that the vendor is asked again, which finds that the account exists
CLAIM_MS = 5_000  # one worker registers a user; if it fails, another may try in the next five seconds
RENEWAL_MS = 60_000  # a user's account is registered anew at most once in so long
POLL_S = 0.05

_DONE = "done"  # what the store holds of an account that is registered


@dataclass(frozen=True, slots=True)
class Login:
    """What `JIM.login` takes, with `is_md5: true`."""

    username: str
    password_md5: str = field(repr=False)

    def to_dict(self) -> dict[str, object]:
        """Return the arguments of `JIM.login`."""
        return {"username": self.username, "password": self.password_md5, "is_md5": True}


def username_of(user_id: str) -> str:
    """
    Return the IM username of an app user: the id itself where the vendor takes it, else a readable form of it.

    No two ids share one: every other byte becomes `-` and two hex digits behind a prefix that no plain id keeps, and
    what is too long for that becomes its beginning and its SHA-256.
    """
    if _PLAIN.fullmatch(user_id) and not user_id.startswith((_ESCAPED, _HASHED)):
        return user_id
    escaped = "".join(chr(byte) if chr(byte) in _KEPT else f"-{byte:02X}" for byte in user_id.encode())
    if len(_ESCAPED + escaped) <= 128:
        return _ESCAPED + escaped
    return f"{_HASHED}{escaped[:32]}-{hashlib.sha256(user_id.encode()).hexdigest()}"


class Accounts:
    """Registers users and tells what they log in with. Safe to use from many threads."""

    def __init__(self, key: Secret, vendor: Vendor, store: Store, places: Places, *, adopt: bool) -> None:
        """Take ACCOUNT_KEY, and whether an existing account is adopted by giving it our password."""
        self._key = key
        self._vendor = vendor
        self._store = store
        self._places = places
        self._adopt = adopt
        self._known: OrderedDict[str, None] = OrderedDict()

    def replace(self, key: Secret) -> None:
        """Use this ACCOUNT_KEY from now on: every password is another, and has to be set anew."""
        self._key = key

    def login(self, app: Served, user_id: str, now_ms: int) -> Login:
        """
        Return the user's login, once the account exists.

        A user who is known needs neither the vendor nor, in a worker that has seen him, the store.

        Raises:
            VendorRefused, VendorBusy, VendorSlow: for a user who is not known yet, as `Vendor`.
        """
        username = username_of(user_id)
        password = self._password(app.appkey, username)
        name = self._name(app.appkey, username)
        if name not in self._known:
            mark = self._mark(name)
            if mark != _DONE:
                # The mark gives a renewal a claim of its own. Read once: who has finished since had this very claim.
                self._register(app, username, password, name, f"{name}:{mark}:{now_ms // CLAIM_MS}")
            self._known[name] = None
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return Login(username, hashlib.md5(password.encode(), usedforsecurity=False).hexdigest())

    def renew(self, app: Served, user_id: str, now_ms: int) -> Login:
        """
        As `login`, after the vendor has refused that login: forget that the account was registered, and register it.

        Once in RENEWAL_MS for each user, across all workers; within that time it is `login`, which finds what the
        first renewal has done. While the store is away nothing could bound it, so nothing is renewed.
        """
        name = self._name(app.appkey, username_of(user_id))
        try:
            if self._store.add(f"{name}:renewal:{now_ms // RENEWAL_MS}", fresh_id(), keep_ms=2 * RENEWAL_MS):
                self._store.put(name, fresh_id(), keep_ms=KNOWN_MS)
            self._known.pop(name, None)
        except StoreAway:
            pass
        return self.login(app, user_id, now_ms)

    def _password(self, appkey: str, username: str) -> str:
        return self._derived(["im-password", appkey, username])

    def _name(self, appkey: str, username: str) -> str:
        # With another key the passwords are others, and every account has to be looked after anew.
        return f"account:{self._derived(['known', appkey, username])}"

    def _derived(self, parts: list[str]) -> str:
        return hmac.new(self._key.reveal().encode(), json.dumps(parts).encode(), hashlib.sha256).hexdigest()

    def _mark(self, name: str) -> str | None:
        """Return what the store holds of an account: _DONE, the id of a renewal that is due, or nothing."""
        try:
            return self._store.get(name)
        except StoreAway:
            return None

    def _register(self, app: Served, username: str, password: str, name: str, claim: str) -> None:
        """Register once across all workers; those whose claim comes second wait for the first."""
        credentials = Credentials.of(app)
        deadline_s = time.monotonic() + self._vendor.total_s
        with self._places.one():
            while not self._is_ours(claim):
                time.sleep(POLL_S)
                if self._mark(name) == _DONE:
                    return
                if time.monotonic() > deadline_s:
                    raise VendorBusy("another worker is registering this user")
            if not self._vendor.register(credentials, username, password) and self._adopt:
                self._vendor.set_password(credentials, username, password)
        with suppress(StoreAway):
            self._store.put(name, _DONE, keep_ms=KNOWN_MS)

    def _is_ours(self, claim: str) -> bool:
        try:
            return self._store.add(claim, fresh_id(), keep_ms=2 * CLAIM_MS)
        except StoreAway:
            return True  # twice does no harm: the vendor says that the account exists
