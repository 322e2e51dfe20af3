"""Where media are: what is asked of the vendor, what is remembered and for how long, and who waits for what."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from authsvc.errors import (
    InvalidMediaId,
    Refusal,
    TooManyRequests,
    UnknownMedia,
    VendorBusy,
    VendorRefused,
    VendorSlow,
)
from authsvc.outbound.bulkhead import Bulkhead
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.payloads.apps import App, Apps, Served
from authsvc.ratelimit.limiter import Limiter
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.stores import open_store
from authsvc.stores.store import Store
from authsvc.vendor import media as media_module
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import SLOTS, Vendor
from authsvc.vendor.media import DEFAULT_MS, FRESH_MS, MARGIN_MS, UNKNOWN_MS, Media
from authsvc.vendor.media_url import Resource
from tests.support import made_up
from tests.support.raw_server import raw_server
from tests.support.running import wait_until
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, vendor_stand_in

NOW_MS = 1_750_000_000_000
LIFE_S = 3_600
HOSTS = ("*.im.jiguang.cn", "media.file.jpush.cn")
Make = Callable[..., Media]


def served(appkey: str = made_up.APPKEY) -> Served:
    return Apps([App(appkey, Secret(made_up.MASTER_SECRET), default=True)], NOW_MS).find(None)


APP = served()


def url_of(media_id: str, *, expires_s: int | None = NOW_MS // 1000 + LIFE_S) -> str:
    expiry = "" if expires_s is None else f"?e={expires_s}&token=made-up:x="
    return f"http://dl.im.jiguang.cn/{media_id}{expiry}"


def told_of(asked: Asked, **kwargs: int | None) -> Reply:
    return Reply.json({"url": url_of(dict(asked.query)["mediaId"], **kwargs)})


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor that knows every media_id."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = told_of
        yield stand_in


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The memory that workers share."""
    store = open_store(f"sqlite://{tmp_path}/store.db")
    yield store
    store.close()


@pytest.fixture
def make(stand_in: VendorStandIn, store: Store) -> Iterator[Make]:
    """Makes the media of one worker each time."""
    with ExitStack() as stack:

        def make(
            *,
            budget: int = 1000,
            share: int = 1000,
            bulkhead: int = 24,
            total_s: float = 60,
            url: str = stand_in.url,
            store: Store = store,
            on_lookup: Callable[[str], object] = lambda _: None,
        ) -> Media:
            vendor = Vendor(url, budget=Budget(Rate(budget, 60_000), store), breaker=CircuitBreaker(), total_s=total_s)
            media = Media(
                vendor,
                store,
                hosts=HOSTS,
                bulkhead=Bulkhead(bulkhead),
                limiter=Limiter(Rate(share, 60_000), store, what="media"),
                on_lookup=on_lookup,
            )
            stack.callback(vendor.close)
            stack.callback(media.close)
            return media

        yield make


def test_a_vendor_that_drips_holds_nothing(store: Store) -> None:
    """Its answers never end and take every slot; once it is well media works at once, and a stop takes no longer."""
    with raw_server(b"HTTP/1.1 200 OK\r\nX-Long: ", drips_s=0.1) as server:
        budget = Budget(Rate(1000, 60_000), store)
        vendor = Vendor(server.url, budget=budget, breaker=CircuitBreaker(), total_s=0.5)
        limiter = Limiter(Rate(1000, 60_000), store, what="media")
        media = Media(vendor, store, hosts=HOSTS, bulkhead=Bulkhead(24), limiter=limiter)
        media_ids = [f"media/{number}" for number in range(2 * SLOTS)]
        dripped = media.resolve_many(APP, "ming", media_ids, NOW_MS)
        assert {type(found) for found in dripped.values()} <= {VendorSlow, VendorBusy}
        body = json.dumps({"url": url_of("a")}).encode()
        server.answer, server.drips_s = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), 0
        wait_until(lambda: not media._flights)
        vendor._breaker.succeeded()  # its pause is over
        vendor.total_s = 60
        began_s = time.monotonic()
        found = media.resolve_many(APP, "ming", media_ids, NOW_MS)
        assert {type(one) for one in found.values()} == {Resource}
        media.close()
        vendor.close()
        assert time.monotonic() - began_s < 60, "what drips would go on for a quarter of an hour"


@pytest.fixture
def media(make: Make) -> Media:
    """The media of one worker."""
    return make()


def test_url_and_expiry(media: Media) -> None:
    """The URL comes unmodified, with the time that it names."""
    found = media.resolve(APP, "ming", "qiniu/image/a", NOW_MS)
    assert found == Resource(url_of("qiniu/image/a"), NOW_MS + LIFE_S * 1000, NOW_MS + LIFE_S * 1000 - MARGIN_MS)


def test_cached_until_shortly_before_it_expires(media: Media, stand_in: VendorStandIn) -> None:
    """Asked once while the URL lives, less the margin; at the margin the vendor is asked for a new one."""
    media.resolve(APP, "ming", "a", NOW_MS)
    margin_ms = NOW_MS + LIFE_S * 1000 - MARGIN_MS
    media.resolve(APP, "ana", "a", margin_ms - 1)
    assert len(stand_in.asked) == 1
    media.resolve(APP, "ming", "a", margin_ms)
    assert len(stand_in.asked) == 2


def test_without_expiry_cached_for_a_short_time(media: Media, stand_in: VendorStandIn) -> None:
    """A URL that names no time is asked for again after the default."""
    stand_in.reply = lambda asked: told_of(asked, expires_s=None)
    assert media.resolve(APP, "ming", "a", NOW_MS) == Resource(url_of("a", expires_s=None), None, NOW_MS + DEFAULT_MS)
    media.resolve(APP, "ming", "a", NOW_MS + DEFAULT_MS - 1)
    assert len(stand_in.asked) == 1
    media.resolve(APP, "ming", "a", NOW_MS + DEFAULT_MS)
    assert len(stand_in.asked) == 2


@pytest.mark.parametrize("left_s", [0, -1, -3600])
def test_expired_at_birth(media: Media, stand_in: VendorStandIn, left_s: int) -> None:
    """A URL that has expired when it comes is not handed out: one of two clocks is wrong."""
    stand_in.reply = lambda asked: told_of(asked, expires_s=NOW_MS // 1000 + left_s)
    with pytest.raises(VendorRefused, match="compare this host's clock"):
        media.resolve(APP, "ming", "a", NOW_MS)


def test_about_to_expire(media: Media, stand_in: VendorStandIn) -> None:
    """A URL within the margin is handed out to whoever waits for it, and not remembered."""
    stand_in.reply = lambda asked: told_of(asked, expires_s=NOW_MS // 1000 + 5)
    for _ in range(2):
        assert media.resolve(APP, "ming", "a", NOW_MS).expires_at_ms == NOW_MS + 5_000
    assert len(stand_in.asked) == 2


def test_workers_share_what_they_know(make: Make, stand_in: VendorStandIn) -> None:
    """What one worker has learned, another one need not ask for."""
    known = make().resolve(APP, "ming", "a", NOW_MS)
    assert make().resolve(APP, "ana", "a", NOW_MS + 1_000) == known
    assert len(stand_in.asked) == 1


def test_what_is_shared_is_not_stale(make: Make, stand_in: VendorStandIn) -> None:
    """Another worker's URL is not taken past the margin, though the store keeps entries for longer."""
    make().resolve(APP, "ming", "a", NOW_MS)
    make().resolve(APP, "ming", "a", NOW_MS + LIFE_S * 1000 - MARGIN_MS)
    assert len(stand_in.asked) == 2


STORED = {
    "another host": '{"url": "https://evil.example/a", "fresh_until_ms": 9999999999999}',
    "script": '{"url": "javascript:alert(1)", "fresh_until_ms": 9999999999999}',
    "expired": '{"url": "http://dl.im.jiguang.cn/a?e=1700000000", "fresh_until_ms": 9999999999999}',
    "another form": '{"url": "http://dl.im.jiguang.cn/a", "expires": 1}',
    "a list": '["http://dl.im.jiguang.cn/a", 9999999999999]',
    "no text": '{"url": 7, "fresh_until_ms": 9999999999999}',
    "no number": '{"url": "http://dl.im.jiguang.cn/a", "fresh_until_ms": "9999999999999"}',
    "a number": "7",
    "nothing": "",
    "no JSON": "http://dl.im.jiguang.cn/a",
    "nested": "[" * 100_000,
}


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED.keys())
def test_what_the_store_holds_is_checked(media: Media, store: Store, stand_in: VendorStandIn, stored: str) -> None:
    """As what the vendor returns: whoever writes to the store leads nobody elsewhere, nor does another version."""
    store.put(media._name((made_up.APPKEY, "a")), stored, keep_ms=60_000)
    assert media.resolve(APP, "ming", "a", NOW_MS).url == url_of("a")
    assert len(stand_in.asked) == 1


def test_a_shared_url_keeps_its_expiry(make: Make, stand_in: VendorStandIn) -> None:
    """One that names no expiry is not remembered anew by each worker that finds it."""
    stand_in.reply = lambda asked: told_of(asked, expires_s=None)
    make().resolve(APP, "ming", "a", NOW_MS)
    assert make().resolve(APP, "ming", "a", NOW_MS + 1000).fresh_until_ms == NOW_MS + DEFAULT_MS


def test_vendors_are_kept_apart(make: Make, stand_in: VendorStandIn) -> None:
    """What the sandbox answered is not what the vendor answers, though the store is the same."""
    make().resolve(APP, "ming", "a", NOW_MS)
    with vendor_stand_in() as other:
        other.reply = lambda asked: Reply.json({"url": f"{told_of(asked).body.decode()[9:-2]}&other"})
        assert make(url=other.url).resolve(APP, "ming", "a", NOW_MS).url.endswith("&other")
        assert len(other.asked) == 1
    assert len(stand_in.asked) == 1


def test_apps_are_kept_apart(make: Make, stand_in: VendorStandIn) -> None:
    """The same media_id of two apps is two things, asked with each app's own credentials."""
    media = make()
    for appkey in (made_up.APPKEY, made_up.OTHER_APPKEY):
        media.resolve(served(appkey), "ming", "a", NOW_MS)
    assert [asked.credentials.partition(":")[0] for asked in stand_in.asked] == [made_up.APPKEY, made_up.OTHER_APPKEY]


def test_unknown_media_are_cached_briefly(media: Media, stand_in: VendorStandIn) -> None:
    """The vendor is not asked again at once for what it does not know, and is after a while."""
    stand_in.reply = lambda _: Reply(404)
    for later_ms in (0, 1, UNKNOWN_MS - 1):
        with pytest.raises(UnknownMedia):
            media.resolve(APP, "ming", "a", NOW_MS + later_ms)
    assert len(stand_in.asked) == 1
    stand_in.reply = told_of
    assert media.resolve(APP, "ming", "a", NOW_MS + UNKNOWN_MS).url == url_of("a")


@pytest.mark.parametrize("reply", [Reply(503), Reply.json({}), Reply.json({"url": "http://10.0.0.1/a"})])
def test_failures_are_not_cached(make: Make, stand_in: VendorStandIn, reply: Reply) -> None:
    """When the vendor is well again, so is the next answer."""
    media = make()
    stand_in.reply = lambda _: reply
    with pytest.raises((VendorBusy, VendorRefused)):
        media.resolve(APP, "ming", "a", NOW_MS)
    stand_in.reply = told_of
    assert media.resolve(APP, "ming", "a", NOW_MS).url == url_of("a")


def test_not_a_media_id(media: Media, stand_in: VendorStandIn) -> None:
    """What cannot be one is not asked for."""
    with pytest.raises(InvalidMediaId):
        media.resolve(APP, "ming", "../users", NOW_MS)
    assert stand_in.asked == []


def test_one_flight_for_all_who_ask(media: Media, stand_in: VendorStandIn) -> None:
    """Many who ask for the same id at the same time cost one call, and all get its answer."""
    stand_in.freeze()
    with ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(media.resolve, APP, f"user-{n}", "a", NOW_MS) for n in range(20)]
        wait_until(lambda: len(stand_in.asked) == 1)
        stand_in.thaw()
        assert {future.result().url for future in asking} == {url_of("a")}
    assert len(stand_in.asked) == 1


def moved(stand_in: VendorStandIn) -> None:
    """Let every URL that the vendor gave out stop working, and each media be elsewhere."""
    stand_in.reply = lambda asked: Reply.json({"url": url_of("moved/" + dict(asked.query)["mediaId"])})


def test_a_fresh_url_replaces_the_cached_one(make: Make, stand_in: VendorStandIn) -> None:
    """A client whose URL has stopped working gets another, and so do all later ones, in the other worker too."""
    one, other, third = make(), make(), make()
    for worker in (one, other):
        worker.resolve(APP, "ming", "a", NOW_MS)
    moved(stand_in)
    assert one.resolve(APP, "ming", "a", NOW_MS + 1).url == url_of("a")
    assert one.resolve(APP, "ming", "a", NOW_MS + 2, fresh=True).url == url_of("moved/a")
    assert one.resolve(APP, "ana", "a", NOW_MS + 3).url == url_of("moved/a")
    assert other.resolve(APP, "ana", "a", NOW_MS + 4, fresh=True).url == url_of("moved/a")
    assert third.resolve(APP, "ana", "a", NOW_MS + 5).url == url_of("moved/a")
    assert len(stand_in.asked) == 2


def test_an_id_is_refreshed_once_in_a_while(make: Make, stand_in: VendorStandIn) -> None:
    """However many clients report it, the vendor is asked once in 30 seconds for each id."""
    workers = [make() for _ in range(2)]
    window_ms = -(-NOW_MS // FRESH_MS) * FRESH_MS
    for asked in range(10):
        workers[asked % 2].resolve(APP, f"user-{asked}", "a", window_ms + asked, fresh=True)
    assert len(stand_in.asked) == 1
    workers[0].resolve(APP, "ming", "b", window_ms, fresh=True)
    workers[0].resolve(APP, "ming", "a", window_ms + FRESH_MS - 1, fresh=True)
    assert len(stand_in.asked) == 2
    workers[0].resolve(APP, "ming", "a", window_ms + FRESH_MS, fresh=True)
    assert len(stand_in.asked) == 3


def test_fresh_urls_count_against_the_users_share(make: Make, stand_in: VendorStandIn) -> None:
    """Nobody spends everybody's budget by saying that URLs do not work."""
    media = make(share=3)
    results = media.resolve_many(APP, "eve", [f"a/{number}" for number in range(5)], NOW_MS, fresh=True)
    kinds = [type(found) for found in results.values()]
    assert (kinds.count(Resource), kinds.count(TooManyRequests)) == (3, 2)
    assert len(stand_in.asked) == 3


def test_a_fresh_url_does_not_join_one_who_reads_memory(make: Make, stand_in: VendorStandIn) -> None:
    """A flight that began before may come back with the URL that has stopped working."""
    found: list[str] = []
    media = make(on_lookup=found.append)
    stand_in.freeze()
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(media.resolve, APP, "ming", "a", NOW_MS, fresh=fresh) for fresh in (False, True, True)]
        wait_until(lambda: sorted(found) == ["joined", "requested", "requested"])
        stand_in.thaw()
        assert {future.result(60).url for future in asking} == {url_of("a")}
    assert len(stand_in.asked) == 2


def test_no_fresh_url_without_the_store(make: Make, stand_in: VendorStandIn) -> None:
    """Then nothing bounds it across workers: what the worker remembers has to do, and what it does not is asked."""
    media = make(store=open_store("unix:///nonexistent/redis.sock"))
    media.resolve(APP, "ming", "a", NOW_MS)
    moved(stand_in)
    assert media.resolve(APP, "ming", "a", NOW_MS, fresh=True).url == url_of("a")
    assert media.resolve(APP, "ming", "b", NOW_MS, fresh=True).url == url_of("moved/b")
    assert len(stand_in.asked) == 2


def test_a_flight_that_fails_fails_for_all_who_wait(media: Media, stand_in: VendorStandIn) -> None:
    """Those who waited get the refusal; nobody of them asks again by himself."""
    stand_in.freeze()
    stand_in.reply = lambda _: Reply(404)
    with ThreadPoolExecutor(5) as pool:
        asking = [pool.submit(media.resolve, APP, "ming", "a", NOW_MS) for _ in range(5)]
        wait_until(lambda: len(stand_in.asked) == 1)
        stand_in.thaw()
        assert all(isinstance(future.exception(), UnknownMedia) for future in asking)
    assert len(stand_in.asked) == 1


def test_a_batch_asks_side_by_side_and_bounded(make: Make, stand_in: VendorStandIn) -> None:
    """A hundred ids take a few calls' time, and the vendor never sees more calls at once than there are slots."""
    together, most, lock = 0, 0, threading.Lock()

    def reply_to(asked: Asked) -> Reply:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        threading.Event().wait(0.03)
        with lock:
            together -= 1
        return told_of(asked)

    stand_in.reply = reply_to
    ids = [f"a/{number}" for number in range(100)]
    results = make().resolve_many(APP, "ming", ids, NOW_MS)
    assert {media_id: found.url for media_id, found in results.items() if isinstance(found, Resource)} == {
        media_id: url_of(media_id) for media_id in ids
    }
    assert 2 <= most <= SLOTS


def test_a_batch_of_known_ids_costs_no_call(media: Media, stand_in: VendorStandIn) -> None:
    """A hundred ids that are remembered are answered from memory."""
    ids = [f"a/{number}" for number in range(100)]
    found = media.resolve_many(APP, "ming", ids, NOW_MS)
    assert not [refusal for refusal in found.values() if isinstance(refusal, Refusal)]
    stand_in.asked.clear()
    assert media.resolve_many(APP, "ming", ids, NOW_MS + 1) == found
    assert stand_in.asked == []


def test_each_id_of_a_batch_has_its_own_result(media: Media, stand_in: VendorStandIn) -> None:
    """One that is bad, unknown or refused leaves the others alone."""
    stand_in.reply = lambda asked: {
        "unknown": Reply(404),
        "odd": Reply.json({"url": "http://evil.example/"}),
    }.get(dict(asked.query)["mediaId"], told_of(asked))
    results = media.resolve_many(APP, "ming", ["good", "../bad", "unknown", "odd", "/good", "good"], NOW_MS)
    kinds = {media_id: type(found) for media_id, found in results.items()}
    assert kinds == {
        "good": Resource,
        "/good": Resource,
        "../bad": InvalidMediaId,
        "unknown": UnknownMedia,
        "odd": VendorRefused,
    }


def test_a_frozen_vendor_costs_a_bounded_time(make: Make, stand_in: VendorStandIn) -> None:
    """A batch gives up all together, with each id's own refusal."""
    media = make(total_s=0.3)
    stand_in.freeze()
    results = media.resolve_many(APP, "ming", [f"a/{number}" for number in range(40)], NOW_MS)
    assert {type(found) for found in results.values()} <= {VendorSlow, VendorBusy}
    stand_in.thaw()


def test_a_flight_is_not_waited_for_longer_than_the_vendor(
    make: Make, stand_in: VendorStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it waits for a thread, and has no time-out of its own yet."""
    media = make(total_s=60)
    monkeypatch.setattr(media_module, "SLACK_S", -60.0)
    stand_in.freeze()
    with pytest.raises(VendorSlow):
        media.resolve(APP, "ming", "a", NOW_MS)
    stand_in.thaw()


def test_what_came_in_time(make: Make, stand_in: VendorStandIn) -> None:
    """Of a batch that takes longer than there is time, the ids that were answered have their result."""
    places, is_over = threading.Semaphore(SLOTS), threading.Event()

    def reply_to(asked: Asked) -> Reply:
        if not places.acquire(blocking=False):
            is_over.wait()
        return told_of(asked)

    stand_in.reply = reply_to
    media = make(total_s=4)  # in which a machine may stand still
    kinds = [type(found) for found in media.resolve_many(APP, "ming", [f"a/{n}" for n in range(40)], NOW_MS).values()]
    is_over.set()
    assert kinds.count(Resource) == SLOTS
    assert kinds.count(VendorSlow) >= SLOTS
    assert set(kinds) <= {Resource, VendorSlow, VendorBusy}


def test_those_who_find_no_place_are_refused_at_once(make: Make, stand_in: VendorStandIn) -> None:
    """While the vendor hangs, only so many requests wait for it; the others have their answer."""
    media = make(bulkhead=1)
    media.resolve(APP, "ming", "known", NOW_MS)
    stand_in.freeze()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(media.resolve, APP, "ming", "a", NOW_MS)
        wait_until(lambda: len(stand_in.asked) == 2)
        with pytest.raises(VendorBusy, match="too many requests are waiting"):
            media.resolve(APP, "ming", "b", NOW_MS)
        assert media.resolve(APP, "ming", "known", NOW_MS).url == url_of("known")
        stand_in.thaw()
        assert waiting.result().url == url_of("a")


def test_one_user_cannot_spend_everybodys_budget(make: Make, stand_in: VendorStandIn) -> None:
    """Past his share a user gets only what is known; others are still served."""
    media = make(share=3)
    results = media.resolve_many(APP, "eve", [f"a/{number}" for number in range(5)], NOW_MS)
    kinds = [type(found) for found in results.values()]
    assert kinds.count(Resource) == 3
    assert kinds.count(TooManyRequests) == 2
    assert media.resolve(APP, "eve", "a/0", NOW_MS).url == url_of("a/0")
    assert media.resolve(APP, "ming", "b", NOW_MS).url == url_of("b")
    assert len(stand_in.asked) == 4


@pytest.mark.parametrize("share", [3, 4])
def test_each_call_counts_against_the_users_share(make: Make, stand_in: VendorStandIn, share: int) -> None:
    """A second try is one too; with nothing left of the share the first failure is the answer."""
    stand_in.reply = lambda _: Reply(503)
    media = make(share=share)
    for _ in range(2):
        with pytest.raises(VendorBusy):
            media.resolve(APP, "ming", "a", NOW_MS)
    assert len(stand_in.asked) == share
    with pytest.raises(TooManyRequests):
        media.resolve(APP, "ming", "a", NOW_MS)
    assert len(stand_in.asked) == share


def test_the_budget_is_shared_by_all_workers(make: Make, stand_in: VendorStandIn) -> None:
    """When it is spent the vendor is asked no more, by whichever worker, and the refusal names the time."""
    workers = [make(budget=3) for _ in range(2)]
    outcomes: list[Resource | Refusal] = []
    for number in range(6):
        outcomes += workers[number % 2].resolve_many(APP, "ming", [f"a/{number}"], NOW_MS).values()
    assert [type(found) for found in outcomes] == [Resource] * 3 + [VendorBusy] * 3
    assert isinstance(outcomes[-1], VendorBusy)
    assert 1 <= outcomes[-1].retry_after_s <= 60
    assert len(stand_in.asked) == 3


def test_without_the_store(make: Make, stand_in: VendorStandIn) -> None:
    """While the store is unavailable the workers do not share, and nothing else changes."""
    media = make(store=open_store("unix:///nonexistent/redis.sock"))
    assert media.resolve(APP, "ming", "a", NOW_MS).url == url_of("a")
    assert media.resolve(APP, "ming", "a", NOW_MS).url == url_of("a")
    assert len(stand_in.asked) == 1


def test_memory_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the id that was learned longest ago is forgotten; the store still knows it."""
    monkeypatch.setattr(media_module, "MAX_CACHED", 2)
    media = make()
    for media_id in ("a", "b", "c"):
        media.resolve(APP, "ming", media_id, NOW_MS)
    assert len(media._cache) == 2


def test_lookups_are_reported(make: Make, stand_in: VendorStandIn) -> None:
    """Asked once, joined by who comes meanwhile, then remembered; an unknown id too."""
    found: list[str] = []
    media = make(on_lookup=found.append)
    stand_in.freeze()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(media.resolve, APP, "ming", "a", NOW_MS)
        wait_until(lambda: found == ["requested"])
        second = pool.submit(media.resolve, APP, "ana", "a", NOW_MS)
        wait_until(lambda: found == ["requested", "joined"])
        stand_in.thaw()
        assert first.result(60) == second.result(60)
    media.resolve(APP, "ming", "a", NOW_MS)
    stand_in.reply = lambda _: Reply(status=404)
    for _ in range(2):
        with pytest.raises(UnknownMedia):
            media.resolve(APP, "ming", "b", NOW_MS)
    assert found == ["requested", "joined", "cached", "requested", "cached"]
