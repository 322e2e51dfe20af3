"""IM accounts: passwords that can be derived again, one registration, and whose an account is that exists."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from authsvc.errors import AccountTaken, VendorBusy, VendorRefused
from authsvc.outbound.bulkhead import Bulkhead
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.payloads.apps import App, Apps, Served
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.stores import open_store
from authsvc.stores.store import Store
from authsvc.vendor import accounts as accounts_module
from authsvc.vendor.accounts import Accounts, Login
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Vendor
from authsvc.vendor.usernames import Style
from tests.support import made_up
from tests.support.running import wait_until
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, vendor_stand_in

NOW_MS = 1_750_000_000_000
Make = Callable[..., Accounts]


def served(appkey: str = made_up.APPKEY) -> Served:
    return Apps([App(appkey, Secret(made_up.MASTER_SECRET), default=True)], NOW_MS).find(None)


APP = served()
EXISTS = Reply.json([{"username": "ming", "error": {"code": 899001, "message": "User exist"}}], status=201)


def registered(asked: Asked) -> Reply:
    """Answer as the vendor does to a new user, and to a new password."""
    return Reply(status=204) if asked.method == "PUT" else Reply.json([{"username": "new"}], status=201)


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor that knows nobody yet."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = registered
        yield stand_in


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The memory that workers share."""
    store = open_store(f"sqlite://{tmp_path}/store.db")
    yield store
    store.close()


@pytest.fixture
def make(stand_in: VendorStandIn, store: Store) -> Iterator[Make]:
    """Makes the accounts of one worker each time."""
    with ExitStack() as stack:

        def make(
            *,
            key: str = made_up.ACCOUNT_KEY,
            adopt: bool = False,
            style: Style = "readable",
            total_s: float = 60,
            url: str = stand_in.url,
            store: Store = store,
        ) -> Accounts:
            budget = Budget(Rate(1000, 60_000), store)
            vendor = Vendor(url, budget=budget, breaker=CircuitBreaker(), total_s=total_s)
            stack.callback(vendor.close)
            return Accounts(Secret(key), vendor, store, Bulkhead(24), adopt=adopt, style=style)

        yield make


def password_of(username: str, appkey: str = made_up.APPKEY, key: str = made_up.ACCOUNT_KEY) -> str:
    """Derive the password as in docs/accounts.md."""
    message = json.dumps(["im-password", appkey, username]).encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_registered_on_first_use(make: Make, stand_in: VendorStandIn) -> None:
    """The vendor gets username and password once; the page gets the username and the password's MD5."""
    accounts = make()
    logins = {accounts.login(APP, "ming", NOW_MS + later_ms) for later_ms in (0, 1, 86_400_000)}
    assert logins == {Login("ming", md5(password_of("ming")))}
    (asked,) = stand_in.asked
    assert asked.body == [{"username": "ming", "password": password_of("ming")}]
    assert asked.credentials == f"{made_up.APPKEY}:{made_up.MASTER_SECRET}"


def test_what_the_page_gets() -> None:
    """The arguments of JIM.login; the password's form does not show in a repr."""
    login = Login("ming", "0" * 32)
    assert login.to_dict() == {"username": "ming", "password": "0" * 32, "is_md5": True}
    assert "000" not in repr(login)


def test_passwords_differ(make: Make) -> None:
    """By user, by app and by key."""
    one, other = make(), make(key="another-made-up-account-key-012345678")
    logins = [
        one.login(APP, "ming", NOW_MS),
        one.login(APP, "bob1", NOW_MS),
        one.login(served(made_up.OTHER_APPKEY), "ming", NOW_MS),
        other.login(APP, "ming", NOW_MS),
    ]
    assert len({login.password_md5 for login in logins}) == 4


def test_an_account_that_exists_is_not_ours(
    make: Make, stand_in: VendorStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody registered it by the SDK: no worker returns a login for it, and it is logged once."""
    stand_in.reply = lambda _: EXISTS
    workers = [make(), make()]
    window_ms = -(-NOW_MS // accounts_module.TAKEN_MS) * accounts_module.TAKEN_MS
    for later_ms in (0, 1, accounts_module.CLAIM_MS, accounts_module.TAKEN_MS - 1):
        for worker in workers:
            with pytest.raises(AccountTaken):
                worker.login(APP, "ming", window_ms + later_ms)
    assert [asked.method for asked in stand_in.asked] == ["POST"]
    lines = [line for line in caplog.messages if line.startswith(f"appkey {made_up.APPKEY}: a user's IM account")]
    assert len(lines) == len(workers)
    assert "/problems/account-taken" in lines[0]
    assert "ming" not in lines[0]
    stand_in.reply = registered
    assert workers[0].login(APP, "ming", window_ms + accounts_module.TAKEN_MS).username == "ming"


def test_two_who_find_that_it_is_not_ours(make: Make, stand_in: VendorStandIn) -> None:
    """Who waits for the worker that asks is refused as soon as that one is."""
    stand_in.reply = lambda _: EXISTS
    stand_in.freeze()
    workers = [make() for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        logins = [pool.submit(worker.login, APP, "ming", NOW_MS) for worker in workers]
        wait_until(lambda: len(stand_in.asked) == 1)
        stand_in.thaw()
        assert [type(login.exception(60)) for login in logins] == [AccountTaken] * 2
    assert len(stand_in.asked) == 1


def test_adoption_that_is_turned_on_later(make: Make, stand_in: VendorStandIn) -> None:
    """It works at once: that the account exists made it nobody's. Turned off again, the account stays ours."""
    stand_in.reply = lambda asked: EXISTS if asked.method == "POST" else Reply(status=204)
    with pytest.raises(AccountTaken):
        make().login(APP, "ming", NOW_MS)
    assert make(adopt=True).login(APP, "ming", NOW_MS + 1).username == "ming"
    assert make().login(APP, "ming", NOW_MS + 2).username == "ming"
    assert [asked.method for asked in stand_in.asked] == ["POST", "POST", "PUT"]


def test_a_registration_whose_answer_was_lost(make: Make, stand_in: VendorStandIn) -> None:
    """
    It may have been done: the account that exists then is taken for ours, and locks its user out of nothing.

    Its password shows whether it is: the vendor refuses the login, and then it is not.
    """
    stand_in.reply = lambda _: Reply(503)
    with pytest.raises(VendorBusy):
        make().login(APP, "ming", NOW_MS)
    stand_in.reply = lambda asked: EXISTS if asked.method == "POST" else Reply(status=204)
    for later_ms in (1, 2):
        assert make().login(APP, "ming", NOW_MS + later_ms * accounts_module.CLAIM_MS).username == "ming"
    assert len(stand_in.asked) == 2
    with pytest.raises(AccountTaken):
        make().renew(APP, "ming", NOW_MS + 3 * accounts_module.CLAIM_MS)
    assert [asked.method for asked in stand_in.asked] == ["POST"] * 3


def test_vendors_are_kept_apart(make: Make, stand_in: VendorStandIn) -> None:
    """An account at the sandbox is none at the vendor, though the store is the same."""
    make().login(APP, "ming", NOW_MS)
    with vendor_stand_in() as other:
        other.reply = registered
        assert make(url=other.url).login(APP, "ming", NOW_MS).username == "ming"
        assert len(other.asked) == 1
    assert len(stand_in.asked) == 1


def test_who_registered_first_in_another_window(make: Make, stand_in: VendorStandIn, store: Store) -> None:
    """Two claims of two windows: the vendor answers the second that the account exists, but it is ours."""
    first = make()
    replies = iter([Reply.json([{"username": "ming"}], status=201), EXISTS])
    stand_in.reply = lambda _: next(replies)
    late = Late(store, lambda: first.login(APP, "ming", NOW_MS))
    assert make(store=late).login(APP, "ming", NOW_MS + accounts_module.CLAIM_MS).username == "ming"
    assert len(stand_in.asked) == 2
    assert make().login(APP, "ming", NOW_MS + 2 * accounts_module.CLAIM_MS).username == "ming"


def test_names_that_nobody_guesses(make: Make, stand_in: VendorStandIn) -> None:
    """Derived from the key, as in docs/accounts.md; each app and each user has another."""
    accounts = make(style="derived")
    message = json.dumps(["im-username", made_up.APPKEY, "ming"]).encode()
    username = "u-" + hmac.new(made_up.ACCOUNT_KEY.encode(), message, hashlib.sha256).hexdigest()[:40]
    login = accounts.login(APP, "ming", NOW_MS)
    assert login == Login(username, md5(password_of(username)))
    assert accounts.renew(APP, "ming", NOW_MS) == login
    assert accounts.login(APP, "Ming", NOW_MS).username != username
    assert accounts.login(served(made_up.OTHER_APPKEY), "ming", NOW_MS).username != username
    assert stand_in.asked[0].body == [{"username": username, "password": password_of(username)}]


def test_adopted(make: Make, stand_in: VendorStandIn) -> None:
    """With adoption an account that exists is given our password, once."""
    stand_in.reply = lambda asked: EXISTS if asked.method == "POST" else Reply(status=204)
    accounts = make(adopt=True)
    for _ in range(2):
        accounts.login(APP, "a@b.c", NOW_MS)
    assert [(asked.method, asked.path) for asked in stand_in.asked] == [
        ("POST", "/v1/users/"),
        ("PUT", "/v1/users/a%40b.c/password"),
    ]
    assert stand_in.asked[1].body == {"new_password": password_of("a@b.c")}


def test_renewed_after_the_vendor_has_lost_the_account(make: Make, stand_in: VendorStandIn) -> None:
    """A login that the vendor refuses is registered anew at once, though a worker and the store know it as done."""
    workers = [make() for _ in range(2)]
    logins = {worker.login(APP, "ming", NOW_MS) for worker in workers}
    assert workers[1].renew(APP, "ming", NOW_MS + 1) in logins
    assert [asked.path for asked in stand_in.asked] == ["/v1/users/"] * 2
    for worker in workers:
        worker.login(APP, "ming", NOW_MS + 2)
    assert len(stand_in.asked) == 2


def test_renewed_once_a_minute(make: Make, stand_in: VendorStandIn) -> None:
    """However often a user asks, in whichever worker, the vendor is asked once a minute; others are not held up."""
    workers = [make() for _ in range(2)]
    window_ms = -(-NOW_MS // accounts_module.RENEWAL_MS) * accounts_module.RENEWAL_MS
    for asked in range(10):
        assert workers[asked % 2].renew(APP, "ming", window_ms + asked).username == "ming"
    assert len(stand_in.asked) == 1
    workers[0].renew(APP, "anna", window_ms + 10)
    assert len(stand_in.asked) == 2
    workers[0].renew(APP, "ming", window_ms + accounts_module.RENEWAL_MS - 1)
    assert len(stand_in.asked) == 2
    workers[0].renew(APP, "ming", window_ms + accounts_module.RENEWAL_MS)
    assert len(stand_in.asked) == 3


def test_two_tabs_renew_at_once(make: Make, stand_in: VendorStandIn) -> None:
    """One registers; the other waits until it has, or its login would be refused once more."""
    workers = [make() for _ in range(2)]
    workers[0].login(APP, "ming", NOW_MS)
    stand_in.freeze()
    with ThreadPoolExecutor(2) as pool:
        tabs = [pool.submit(worker.renew, APP, "ming", NOW_MS + 1) for worker in workers]
        wait_until(lambda: len(stand_in.asked) == 2)
        assert not any(tab.done() for tab in tabs)
        stand_in.thaw()
        assert len({tab.result(60) for tab in tabs}) == 1
    assert len(stand_in.asked) == 2


def test_a_renewal_gives_an_account_of_ours_its_password_anew(make: Make, stand_in: VendorStandIn) -> None:
    """What somebody has changed at the vendor is ours again, adoption or not; of one that is not ours it is left."""
    make().login(APP, "ming", NOW_MS)
    stand_in.reply = lambda asked: EXISTS if asked.method == "POST" else Reply(status=204)
    make().renew(APP, "ming", NOW_MS)
    assert [asked.method for asked in stand_in.asked] == ["POST", "POST", "PUT"]
    make(adopt=True).renew(APP, "omar", NOW_MS)
    assert [asked.method for asked in stand_in.asked[3:]] == ["POST", "PUT"]
    with pytest.raises(AccountTaken):
        make().renew(APP, "anna", NOW_MS)
    assert [asked.method for asked in stand_in.asked[5:]] == ["POST"]


def test_a_renewal_that_fails_is_made_good(make: Make, stand_in: VendorStandIn) -> None:
    """While the vendor is unavailable it is refused, and the user counts as new until later."""
    accounts = make()
    accounts.login(APP, "ming", NOW_MS)
    stand_in.reply = lambda _: Reply(503)
    with pytest.raises(VendorBusy):
        accounts.renew(APP, "ming", NOW_MS)
    stand_in.reply = registered
    assert accounts.renew(APP, "ming", NOW_MS + accounts_module.CLAIM_MS).username == "ming"
    assert len(stand_in.asked) == 3


def test_nothing_is_renewed_without_the_store(make: Make, stand_in: VendorStandIn) -> None:
    """Then nothing could bound it across workers: who is known boots as ever."""
    accounts = make(store=open_store("unix:///nonexistent/redis.sock"))
    login = accounts.login(APP, "ming", NOW_MS)
    assert accounts.renew(APP, "ming", NOW_MS) == login
    assert len(stand_in.asked) == 1


def test_a_new_account_needs_no_adoption(make: Make, stand_in: VendorStandIn) -> None:
    """One that authsvc has just made has its password already."""
    make(adopt=True).login(APP, "ming", NOW_MS)
    assert [asked.method for asked in stand_in.asked] == ["POST"]


def test_registered_once_across_workers(make: Make, stand_in: VendorStandIn) -> None:
    """However many workers meet a new user at the same time, one registers; the others wait for it."""
    workers = [make() for _ in range(4)]
    with ThreadPoolExecutor(12) as pool:
        logins = list(pool.map(lambda n: workers[n % 4].login(APP, "ming", NOW_MS), range(12)))
    assert len(set(logins)) == 1
    assert len(stand_in.asked) == 1


def test_who_looked_before_it_was_done_registers_nobody(make: Make, stand_in: VendorStandIn, store: Store) -> None:
    """A worker that saw nothing in the store and comes to claim when another has finished finds its claim."""
    first, second = make(), make(store=Late(store, lambda: first.login(APP, "ming", NOW_MS)))
    assert second.login(APP, "ming", NOW_MS).username == "ming"
    assert len(stand_in.asked) == 1


class Late:
    """A worker's sight of the store, in which something happens right after its first look."""

    def __init__(self, store: Store, happens: Callable[[], object]) -> None:
        self._store = store
        self._happens: list[Callable[[], object]] = [happens]

    def get(self, key: str) -> str | None:
        found = self._store.get(key)
        while self._happens:
            self._happens.pop()()
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_a_known_user_needs_no_vendor(make: Make, stand_in: VendorStandIn) -> None:
    """With the vendor gone, a user who was registered before boots, in this worker and in any other."""
    first = make()
    first.login(APP, "ming", NOW_MS)
    stand_in.reply = lambda _: Reply(status=503)
    assert first.login(APP, "ming", NOW_MS) == make().login(APP, "ming", NOW_MS)


def test_a_known_user_needs_no_store(make: Make, tmp_path: Path, stand_in: VendorStandIn) -> None:
    """A worker that has seen the user needs neither; one that has not asks the vendor, which does no harm."""
    accounts = make(store=open_store("unix:///nonexistent/redis.sock"))
    accounts.login(APP, "ming", NOW_MS)
    assert len(stand_in.asked) == 1
    stand_in.reply = lambda _: Reply(status=503)
    accounts.login(APP, "ming", NOW_MS)
    stand_in.reply = lambda _: EXISTS
    for _ in range(2):  # whose it is cannot be known now, and most are ours
        assert accounts.login(APP, "anna", NOW_MS).username == "anna"
    assert len(stand_in.asked) == 3


@pytest.mark.parametrize(
    ("reply", "refusal"),
    [(Reply(503), VendorBusy), (Reply(401), VendorRefused), (Reply.json([{"error": {"code": 899003}}]), VendorRefused)],
)
def test_a_failure_is_reported_and_a_retry_succeeds(
    make: Make, stand_in: VendorStandIn, reply: Reply, refusal: type[Exception]
) -> None:
    """A new user whom the vendor did not take is refused; the next window tries again, by whichever worker."""
    stand_in.reply = lambda _: reply
    with pytest.raises(refusal):
        make().login(APP, "ming", NOW_MS)
    stand_in.reply = registered
    assert make().login(APP, "ming", NOW_MS + accounts_module.CLAIM_MS).username == "ming"


def test_not_waiting_for_ever_for_another_worker(make: Make, store: Store, stand_in: VendorStandIn) -> None:
    """A worker whose sibling does not end with registering gives up within the vendor's time, with that reason."""
    stand_in.freeze()
    with ThreadPoolExecutor(1) as pool:
        sibling = pool.submit(make().login, APP, "ming", NOW_MS)
        wait_until(lambda: len(stand_in.asked) == 1)
        with pytest.raises(VendorBusy, match="another worker"):
            make(total_s=0.2).login(APP, "ming", NOW_MS)
        assert not sibling.done()
        stand_in.thaw()
        assert sibling.result().username == "ming"
    assert len(stand_in.asked) == 1


def test_another_key(make: Make, stand_in: VendorStandIn) -> None:
    """With a new ACCOUNT_KEY every account is looked after anew, because its password is another."""
    accounts = make(adopt=True)
    accounts.login(APP, "ming", NOW_MS)
    stand_in.reply = lambda asked: EXISTS if asked.method == "POST" else Reply(status=204)
    new = "another-made-up-account-key-012345678"
    accounts.replace(Secret(new))
    assert accounts.login(APP, "ming", NOW_MS).password_md5 == md5(password_of("ming", key=new))
    assert stand_in.asked[-1].body == {"new_password": password_of("ming", key=new)}


def test_memory_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch, stand_in: VendorStandIn) -> None:
    """Past the bound the store is asked again, and knows."""
    monkeypatch.setattr(accounts_module, "MAX_KNOWN", 2)
    accounts = make()
    for user_id in ("ming", "anna", "omar", "ming"):
        accounts.login(APP, user_id, NOW_MS)
    assert len(accounts._known) == 2
    assert len(stand_in.asked) == 3
