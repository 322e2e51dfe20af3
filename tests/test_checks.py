"""What `authsvc check` finds."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from authsvc import checks
from authsvc.auth import jwks
from authsvc.checks import Finding
from authsvc.payloads.apps import App
from authsvc.payloads.payload import MAX_SKEW_MS
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.vendor import client
from tests.conftest import Clock
from tests.support import app_stand_in, keys, made_up
from tests.support.login_service import LoginService
from tests.support.redis_shapes import PortServer
from tests.support.running import Service, free_port
from tests.support.services import RedisServer
from tests.support.vendor_stand_in import UNKNOWN, Reply, VendorStandIn, vendor_stand_in

APP = f"appkey {made_up.APPKEY}"
JWKS = "AUTHSVC_JWT_JWKS_URL"


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor on loopback that accepts all credentials and has no Date."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = lambda _: UNKNOWN
        yield stand_in


@pytest.fixture
def settings(settings: Settings, stand_in: VendorStandIn, tmp_path: Path) -> Settings:
    """Nothing is wrong with these."""
    return settings.model_copy(
        update={
            "vendor_url": stand_in.url,
            "store_url": Secret(f"sqlite://{tmp_path}/store.db"),
            "jwt_audience": ("authsvc",),
        }
    )


def found(
    settings: Settings, clock: Clock, candidate: App | None = None, *, is_offline: bool = False
) -> dict[str, Finding]:
    every = list(checks.findings(settings, clock, candidate=candidate, is_offline=is_offline))
    shown = "".join(f"{one.name}{one.words}" for one in every)
    assert not any(canary in shown for canary in made_up.CANARIES)
    return {one.name: one for one in every}


def test_all_is_well(settings: Settings, clock: Clock) -> None:
    """A line for the settings, the store, its clock and each app."""
    every = found(settings, clock)
    assert {one.grade for one in every.values()} == {"ok"}
    assert list(every) == ["settings", "store", "clock", APP]
    place = settings.store_url.reveal().removeprefix("sqlite://")
    assert every["store"].words == f"write succeeded (SQLite file {place})"
    assert every[APP].words == f"the vendor accepts the credentials ({settings.vendor_url})"


@pytest.mark.parametrize(
    ("reply", "names", "grade", "words"),
    [
        (Reply.json({"status": 0}), "readable", "ok", "registers no users"),
        (Reply.json({"status": 1}), "readable", "note", "anybody can register a user's name in advance"),
        (Reply.json({"status": 1}), "derived", "note", "with names that are not ours"),
        (Reply.json({"status": "on"}), "readable", "note", "does not show"),
        (Reply(503), "readable", "note", "does not show"),
    ],
)
def test_whether_the_sdk_registers(
    settings: Settings, clock: Clock, stand_in: VendorStandIn, reply: Reply, names: str, grade: str, words: str
) -> None:
    """Anybody with a payload could take a username that is yet to be registered."""
    stand_in.reply = lambda asked: reply if asked.path == "/v1/sdkregister/status" else UNKNOWN
    changes = {"account_key": Secret(made_up.ACCOUNT_KEY), "account_names": names}
    every = found(settings.model_copy(update=changes), clock, App(made_up.APPKEY, Secret("a made-up new one")))
    assert every[f"{APP}, registration"].grade == grade
    assert words in every[f"{APP}, registration"].words
    assert ("sdkregister/status?status=0" in every[f"{APP}, registration"].words) is (grade != "ok")
    assert sum(name.endswith("registration") for name in every) == 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"session_key": (Secret("short"),)}, "AUTHSVC_SESSION_KEY"),
        ({"gateway_secret": (Secret("short"), Secret("x" * 40))}, "AUTHSVC_GATEWAY_SECRET"),
        ({"verifier_keys": (Secret("short"),)}, "AUTHSVC_VERIFIER_KEYS"),
        ({"verifier_keys": ()}, "AUTHSVC_VERIFIER_KEYS"),
        ({"jwt_audience": ()}, "AUTHSVC_JWT_AUDIENCE"),
        ({"account_key": Secret(made_up.ACCOUNT_KEY)}, "AUTHSVC_SESSION_USER_FIELD"),
        (
            {"account_key": Secret(made_up.ACCOUNT_KEY), "session_user_field": "fs_uniquifier"},
            "AUTHSVC_SESSION_USER_FIELD",
        ),
    ],
)
def test_notes(settings: Settings, clock: Clock, changes: dict[str, object], name: str) -> None:
    """What works and could be better is noted, and no failure."""
    every = found(settings.model_copy(update=changes), clock)
    assert every[name].grade == "note"
    assert "FAIL" not in {one.grade for one in every.values()}


def test_an_id_that_stays(settings: Settings, clock: Clock, stand_in: VendorStandIn) -> None:
    """There is nothing to note of a session's field of the app's own."""
    stand_in.reply = lambda asked: Reply.json({"status": 0}) if "sdkregister" in asked.path else UNKNOWN
    changes = {"account_key": Secret(made_up.ACCOUNT_KEY), "session_user_field": "uid"}
    assert {one.grade for one in found(settings.model_copy(update=changes), clock).values()} == {"ok"}


def test_store_unavailable(settings: Settings, clock: Clock) -> None:
    """With the reason and where to look; the vendor is tried all the same."""
    every = found(settings.model_copy(update={"store_url": Secret("unix:///nonexistent/redis.sock")}), clock)
    assert every["store"] == Finding(
        "FAIL",
        "store",
        "write failed: No such file or directory (Redis at /nonexistent/redis.sock); see AUTHSVC_STORE_URL",
    )
    assert every[APP].grade == "ok"
    assert "clock" not in every


def test_store_that_may_evict(settings: Settings, clock: Clock, redis_server: RedisServer) -> None:
    """A failure, with the setting to change; it works until memory is short, and then nothing shows it."""
    settings = settings.model_copy(update={"store_url": Secret(redis_server.url)})
    assert "memory" not in found(settings, clock)
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "volatile-ttl")
    every = found(settings, clock)
    assert every["store"].grade == "ok"
    assert every["memory"].grade == "FAIL"
    assert every["memory"].words.startswith("maxmemory-policy is volatile-ttl")


@pytest.mark.parametrize("off_s", [-40, 0, 40])
def test_clock_against_the_vendors(settings: Settings, clock: Clock, stand_in: VendorStandIn, off_s: int) -> None:
    """A clock that is off is why signatures expire at birth."""
    date = formatdate(clock.now_ms / 1000 + off_s, usegmt=True)
    stand_in.reply = lambda _: replace(UNKNOWN, headers={"Date": date})
    one = found(settings, clock)["vendor clock"]
    assert one.grade == ("ok" if abs(off_s) * 1000 <= MAX_SKEW_MS else "FAIL")
    assert "off the vendor's" in one.words


def test_clock_against_the_stores(settings: Settings, clock: Clock) -> None:
    """The same, where several hosts share a store; SQLite's is this host's own, some seconds ago."""
    clock.now_ms -= 60_000
    assert found(settings, clock)["clock"].grade == "FAIL"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(401), "refuses this service's credentials"),
        (Reply(503), "an error of its own"),
        (Reply(429), "rate limit is exhausted"),
    ],
)
def test_vendor(settings: Settings, clock: Clock, stand_in: VendorStandIn, reply: Reply, words: str) -> None:
    """Each failure with what to do about it."""
    stand_in.reply = lambda _: reply
    one = found(settings, clock)[APP]
    assert one.grade == "FAIL"
    assert words in one.words
    assert "; compare the masterSecret" in one.words or "; see AUTHSVC_VENDOR_URL" in one.words


def freeze(stand_in: VendorStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it answer nothing, and whoever asks wait for a second."""
    stand_in.freeze()
    monkeypatch.setattr(client, "TRY_S", 1.0)
    monkeypatch.setattr(jwks, "TIMEOUT_S", 1.0)


def test_vendor_frozen(
    settings: Settings, clock: Clock, stand_in: VendorStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the vendor's time, and not for ever."""
    freeze(stand_in, monkeypatch)
    assert found(settings, clock)[APP].grade == "FAIL"


def test_a_candidate(settings: Settings, clock: Clock, stand_in: VendorStandIn) -> None:
    """A masterSecret that nobody uses yet is tried beside those in use."""
    stand_in.reply = lambda asked: Reply(401) if made_up.OTHER_MASTER_SECRET in asked.credentials else UNKNOWN
    candidate = App(made_up.APPKEY, Secret(made_up.OTHER_MASTER_SECRET))
    every = found(settings, clock, candidate)
    assert every[APP].grade == "ok"
    assert every[f"appkey {made_up.APPKEY}, new masterSecret"].grade == "FAIL"


def test_it_costs_one_call_an_app(settings: Settings, clock: Clock, stand_in: VendorStandIn) -> None:
    """And none when the budget is spent."""
    found(settings.model_copy(update={"vendor_budget": Rate(1, 3_600_000)}), clock)
    found(settings.model_copy(update={"vendor_budget": Rate(1, 3_600_000)}), clock)
    assert len(stand_in.asked) == 1


@pytest.mark.parametrize("is_candidate", [False, True])
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_not_the_vendor(
    settings: Settings, clock: Clock, stand_in: VendorStandIn, status: int, *, is_candidate: bool
) -> None:
    """HTML with any status accepts no credentials, neither those in use nor new ones."""
    html = Reply(status, b"<html>Not Found</html>", {"Content-Type": "text/html"})
    bad = made_up.OTHER_MASTER_SECRET if is_candidate else made_up.MASTER_SECRET
    stand_in.reply = lambda asked: html if bad in asked.credentials else UNKNOWN
    every = found(settings, clock, App(made_up.APPKEY, Secret(made_up.OTHER_MASTER_SECRET)))
    new = every[f"{APP}, new masterSecret"]
    failed, accepted = (new, every[APP]) if is_candidate else (every[APP], new)
    assert (failed.grade, accepted.grade) == ("FAIL", "ok")
    assert f"the answer is not from the vendor's API (status {status}, 'text/html') ({stand_in.url})" in failed.words


def nothing_listens() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"//127.0.0.1:{probe.getsockname()[1]}"


WAYS_TO_FAIL: dict[str, tuple[str, Callable[[VendorStandIn], str], str]] = {
    "refused": ("http:", lambda _: nothing_listens(), "connection refused"),
    "dns": ("http:", lambda _: "//vendor.invalid", "DNS: "),
    "tls": ("https:", lambda stand_in: stand_in.url.removeprefix("http:"), "TLS: "),
    "time-out": ("http:", lambda stand_in: stand_in.url.removeprefix("http:"), "timed out"),
}


@pytest.mark.parametrize("what", ["vendor_url", "jwt_jwks_url"])
@pytest.mark.parametrize("way", WAYS_TO_FAIL)
def test_why_it_cannot_be_reached(
    settings: Settings, clock: Clock, stand_in: VendorStandIn, monkeypatch: pytest.MonkeyPatch, way: str, what: str
) -> None:
    """DNS, a refused connection, TLS and a time-out look different; the line has the URL."""
    scheme, where, words = WAYS_TO_FAIL[way]
    url = scheme + where(stand_in)
    if way == "time-out":
        freeze(stand_in, monkeypatch)
    changes = {what: url, "jwt_algorithms": ("RS256",), "jwt_key": None}
    one = found(settings.model_copy(update=changes), clock)[APP if what == "vendor_url" else JWKS]
    assert one.grade == "FAIL"
    assert words in one.words
    assert f"({url})" in one.words


@pytest.mark.parametrize(
    ("password", "words"), [("wrong", "invalid username-password pair"), ("", "Authentication required")]
)
def test_a_wrong_password_of_the_store(
    settings: Settings, clock: Clock, tmp_path: Path, password: str, words: str
) -> None:
    """It looks like nothing else, and is not repeated."""
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis", "--requirepass", "made-up") as server:
        url = server.url.replace("unix://", f"unix://:{password}@") if password else server.url
        one = found(settings.model_copy(update={"store_url": Secret(url)}), clock)["store"]
    assert one.grade == "FAIL"
    assert words in one.words
    assert f"(Redis at {server.socket})" in one.words


def test_a_server_that_repeats_the_password(settings: Settings, clock: Clock, tmp_path: Path) -> None:
    """A Redis whose AUTH was renamed answers with the arguments of what it does not know; nobody sees them."""
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis", "--rename-command", "AUTH", "login") as server:
        url = server.url.replace("unix://", f"unix://:{made_up.VERIFIER_KEY}@")
        one = found(settings.model_copy(update={"store_url": Secret(url)}), clock)["store"]
    assert one.grade == "FAIL"
    assert "write failed: unknown command 'AUTH' (" in one.words


def test_a_node_of_a_cluster(settings: Settings, clock: Clock, tmp_path: Path) -> None:
    """The URL of one node names the URL to use."""
    with PortServer(tmp_path / "node", "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        url = f"redis://127.0.0.1:{server.port}"
        one = found(settings.model_copy(update={"store_url": Secret(url)}), clock)["store"]
    assert one.grade == "FAIL"
    assert "begin the URL with redis+cluster://" in one.words


def test_the_default_store_is_shared(settings: Settings, clock: Clock, tmp_path: Path) -> None:
    """Two services of one user share it, unless the settings differ."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set - {"store_url"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path))
        one = found(Settings(**given), clock)["store"]
    assert one.grade == "ok"
    assert f"(SQLite file {tmp_path}/authsvc/store.db, the default that every authsvc of this user shares" in one.words


def test_offline(settings: Settings, clock: Clock, stand_in: VendorStandIn) -> None:
    """Then neither the vendor nor the JWKS URL nor the app is asked, and a note has that."""
    urls = {"jwt_jwks_url": f"{stand_in.url}/jwks", "login_url": f"{stand_in.url}/auth/check"}
    settings = settings.model_copy(update=urls | {"jwt_algorithms": ("RS256",)})
    every = found(settings, clock, is_offline=True)
    assert list(every) == ["settings", "store", "clock", "offline"]
    assert every["offline"].grade == "note"
    assert stand_in.asked == []


@pytest.mark.parametrize(
    ("published", "algorithms", "grade", "words"),
    [
        ([keys.jwk(keys.rsa())], ("RS256",), "ok", "1 of 1 key(s) can verify RS256"),
        (
            [keys.jwk(keys.rsa()), keys.jwk(keys.ec(), "e\n")],
            ("RS256", "PS256"),
            "ok",
            "1 of 2 key(s) can verify RS256, PS256",
        ),
        (
            [keys.jwk(keys.ec(), "e\n")],
            ("RS256",),
            "FAIL",
            "not kid 'e\\n' kty 'EC' crv 'P-256' use 'sig'; see AUTHSVC_JWT_",
        ),
        ([{}] * 7, ("ES256",), "FAIL", "a key without any of these and 2 more; see AUTHSVC_JWT_ALGORITHMS"),
        ([], ("ES256",), "FAIL", "0 of 0 key(s) can verify ES256"),
        (None, ("ES256",), "FAIL", "no keys: the answer is not a JSON object with a list of keys"),
    ],
)
def test_keys_behind_the_jwks_url(
    settings: Settings,
    clock: Clock,
    published: list[object] | None,
    algorithms: tuple[str, ...],
    grade: str,
    words: str,
) -> None:
    """How many can be used, and what the others are."""
    with LoginService() as login:
        login.answer(json.dumps({"keys": published}).encode())
        changes = {"jwt_jwks_url": login.url, "jwt_algorithms": algorithms, "jwt_key": None}
        one = found(settings.model_copy(update=changes), clock)[JWKS]
    assert one.grade == grade
    assert words in one.words
    assert f"({login.url})" in one.words


@pytest.mark.parametrize(
    ("reply_to", "grade", "words"),
    [
        (lambda _: app_stand_in.Reply(401), "ok", "the app rejects this login (status 401), which is right"),
        (
            lambda _: app_stand_in.Reply(302),
            "ok",
            "redirects (status 302), probably to a login form; it should",
        ),
        (
            lambda _: app_stand_in.user("ming"),
            "FAIL",
            "the app accepts a request without a login, so anybody could log in",
        ),
        (
            lambda question: app_stand_in.user("ming") if question.login else app_stand_in.Reply(401),
            "FAIL",
            "the app accepts a made-up login, so anybody could log in",
        ),
        (lambda _: app_stand_in.Reply(), "FAIL", "status 200 and no X-User header"),
        (lambda _: app_stand_in.Reply(ends=True), "FAIL", "closed the connection early: "),
    ],
)
def test_the_app_that_is_asked(
    settings: Settings,
    clock: Clock,
    reply_to: Callable[[app_stand_in.Question], app_stand_in.Reply],
    grade: str,
    words: str,
) -> None:
    """It has to refuse a request without a login, and one that is made up, whatever its session is called."""
    with app_stand_in.app_stand_in() as app:
        app.reply = reply_to
        one = found(settings.model_copy(update={"login_url": app.url}), clock)["AUTHSVC_LOGIN_URL"]
        assert (one.grade, one.words) == (grade, f"{one.words.removesuffix(f' ({app.url})')} ({app.url})")
        assert words in one.words
        if grade == "ok":
            nobody, made_up_login = app.questions
            assert nobody.login == ""
            assert "PHPSESSID=" in made_up_login.login
            assert "Bearer " in made_up_login.login


def test_an_app_that_is_authsvc_itself(settings: Settings, clock: Clock, service: Service) -> None:
    """It refuses what it is sent, and still it is not the app."""
    service.start("--workers", "1")
    url = f"http://127.0.0.1:{service.port}/v1/resource?media_id=qiniu/a.png"
    one = found(settings.model_copy(update={"login_url": url}), clock)["AUTHSVC_LOGIN_URL"]
    assert one.grade == "FAIL"
    assert "points to authsvc itself" in one.words


def test_a_proxy_is_named(settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its host and without its password: what fails may be the proxy."""
    proxy = nothing_listens()
    monkeypatch.setenv("HTTPS_PROXY", f"http:{proxy}".replace("//", f"//user:{made_up.VERIFIER_KEY}@"))
    one = found(settings.model_copy(update={"vendor_url": "https://vendor.invalid"}), clock)[APP]
    assert one.grade == "FAIL"
    assert f"connection refused (https://vendor.invalid through the proxy http:{proxy})" in one.words
