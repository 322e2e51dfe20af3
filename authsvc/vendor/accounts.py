"""
The IM account of each app user: its name, its password, and its registration with the vendor on first use.

The password is derived from ACCOUNT_KEY and can be derived again; what is stored is that the account is ours. Anybody
with a payload can register any username by the SDK, and the vendor tells nobody whose an account is, so one that exists
is ours only if the store knows that we registered or adopted it.
Imports `usernames`, `client`, `bulkhead`, `apps`, `secret`, `ids`, `store` and `errors`.
"""

import hashlib
import hmac
import json
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from authsvc.errors import AccountTaken, StoreUnavailable, VendorBusy
from authsvc.ids import fresh_id
from authsvc.outbound.bulkhead import Bulkhead
from authsvc.payloads.apps import Served
from authsvc.secret import Secret
from authsvc.stores.store import Store
from authsvc.vendor import usernames
from authsvc.vendor.client import Credentials, Vendor

MAX_KNOWN = 50_000  # in one worker, some 10 MB
KEPT_MS = 3650 * 86_400_000  # without the mark an account is not known to be ours
CLAIM_MS = 5_000  # one worker registers a user; if it fails, another may try in the next five seconds
RENEWAL_MS = 60_000  # a user's account is registered anew at most once in so long
TAKEN_MS = 60_000  # an account that is not ours is looked for again after so long
POLL_S = 0.05

# What the store holds under an account's name
_OURS = "ours"  # we registered it, or gave it our password
_AGAIN = "again-"  # begins the id of a renewal of one that is ours
# and under that name with _SEEN, of one that is not known to be ours
_SEEN = ":seen"
_SENT = "sent"  # we asked to register it, and may not have had the answer
_LIKELY = "likely"  # it exists, after that: ours, unless its password turns out to be another
_TAKEN = "taken-"  # begins the window in which it existed, and was not ours

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """What `JIM.login` takes, with `is_md5: true`."""

    username: str
    password_md5: str = field(repr=False)

    def to_dict(self) -> dict[str, object]:
        """Return the arguments of `JIM.login`."""
        return {"username": self.username, "password": self.password_md5, "is_md5": True}


class Accounts:
    """Registers users and tells what they log in with. Safe to use from many threads."""

    def __init__(
        self,
        key: Secret,
        vendor: Vendor,
        store: Store,
        bulkhead: Bulkhead,
        *,
        adopt: bool,
        style: usernames.Style = "readable",
    ) -> None:
        """Take ACCOUNT_KEY, and whether an existing account is adopted by giving it our password."""
        self._key = key
        self._vendor = vendor
        self._store = store
        self._bulkhead = bulkhead
        self._adopt = adopt
        self._style = style
        self._is_taken_logged = False
        self._known: OrderedDict[str, None] = OrderedDict()

    def replace(self, key: Secret) -> None:
        """Use this ACCOUNT_KEY from now on: every password is another, and has to be set anew."""
        self._key = key

    def login(self, app: Served, user_id: str, now_ms: int) -> Login:
        """
        Return the user's login, once the account exists.

        A user who is known needs neither the vendor nor, in a worker that has seen him, the store.

        Raises:
            AccountTaken: the account exists, is not known to be ours, and is not to be adopted.
            VendorRefused, VendorBusy, VendorSlow: for a user who is not known yet, as `Vendor`.
        """
        username = self._username(app.appkey, user_id)
        password = self._derived(["im-password", app.appkey, username])
        name = self._name(app.appkey, username)
        if name not in self._known and self._ensure(app, username, password, name, now_ms):
            self._known[name] = None
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return Login(username, hashlib.md5(password.encode(), usedforsecurity=False).hexdigest())

    def renew(self, app: Served, user_id: str, now_ms: int) -> Login:
        """
        As `login`, after the vendor has refused that login: register the account again, or set its password again.

        Once in RENEWAL_MS for each user, across all workers; within that time it is `login`, which finds what the
        first renewal has done. While the store is away nothing could bound it, so nothing is renewed.
        """
        name = self._name(app.appkey, self._username(app.appkey, user_id))
        try:
            is_ours = self._store.get(name)
            if self._store.add(f"{name}:renewal:{now_ms // RENEWAL_MS}", fresh_id(), keep_ms=2 * RENEWAL_MS):
                if is_ours:
                    self._store.put(name, f"{_AGAIN}{fresh_id()}", keep_ms=KEPT_MS)
                else:  # its password is not ours
                    self._store.put(name + _SEEN, "", keep_ms=KEPT_MS)
            self._known.pop(name, None)
        except StoreUnavailable:
            pass
        return self.login(app, user_id, now_ms)

    def _username(self, appkey: str, user_id: str) -> str:
        if self._style == "readable":
            return usernames.readable(user_id)
        return usernames.derived(self._derived(["im-username", appkey, user_id]))

    def _name(self, appkey: str, username: str) -> str:
        # With another key the passwords are others, and another vendor has other accounts.
        return f"account:{self._derived(['known', self._vendor.url, appkey, username])}"

    def _derived(self, parts: list[str]) -> str:
        return hmac.new(self._key.reveal().encode(), json.dumps(parts).encode(), hashlib.sha256).hexdigest()

    def _ensure(self, app: Served, username: str, password: str, name: str, now_ms: int) -> bool:
        """
        Return True once the account exists and is ours, as far as can be known; of many workers one registers it.

        Return False if whose it is cannot be known: the store is away. The login is given all the same, for nearly
        always it is ours, and if it is not it opens nothing.
        """
        taken = f"{_TAKEN}{now_ms // TAKEN_MS}"
        try:
            mark, seen = self._look(name)
            if self._is_settled(app, mark, seen, taken):
                return True
            # What was seen gives a renewal a claim of its own, and an adoption too. Read once: who has finished since
            # had this very claim.
            claim = f"{name}:{mark or (seen if seen == taken else '')}:{now_ms // CLAIM_MS}"
            with self._bulkhead.slot():
                if not self._claim(claim):
                    return self._wait(app, name, taken)
                if not mark:
                    self._store.put(name + _SEEN, _SENT, keep_ms=KEPT_MS)
                if self._make(app, username, password, is_ours=bool(mark)):
                    self._store.put(name, _OURS, keep_ms=KEPT_MS)
                else:
                    self._store.put(name + _SEEN, _LIKELY if seen == _SENT else taken, keep_ms=KEPT_MS)
            return self._is_settled(app, *self._look(name), taken)
        except StoreUnavailable:
            with self._bulkhead.slot():
                return self._make(app, username, password, is_ours=False)

    def _look(self, name: str) -> tuple[str, str]:
        return self._store.get(name) or "", self._store.get(name + _SEEN) or ""

    def _is_settled(self, app: Served, mark: str, seen: str, taken: str) -> bool:
        """Return whether the account is there to log in with; raise AccountTaken if it is, and not for us."""
        if mark:
            return mark == _OURS
        if seen == taken and not self._adopt:
            if not self._is_taken_logged:
                self._is_taken_logged = True
                _log.error(
                    "appkey %s: a user's IM account already exists, and the store has no record that this service"
                    " registered it; such users get no login (see /problems/account-taken)",
                    app.appkey,
                )
            raise AccountTaken
        return seen == _LIKELY

    def _claim(self, claim: str) -> bool:
        return self._store.add(claim, fresh_id(), keep_ms=2 * CLAIM_MS)

    def _wait(self, app: Served, name: str, taken: str) -> bool:
        """Wait for the worker that registers the user."""
        deadline_s = time.monotonic() + self._vendor.total_s
        while True:
            time.sleep(POLL_S)
            if self._is_settled(app, *self._look(name), taken):
                return True
            if time.monotonic() > deadline_s:
                raise VendorBusy("another worker is registering this user")

    def _make(self, app: Served, username: str, password: str, *, is_ours: bool) -> bool:
        """Register the account, and return whether it has our password now."""
        credentials = Credentials.of(app)
        if self._vendor.register(credentials, username, password):
            return True
        if self._adopt or is_ours:
            self._vendor.set_password(credentials, username, password)
            return True
        return False
