"""How the sandbox is made to behave."""

import pytest

from authsvc.sandbox.behaviour import Behaviour
from tests.sandbox.conftest import Sandbox


def test_only_what_is_asked_changes() -> None:
    """What is not named stays as it is."""
    changed = Behaviour().changed({"rest": "slow"}).changed({"delay_s": 0.5, "url_lives_s": 60})
    assert changed == Behaviour(rest="slow", gateway="ok", delay_s=0.5, url_lives_s=60)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"rest": "deaf"}, "rest: must be one of ok, slow, wrong, full, refuse, failing, gone"),
        ({"gateway": 1}, "gateway: must be one of ok, slow, wrong, full, silent, deaf, gone"),
        ({"delay_s": "2"}, "delay_s: must be a number of seconds"),
        ({"delay_s": True}, "delay_s: must be a number of seconds"),
        ({"delay_s": -1}, "delay_s: must be 0 to 86400 seconds"),
        ({"url_lives_s": 1.5}, "url_lives_s: must be a number of seconds"),
        ({"url_lives_s": 86_401}, "url_lives_s: must be 0 to 86400 seconds"),
        ({"speed": 1}, "speed: is unknown; known are rest, gateway, delay_s, url_lives_s"),
        ({"drop": 1}, "drop: must be true or false"),
        ([], "body: must be a JSON object, with Content-Type: application/json"),
    ],
)
def test_nonsense_is_refused(sandbox: Sandbox, asked: object, reason: str) -> None:
    """The refusal names the member and the rule, and nothing is changed."""
    answer = sandbox.ask("POST", "/sandbox", json=asked)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, reason)
    assert sandbox.ask("GET", "/sandbox").json() == {
        "rest": "ok",
        "gateway": "ok",
        "delay_s": 2.0,
        "url_lives_s": 3600,
        "connections": 0,
    }


@pytest.mark.parametrize(
    ("body", "content_type"), [(b'{"rest": "gone"}', "text/plain"), (b"{", "application/json"), (b"\xff", None)]
)
def test_a_foreign_page_changes_nothing(sandbox: Sandbox, body: bytes, content_type: str | None) -> None:
    """Only JSON by its name counts, which a browser sends to another origin after asking; and nobody says yes."""
    answer = sandbox.ask("POST", "/sandbox", data=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert sandbox.ask("OPTIONS", "/sandbox").status_code == 404
    assert sandbox.ask("GET", "/sandbox").json()["rest"] == "ok"
