"""Fetching keys: how often, how long they serve, and what happens when their URL fails."""

import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from authsvc.auth import jwks as jwks_module
from authsvc.auth.jwks import COOL_DOWN_S, FRESH_S, MAX_BYTES, RETRY_S, STALE_S, WAITING, Jwks, check_url
from authsvc.errors import KeysUnavailable, NotLoggedIn
from tests.support.login_service import LoginService
from tests.support.running import wait_until


class Clock:
    """A monotonic clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def monotonic() -> Clock:
    """The clock by which keys age."""
    return Clock()


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoginService]:
    """A login service that publishes one key."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoginService() as service:
        service.publish(key("first"))
        yield service


@pytest.fixture
def jwks(login: LoginService, monotonic: Clock) -> Jwks[str]:
    """Its keys, none fetched yet."""
    return Jwks(login.url, read, monotonic_s=monotonic)


def key(kid: object) -> dict[str, object]:
    """Return what stands for a JWK here."""
    return {"kid": kid, "made_of": f"{kid} key"}


def read(jwk: Mapping[str, Any]) -> str | None:
    """Make a key of it, if it can be used."""
    return jwk.get("made_of")


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example/.well-known/jwks.json",
        "http://127.0.0.1:8080/jwks",
        "https://login.example",
        "HTTPS://Login.Example:443/jwks?v=1&x=%20#frag",
        "http://[::1]:8080/jwks",
    ],
)
def test_urls_that_are_accepted(url: str) -> None:
    """Any HTTP URL will do, on loopback without TLS too."""
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example/jwks",
        "file:///etc/passwd",
        "ftp://login.example/jwks",
        "data:application/json,{}",
        "https://",
        "https:///jwks",
        "https://user:canary@login.example/jwks",
        "https://login.example:port/jwks",
        "https://login.example/a b",
        "https://login.example/jwks\n",
        "https://login.example/\r\nX-Evil: 1",
        "https://中国.example/jwks",
        " https://login.example/jwks",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    """A URL of another scheme, with a password or with anything that is no URL is refused, without being repeated."""
    with pytest.raises(ValueError, match=r"^must be an http:// or https:// URL") as refused:
        check_url(url)
    assert "canary" not in str(refused.value)


def refreshed(jwks: Jwks[str]) -> None:
    """Wait until a fetch that has begun is over."""
    wait_until(lambda: jwks._fetched is None)


def test_keys_are_fetched_once_while_fresh(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """One fetch serves for five minutes, to the very moment; the next goes on beside the requests."""
    assert login.requests == []
    assert jwks.find("first") == "first key"
    monotonic.s += FRESH_S - 0.001
    assert jwks.find("first") == "first key"
    assert len(login.requests) == 1
    monotonic.s += 0.001
    assert jwks.find("first") == "first key"
    refreshed(jwks)
    assert len(login.requests) == 2


def test_the_request_has_a_user_agent(jwks: Jwks[str], login: LoginService) -> None:
    """Some hosts reject Python's own User-Agent."""
    jwks.find("first")
    path, headers = login.requests[0]
    assert (path, headers["User-Agent"], headers["Accept"]) == ("/jwks.json", "authsvc", "application/json")


def test_a_proxy_of_the_environment_is_used(login: LoginService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a proxy leads out, HTTP_PROXY and its kin name it."""
    monkeypatch.setenv("http_proxy", login.url.removesuffix("/jwks.json"))
    assert Jwks("http://login.example/jwks.json", read).find("first") == "first key"
    assert login.requests[0][0] == "http://login.example/jwks.json"


BAD_ANSWERS: dict[str, tuple[tuple[bytes, ...], dict[str, Any]]] = {
    "HTML": ((b"<!doctype html><title>Log in</title>",), {}),
    "empty": ((b"",), {}),
    "empty object": ((b"{}",), {}),
    "list": ((b"[]",), {}),
    "null": ((b"null",), {}),
    "keys an object": ((b'{"keys":{}}',), {}),
    "keys null": ((b'{"keys":null}',), {}),
    "no key": ((b'{"keys":[]}',), {}),
    "no key that is one": ((b'{"keys":[5,null,"k",[]]}',), {}),
    "no usable key": ((b'{"keys":[{"kid":"first"}]}',), {}),
    "not UTF-8": ((b'{"keys":["\xff\xfe"]}',), {}),
    "nested deeply": ((b'{"keys":' + b"[" * 100_000,), {}),
    "huge": ((b'{"keys":[' + b" " * MAX_BYTES, json.dumps(key("first")).encode() + b"]}"), {}),
    "cut off": ((b'{"keys":[{"kid":"first"',), {"Content_Length": "1000"}),
    "absurd length": ((b"{}",), {"Content_Length": "-5"}),
    "broken chunks": ((b"nonsense\r\n\r\n",), {"Transfer_Encoding": "chunked"}),
    "404": ((b'{"keys":[{"kid":"first","made_of":"x"}]}',), {"status": 404}),
    "500": ((b"",), {"status": 500}),
    "503": ((b"",), {"status": 503, "Retry_After": "5"}),
}


@pytest.mark.parametrize(("chunks", "answer"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_an_answer_that_is_no_key_set(
    jwks: Jwks[str], login: LoginService, chunks: tuple[bytes, ...], answer: dict[str, Any]
) -> None:
    """Without keys no token can be rejected: the login service is unavailable, whatever it answers."""
    login.answer(*chunks, **answer)
    with pytest.raises(KeysUnavailable):
        jwks.find("first")


def test_an_answer_of_the_largest_size_is_read(jwks: Jwks[str], login: LoginService) -> None:
    """The size is bounded as documented."""
    start, end = b'{"keys":[', json.dumps(key("first")).encode() + b"]}"
    login.answer(start + b" " * (MAX_BYTES - len(start) - len(end)) + end)
    assert jwks.find("first") == "first key"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(jwks: Jwks[str], login: LoginService, status: int) -> None:
    """The keys come from the URL that is set: a redirect is an answer without keys."""
    login.answer(status=status, Location=login.url.replace("jwks", "elsewhere"))
    with pytest.raises(KeysUnavailable):
        jwks.find("first")
    assert [path for path, _ in login.requests] == ["/jwks.json"]


def test_a_server_that_is_down(
    jwks: Jwks[str], login: LoginService, monotonic: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused connection counts as unavailable. The log has one line with the reason, however often it is tried."""
    login.stop()
    for _ in range(3):
        with caplog.at_level(logging.WARNING), pytest.raises(KeysUnavailable):
            jwks.find("first")
        monotonic.s += RETRY_S
    assert logged(caplog) == ["the JWKS URL is unavailable: connection refused; see AUTHSVC_JWT_JWKS_URL"]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("authsvc.")]


def test_a_server_that_is_back(
    jwks: Jwks[str], login: LoginService, monotonic: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """That is logged too."""
    login.answer(b"", status=502)
    with caplog.at_level(logging.WARNING), pytest.raises(KeysUnavailable):
        jwks.find("first")
    monotonic.s += RETRY_S
    login.publish(key("first"))
    assert jwks.find("first")
    assert [message.partition(";")[0] for message in logged(caplog)] == [
        "the JWKS URL is unavailable: the answer has the status 502",
        "the JWKS URL is available again",
    ]


def test_loopback_is_asked_directly(login: LoginService, monotonic: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment has another loopback than we."""
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert Jwks(login.url, read, monotonic_s=monotonic).find("first")


def test_a_host_that_does_not_exist() -> None:
    """A name that cannot be looked up counts as unavailable."""
    for host in ("a" * 64 + ".invalid", "a..invalid"):
        with pytest.raises(KeysUnavailable):
            Jwks(f"http://{host}/jwks.json", read).find("first")


def test_a_frozen_server_costs_one_timeout(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """One request waits for the time-out; for the next five seconds nobody waits for anything."""
    login.answering.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jwks_module, "TIMEOUT_S", 1.0)
        with pytest.raises(KeysUnavailable):
            jwks.find("first")
    wait_until(lambda: len(login.requests) == 1)
    refreshed(jwks)
    monotonic.s += RETRY_S - 0.001
    for _ in range(50):
        with pytest.raises(KeysUnavailable):
            jwks.find("first")
        assert jwks._fetched is None
    assert len(login.requests) == 1
    login.answering.set()
    monotonic.s += 0.001
    assert jwks.find("first") == "first key"
    assert len(login.requests) == 2


def test_a_server_that_dribbles(jwks: Jwks[str], login: LoginService, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that never stops is given up, though each of its bytes comes in time."""
    monkeypatch.setattr(jwks_module, "TIMEOUT_S", 1.0)
    login.answer(*[b" "] * 10_000, between_chunks_s=0.1)
    with pytest.raises(KeysUnavailable):
        jwks.find("first")
    refreshed(jwks)


def test_known_keys_verify_while_the_url_is_unavailable(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """An outage of up to an hour since the last good fetch is not noticed; each retry waits for five seconds."""
    assert jwks.find("first") == "first key"
    login.answer(status=503)
    monotonic.s += FRESH_S
    assert jwks.find("first") == "first key"
    refreshed(jwks)
    monotonic.s += RETRY_S - 0.001
    assert jwks.find("first") == "first key"
    refreshed(jwks)
    assert len(login.requests) == 2
    monotonic.s += 0.001
    assert jwks.find("first") == "first key"
    refreshed(jwks)
    assert len(login.requests) == 3
    monotonic.s = 1000.0 + STALE_S - 0.001
    assert jwks.find("first") == "first key"
    refreshed(jwks)
    monotonic.s = 1000.0 + STALE_S
    with pytest.raises(KeysUnavailable):
        jwks.find("first")
    login.publish(key("second"))
    monotonic.s += RETRY_S
    assert jwks.find("second") == "second key"
    with pytest.raises(NotLoggedIn):
        jwks.find("first")


def test_a_new_key_is_found_after_the_cool_down(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """
    A key id that is not known fetches anew, five seconds after the last fetch at the earliest.

    Until then it may be a new key, and Retry-After has the time.
    """
    assert jwks.find("first") == "first key"
    login.publish(key("first"), key("second"))
    for later_s, left_s in ((0.5, 5), (1.5, 3), (2.999, 1)):
        monotonic.s += later_s
        with pytest.raises(
            KeysUnavailable, match=r"^the token's key id \(kid\) was not among .* at the last fetch"
        ) as away:
            jwks.find("second")
        assert away.value.retry_after_s == left_s
    assert len(login.requests) == 1
    monotonic.s += 0.001
    assert jwks.find("second") == "second key"
    with pytest.raises(NotLoggedIn, match=r"^the token's key id \(kid\) is not among the login service's keys$"):
        jwks.find("third")
    assert len(login.requests) == 2


def test_made_up_key_ids_fetch_once_a_cool_down(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """Whoever sends tokens with made-up key ids cannot make us hammer the login service."""
    for _ in range(3):
        with pytest.raises(NotLoggedIn):
            jwks.find("../../first")
        for number in range(20):
            monotonic.s += 0.001
            with pytest.raises(KeysUnavailable):
                jwks.find(f"../../{number}")
        monotonic.s += COOL_DOWN_S
    assert len(login.requests) == 3
    assert jwks.find("first") == "first key"


def test_an_unknown_key_id_while_the_url_is_unavailable(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """It may be a new key: unavailable, not rejected. Known keys still verify."""
    assert jwks.find("first") == "first key"
    login.answer(status=503)
    monotonic.s += COOL_DOWN_S
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            jwks.find("second")
        assert jwks.find("first") == "first key"
    assert len(login.requests) == 2


def test_a_token_without_key_id(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """The only usable key is meant; of several, none."""
    login.publish({"kid": "unusable"}, key("only"))
    assert jwks.find(None) == "only key"
    login.publish({"made_of": "nameless key"})
    monotonic.s += STALE_S
    assert jwks.find(None) == "nameless key"
    login.publish(key("first"), key("second"))
    monotonic.s += STALE_S
    several = r"^the token has no key id \(kid\), and the login service publishes several keys$"
    with pytest.raises(NotLoggedIn, match=several):
        jwks.find(None)
    assert jwks.find(None, lambda found: found == "second key") == "second key"
    with pytest.raises(NotLoggedIn, match=several):
        jwks.find(None, lambda _found: False)


def test_key_ids_of_a_wrong_kind(jwks: Jwks[str], login: LoginService) -> None:
    """Only a string that is equal finds a key."""
    login.publish(key(5), key(None), key(["first"]), key({}), key("First"), key("first "), key("first"))
    assert jwks.find("first") == "first key"
    for kid in ("5", "", "None", "['first']"):
        with pytest.raises(NotLoggedIn):
            jwks.find(kid)


def test_many_threads_fetch_once(jwks: Jwks[str], login: LoginService) -> None:
    """All those who ask before the first keys are there wait for one and the same fetch."""
    login.answering.clear()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(jwks.find, "first") for _ in range(8)]
        wait_until(lambda: len(login.requests) == 1)
        login.answering.set()
        assert [one.result() for one in found] == ["first key"] * 8
    assert len(login.requests) == 1


def test_a_known_user_never_waits(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """Neither for fresh keys, nor while others wait whose key is not known: that the URL hangs is not seen."""
    jwks.find("first")
    for later_s in (FRESH_S, COOL_DOWN_S):
        monotonic.s += later_s
        login.answering.clear()
        with ThreadPoolExecutor(4) as pool:
            unknown = [pool.submit(jwks.find, "second") for _ in range(4)]
            wait_until(lambda: len(login.requests) == 2)
            assert [jwks.find("first") for _ in range(50)] == ["first key"] * 50
            assert not any(one.done() for one in unknown)
            login.answering.set()
            assert all(isinstance(one.exception(60), NotLoggedIn) for one in unknown)
        login.requests.pop()


def test_not_all_threads_wait(jwks: Jwks[str], login: LoginService, monotonic: Clock) -> None:
    """Whoever makes up key ids while the URL hangs leaves threads for users whose key is known."""
    jwks.find("first")
    monotonic.s += COOL_DOWN_S
    login.answering.clear()
    with ThreadPoolExecutor(WAITING + 1) as pool:
        unknown = [pool.submit(jwks.find, f"made up {number}") for number in range(WAITING + 1)]
        wait_until(lambda: any(one.done() for one in unknown))
        assert isinstance(next(one for one in unknown if one.done()).exception(), KeysUnavailable)
        login.answering.set()
        refused = [one.exception(60) for one in unknown]
    assert sum(isinstance(one, KeysUnavailable) for one in refused) == 1
    assert len(login.requests) == 2


def test_who_looked_before_a_fetch_ended(jwks: Jwks[str], login: LoginService) -> None:
    """He finds what it has brought, and begins no other."""
    older = jwks._known
    jwks.find("first")
    assert jwks._newer(older, is_waiting=True) is jwks._known
    assert len(login.requests) == 1


def test_keys_of_one_id(jwks: Jwks[str], login: LoginService) -> None:
    """The first that serves is found; without one that does, the first, so that the refusal is about the algorithm."""
    login.publish(key("first"), key("first") | {"made_of": "another key"}, key("second"))
    assert jwks.find("first") == "first key"
    assert jwks.find("first", lambda found: found == "another key") == "another key"
    assert jwks.find("second", lambda _found: False) == "second key"


def test_threads_with_a_new_key_wait_for_the_fetch_that_brings_it(
    jwks: Jwks[str], login: LoginService, monotonic: Clock
) -> None:
    """After a rotation the first tokens of many users are all good, for one fetch."""
    jwks.find("first")
    monotonic.s += COOL_DOWN_S
    login.publish(key("second"))
    login.answering.clear()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(jwks.find, "second") for _ in range(8)]
        wait_until(lambda: len(login.requests) == 2)
        login.answering.set()
        assert [one.result() for one in found] == ["second key"] * 8
    assert len(login.requests) == 2
