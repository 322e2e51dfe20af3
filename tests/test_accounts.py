"""IM accounts: names that never collide, passwords that can be derived again, one registration."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc import accounts as accounts_module
from authsvc.accounts import Accounts, Login, username_of
from authsvc.apps import App, Apps, Served
from authsvc.breaker import Breaker
from authsvc.budget import Budget
from authsvc.errors import VendorBusy, VendorRefused, VendorSlow
from authsvc.limiter import Rate
from authsvc.places import Places
from authsvc.secret import Secret
from authsvc.store import Store
from authsvc.stores import open_store
from authsvc.vendor import Vendor
from tests import made_up
from tests.running import wait_until
from tests.vendor_stand_in import Asked, Told, VendorStandIn, vendor_stand_in

NOW_MS = 1_750_000_000_000
VENDOR_RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{3,127}", re.ASCII)
Make = Callable[..., Accounts]


def served(appkey: str = made_up.APPKEY) -> Served:
    return Apps([App(appkey, Secret(made_up.MASTER_SECRET), default=True)], NOW_MS).find(None)


APP = served()
EXISTS = Told.json([{"username": "ming", "error": {"code": 899001, "message": "User exist"}}], status=201)


def registered(asked: Asked) -> Told:
    """Answer as the vendor does to a new user, and to a new password."""
    return Told(status=204) if asked.method == "PUT" else Told.json([{"username": "new"}], status=201)


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor that knows nobody yet."""
    with vendor_stand_in() as stand_in:
        stand_in.tell = registered
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
            *, key: str = made_up.ACCOUNT_KEY, adopt: bool = False, total_s: float = 5, store: Store = store
        ) -> Accounts:
            budget = Budget(Rate(1000, 60_000), store)
            vendor = Vendor(stand_in.url, budget=budget, breaker=Breaker(), total_s=total_s)
            stack.callback(vendor.close)
            return Accounts(Secret(key), vendor, store, Places(24), adopt=adopt)

        yield make


def password_of(username: str, appkey: str = made_up.APPKEY, key: str = made_up.ACCOUNT_KEY) -> str:
    """Derive the password as the README says."""
    told = json.dumps(["im-password", appkey, username]).encode()
    return hmac.new(key.encode(), told, hashlib.sha256).hexdigest()


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("user_id", ["ming", "1234", "a.b-c_d@e.example", "A" * 128, "0000", "id_1", "sha1", "ID-1"])
def test_an_id_that_the_vendor_takes_is_the_name(user_id: str) -> None:
    """Most user ids are IM usernames as they are."""
    assert username_of(user_id) == user_id


@pytest.mark.parametrize(
    ("user_id", "username"),
    [
        ("7", "id-7"),
        ("bob", "id-bob"),
        ("_ming", "id-_ming"),
        ("小明", "id--E5-B0-8F-E6-98-8E"),
        ("a b/c", "id-a-20b-2Fc"),
        ("id-7", "id-id-2D7"),
        ("sha-1", "id-sha-2D1"),
        ("a-b", "id-a-2Db"),
        ("ming\n", "id-ming-0A"),
    ],
)
def test_any_other_id_becomes_a_readable_name(user_id: str, username: str) -> None:
    """Other bytes are escaped behind a prefix, so that one can still tell whose account it is."""
    assert username_of(user_id) == username


def test_a_very_long_id() -> None:
    """What is too long even so becomes its beginning and a digest."""
    name = username_of("明" * 100)
    assert name.startswith("sha--E6-98-8E")
    assert len(name) <= 128
    assert name != username_of("明" * 101)


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
@example("id-7", "7")
@example("id--E5-B0-8F-E6-98-8E", "小明")
@example("A" * 128, "A" * 129)
def test_names_keep_the_vendors_rule_and_never_collide(one: str, other: str) -> None:
    """Two users never share an account, whatever their ids."""
    for user_id in (one, other):
        assert VENDOR_RULE.fullmatch(username_of(user_id))
    assert (username_of(one) == username_of(other)) is (one == other)


def test_a_name_is_nobody_elses_id() -> None:
    """A user cannot choose an id that is the name made for another: plain ids never begin with the prefixes."""
    for user_id in ("7", "小明", "明" * 100):
        assert username_of(username_of(user_id)) != username_of(user_id)


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


def test_an_account_that_exists_is_taken_as_done(make: Make, stand_in: VendorStandIn) -> None:
    """Unless asked to, authsvc changes no password that it did not set."""
    stand_in.tell = lambda _: EXISTS
    assert make().login(APP, "ming", NOW_MS).username == "ming"
    assert [asked.method for asked in stand_in.asked] == ["POST"]


def test_adopted(make: Make, stand_in: VendorStandIn) -> None:
    """With adoption an account that exists is given our password, once."""
    stand_in.tell = lambda asked: EXISTS if asked.method == "POST" else Told(status=204)
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
        wait_until(lambda: len(stand_in.asked) == 2, timeout_s=5)
        assert not any(tab.done() for tab in tabs)
        stand_in.thaw()
        assert len({tab.result(10) for tab in tabs}) == 1
    assert len(stand_in.asked) == 2


def test_a_renewal_gives_an_adopted_account_its_password_anew(make: Make, stand_in: VendorStandIn) -> None:
    """What somebody has changed at the vendor is ours again; without adoption the password is left alone."""
    stand_in.tell = lambda asked: EXISTS if asked.method == "POST" else Told(status=204)
    make(adopt=True).renew(APP, "ming", NOW_MS)
    assert [asked.method for asked in stand_in.asked] == ["POST", "PUT"]
    make().renew(APP, "anna", NOW_MS)
    assert [asked.method for asked in stand_in.asked] == ["POST", "PUT", "POST"]


def test_a_renewal_that_fails_is_made_good(make: Make, stand_in: VendorStandIn) -> None:
    """With the vendor away it is refused, and the user counts as new until it is back."""
    accounts = make()
    accounts.login(APP, "ming", NOW_MS)
    stand_in.tell = lambda _: Told(503)
    with pytest.raises(VendorBusy):
        accounts.renew(APP, "ming", NOW_MS)
    stand_in.tell = registered
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
    stand_in.tell = lambda _: Told(status=503)
    assert first.login(APP, "ming", NOW_MS) == make().login(APP, "ming", NOW_MS)


def test_a_known_user_needs_no_store(make: Make, tmp_path: Path, stand_in: VendorStandIn) -> None:
    """A worker that has seen the user needs neither; one that has not asks the vendor, which does no harm."""
    accounts = make(store=open_store("unix:///nonexistent/redis.sock"))
    accounts.login(APP, "ming", NOW_MS)
    assert len(stand_in.asked) == 1
    stand_in.tell = lambda _: Told(status=503)
    accounts.login(APP, "ming", NOW_MS)


@pytest.mark.parametrize(
    ("told", "refusal"),
    [(Told(503), VendorBusy), (Told(401), VendorRefused), (Told.json([{"error": {"code": 899003}}]), VendorRefused)],
)
def test_a_failure_is_told_and_made_good(
    make: Make, stand_in: VendorStandIn, told: Told, refusal: type[Exception]
) -> None:
    """A new user whom the vendor did not take is refused; the next window tries again, by whichever worker."""
    stand_in.tell = lambda _: told
    with pytest.raises(refusal):
        make().login(APP, "ming", NOW_MS)
    stand_in.tell = registered
    assert make().login(APP, "ming", NOW_MS + accounts_module.CLAIM_MS).username == "ming"


def test_not_waiting_for_ever_for_another_worker(make: Make, store: Store, stand_in: VendorStandIn) -> None:
    """A worker whose sibling died while registering gives up within the vendor's time, and says so."""
    stand_in.freeze()
    with pytest.raises(VendorSlow):
        make(total_s=0.2).login(APP, "ming", NOW_MS)
    with pytest.raises(VendorBusy, match="another worker"):
        make(total_s=0.2).login(APP, "ming", NOW_MS)
    assert len(stand_in.asked) == 1


def test_another_key(make: Make, stand_in: VendorStandIn) -> None:
    """With a new ACCOUNT_KEY every account is looked after anew, because its password is another."""
    accounts = make(adopt=True)
    accounts.login(APP, "ming", NOW_MS)
    stand_in.tell = lambda asked: EXISTS if asked.method == "POST" else Told(status=204)
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
