"""
The IM account of each app user: its name, its password, and its registration with the vendor on first use.

The password is derived from ACCOUNT_KEY at each login; the store only records that the account is ours. Anybody with a
payload can register any username by the SDK, and the vendor does not show who registered an account. So an existing
account is ours only if the store has a record that we registered or adopted it.

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
KEPT_MS = 3650 * 86_400_000  # without its record an account is not known to be ours
CLAIM_MS = 5_000  # one worker registers a user; if it fails, another may try after that
RENEWAL_MS = 60_000  # between two renewals of one user's account
TAKEN_MS = 60_000  # after which an account that is not ours is tried again
POLL_S = 0.05

# Values in the store under an account's name
_OURS = "ours"  # we registered it, or set our password
_AGAIN = "again-"  # prefix of the id of a renewal of an account that is ours
# Values under that name with _SEEN, of an account that is not known to be ours
_SEEN = ":seen"
_SENT = "sent"  # we sent the registration, and may have lost the answer
_LIKELY = "likely"  # it exists after such a registration: ours, unless its password turns out to be another
_TAKEN = "taken-"  # prefix of the window in which it existed and was not ours

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
    """Registers users and returns their logins. Safe to use from many threads."""

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
        """Take ACCOUNT_KEY, and whether an existing account is adopted: our password is set."""
        self._key = key
        self._vendor = vendor
        self._store = store
        self._bulkhead = bulkhead
        self._adopt = adopt
        self._style = style
        self._is_taken_logged = False
        self._known: OrderedDict[str, None] = OrderedDict()

    def replace(self, key: Secret) -> None:
        """Use this ACCOUNT_KEY from now on. Every password changes, and has to be set again."""
        self._key = key

    def login(self, app: Served, user_id: str, now_ms: int) -> Login:
        """
        Return the user's login, once the account exists.

        A known user needs no call to the vendor, and in the same worker none to the store.

        Raises:
            AccountTaken: the account exists, is not known to be ours, and is not to be adopted.
            VendorRefused, VendorBusy, VendorSlow: for a new user, as `Vendor`.
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

        At most once in RENEWAL_MS for each user, across all workers; until then it is the same as `login`, which finds
        the result of the first renewal. While the store is unavailable nothing is renewed: nothing would limit it.
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
        Return True once the account exists and is ours as far as the store knows; of many workers one registers it.

        Return False if the store is unavailable, so that nothing is known. The login is returned all the same: the
        account is nearly always ours, and if it is not, the password does not match.
        """
        taken = f"{_TAKEN}{now_ms // TAKEN_MS}"
        try:
            mark, seen = self._look(name)
            if self._is_settled(app, mark, seen, taken):
                return True
            # The record makes the claim of a renewal, or of an adoption, differ from that of a registration. It is read
            # once: a worker that has finished in between had the same claim.
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
        """Return whether the account is ready for a login; raise AccountTaken if it exists and is not ours."""
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
