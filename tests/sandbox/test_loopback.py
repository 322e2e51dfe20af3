"""Who may ask the sandbox: nobody by a foreign name, and no page of a foreign site controls it."""

import socket

import pytest

from tests.sandbox.conftest import Line, Sandbox
from tests.support.running import PATIENCE_S

UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SOCKET = "GET /socket.io/?EIO=3&transport=websocket HTTP/1.1"
POLL = "GET /socket.io/?EIO=3&transport=polling HTTP/1.1"
FOREIGN = ["evil.example", "evil.example:8100", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]"]


def status(sandbox: Sandbox, *lines: str) -> int:
    """Return the status of what comes back; the browser of a page sends no other Host than the page's own."""
    with socket.create_connection((sandbox.bind.host, sandbox.bind.port), timeout=PATIENCE_S) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        return int(connection.recv(65_536).split()[1])


@pytest.mark.parametrize("host", [*FOREIGN, "", "localhost@evil.example", "[::1", "127.1"])
@pytest.mark.parametrize(
    "first",
    [
        *("GET /sandbox HTTP/1.1", "POST /sandbox HTTP/1.1", "GET /sandbox/events HTTP/1.1"),
        *("GET /v1/users HTTP/1.1", "OPTIONS /resource HTTP/1.1", "GET /nowhere HTTP/1.1", POLL, SOCKET),
    ],
)
def test_a_foreign_name_is_refused(sandbox: Sandbox, first: str, host: str) -> None:
    """On each route, a WebSocket's too: a page whose name resolves to 127.0.0.1 gets nothing (DNS rebinding)."""
    assert status(sandbox, first, f"Host: {host}", "Content-Length: 0", *(UPGRADE if first is SOCKET else ())) == 403
    assert sandbox.connections() == 0


@pytest.mark.parametrize("lines", [(), ("Host: localhost", "Host: evil.example")])
def test_one_name_is_needed(sandbox: Sandbox, lines: tuple[str, ...]) -> None:
    """None is no browser's, and of two nobody knows which one another server would go by."""
    assert status(sandbox, "GET /sandbox HTTP/1.1", *lines) in {400, 403}


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]"])
@pytest.mark.parametrize("port", ["", ":8100", ":1"])
def test_this_machine_by_any_of_its_names(sandbox: Sandbox, name: str, port: str) -> None:
    """Whatever the port, which a tunnel or a container may have changed."""
    assert status(sandbox, "GET /sandbox HTTP/1.1", f"Host: {name}{port}") == 200
    assert status(sandbox, SOCKET, f"Host: {name}{port}", "Origin: https://app.example", *UPGRADE) == 101


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1.evil.example", "null", ""])
def test_a_page_of_a_foreign_site_controls_nothing(sandbox: Sandbox, line: Line, origin: str) -> None:
    """Its browser says where it is from; what is connected stays so. Pages of this machine and scripts may."""
    for path in ("/sandbox", "/sandbox/events", "/sandbox/x"):
        answer = sandbox.ask("POST", path, json={"drop": True}, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, 899003)
    assert sandbox.ask("GET", "/sandbox", headers={"Origin": origin}).status_code == 200
    assert sandbox.connections() == 1
    for own in ({"Origin": "http://localhost:5173"}, {"Origin": sandbox.url}, {}):
        assert sandbox.ask("POST", "/sandbox", json={"delay_s": 1}, headers=own).status_code == 200
