"""What an app's own tests start: a sandbox and a service in this process."""

import asyncio
import json
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from aiohttp import ClientSession, ClientWebSocketResponse

from authsvc.bind import Bind
from authsvc.payloads.apps import App
from authsvc.sandbox import server
from authsvc.sandbox.chat.users import md5_of
from authsvc.sandbox.verification import Service
from authsvc.secret import Secret
from authsvc.testing import Running, running
from authsvc.testing_pytest import authsvc, authsvc_settings
from tests.sandbox.pages import PASSWORD
from tests.support import made_up
from tests.support.running import is_listening

APP = App(made_up.APPKEY, Secret(made_up.MASTER_SECRET))
__all__ = ["authsvc", "authsvc_settings"]


def bearer(both: Running, user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {both.token(user_id)}"}


def test_a_page_boots(authsvc: Running) -> None:
    """The service registers its user with the sandbox, and sends the page there."""
    answer = requests.post(f"{authsvc.service}/v1/bootstrap", headers=bearer(authsvc, "ming"), timeout=60)
    assert answer.json()["sdk"]["options"] == {
        "address": authsvc.sandbox.replace("http", "ws"),
        "upload_file": f"{authsvc.sandbox}/resource",
    }
    assert authsvc.change()["users"] == 1


@pytest.mark.parametrize("number", range(3))
def test_each_test_registers_its_users(authsvc: Running, number: int) -> None:
    """The login that the service gives is accepted, whatever the tests before have done."""
    told = requests.post(f"{authsvc.service}/v1/bootstrap", headers=bearer(authsvc, "ming"), timeout=60).json()
    asyncio.run(log_in(authsvc, told))


def test_a_planted_user(authsvc: Running) -> None:
    """The service sets its own password, and returns a login that is accepted."""
    authsvc.change(seed={"users": [{"username": "ming", "password": "a word"}]})
    told = requests.post(f"{authsvc.service}/v1/bootstrap", headers=bearer(authsvc, "ming"), timeout=60).json()
    asyncio.run(log_in(authsvc, told))


def test_each_test_begins_with_nothing(authsvc: Running) -> None:
    """What the test before left in the sandbox is gone."""
    assert authsvc.change()["users"] == 0
    assert authsvc.change(seed={"users": [{"username": "ming", "password": "a word"}]})["users"] == 1
    assert authsvc.events(username="ming", since=0) == []
    with pytest.raises(ValueError, match=r"seed\.user: is unknown"):
        authsvc.change(seed={"user": []})


def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread, no port and no file, also when the block fails."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError), running() as both:  # noqa: PT012 -- the block is what fails
        ports = [urlsplit(url).port or 0 for url in (both.service, both.sandbox)]
        assert all(map(is_listening, ports))
        raise ZeroDivisionError
    assert not any(map(is_listening, ports))
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []


def test_settings_of_the_service() -> None:
    """Any of them may be set."""
    with running(allowed_origins=frozenset({"https://app.example"})) as both:
        headers = bearer(both, "ming") | {"Origin": "https://app.example"}
        answer = requests.post(f"{both.service}/v1/auth-payload", headers=headers, timeout=60)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


def test_a_sandbox_that_cannot_listen() -> None:
    """Its thread ends, and the reason comes out."""
    before = set(threading.enumerate())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = Bind("127.0.0.1", taken.getsockname()[1])
        with (
            pytest.raises(OSError, match="in use"),
            server.in_thread(bind, [APP], Service("http://127.0.0.1:9", "key")),
        ):
            pytest.fail("it listens")
    assert set(threading.enumerate()) <= before


async def log_in(both: Running, told: dict[str, Any]) -> None:
    """Log in with what bootstrap returned."""
    async with ClientSession() as http:
        await (await connected(both, http, told["init"], told["login"])).close()


async def logged_in(both: Running, http: ClientSession, username: str) -> ClientWebSocketResponse:
    """Return a page's connection, on which a planted user is logged in."""
    signed = requests.post(f"{both.service}/v1/auth-payload", headers=bearer(both, username), timeout=60).json()
    return await connected(both, http, signed, {"username": username, "password": md5_of(PASSWORD)})


async def connected(both: Running, http: ClientSession, signed: Any, account: Any) -> ClientWebSocketResponse:
    line = await http.ws_connect(f"{both.sandbox}/socket.io/?EIO=3&transport=websocket")
    for rid, (event, data) in enumerate((("c_init", signed), ("login", account))):
        await line.send_str("42" + json.dumps([event, {**data, "rid": rid}]))
        while not (told := await line.receive_str(timeout=60)).startswith(f'42["{event}"'):
            pass
        assert json.loads(told[2:])[1]["code"] == 0
    return line


async def chat(both: Running) -> None:
    """Let two pages chat until one of them is kicked."""
    async with ClientSession() as http:
        ming, omar = [await logged_in(both, http, name) for name in ("ming", "omar")]
        content = {"msg_type": "text", "target_id": "omar", "msg_body": {"text": "Hello"}}
        await ming.send_str("42" + json.dumps(["s_across_single_text", {"rid": 7, "content": content}]))
        assert '"text":"Hello"' in await omar.receive_str(timeout=60)
        both.change(kick={"username": "omar"})
        assert '"event_type":1' in await omar.receive_str(timeout=60)
        await ming.close()
        await omar.close()


def test_a_test_of_two_pages(authsvc: Running) -> None:
    """Two users are planted, one writes, the other is kicked, and what was sent is seen."""
    authsvc.change(seed={"users": [{"username": name, "password": PASSWORD} for name in ("ming", "omar")]})
    asyncio.run(chat(authsvc))
    (sent,) = authsvc.events(username="ming", event="s_across_single_text")
    assert sent["data"]["content"]["msg_body"] == {"text": "Hello"}


def test_no_secret_is_shown(authsvc: Running) -> None:
    """Neither of them in a traceback's line."""
    assert authsvc.master_secret not in repr(authsvc)
    assert authsvc.jwt_key not in repr(authsvc)
