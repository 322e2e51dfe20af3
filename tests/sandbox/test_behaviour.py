"""How the sandbox is made to behave."""

import pytest

from authsvc.sandbox.behaviour import Behaviour
from tests.sandbox.conftest import Sandbox


def test_only_what_is_asked_changes() -> None:
    """What is not named stays as it is."""
    changed = Behaviour().changed({"rest": "slow"}).changed({"delay_s": 0.5, "url_lives_s": 60})
    assert changed == Behaviour(rest="slow", delay_s=0.5, url_lives_s=60)


def test_a_member_that_is_none() -> None:
    """It is named, with those that are known."""
    with pytest.raises(ValueError, match="speed: is unknown; known are rest, gateway, devices, delay_s, url_lives_s"):
        Behaviour().changed({"speed": 1})


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"rest": "deaf"}, "rest: must be one of ok, slow, wrong, full, refuse, failing, gone"),
        ({"gateway": 1}, "gateway: must be one of ok, slow, wrong, full, silent, deaf, gone"),
        ({"gateway": []}, "gateway: must be one of ok, slow, wrong, full, silent, deaf, gone"),
        ({"devices": "two"}, "devices: must be one of kinds, one, any"),
        ({"delay_s": "2"}, "delay_s: must be a number of seconds"),
        ({"delay_s": True}, "delay_s: must be a number of seconds"),
        ({"delay_s": -1}, "delay_s: must be 0 to 86400 seconds"),
        ({"url_lives_s": 1.5}, "url_lives_s: must be a number of seconds"),
        ({"url_lives_s": 86_401}, "url_lives_s: must be 0 to 86400 seconds"),
        ({"drop": 1}, "drop: must be true or false"),
        ([], "body: must be a JSON object, with Content-Type: application/json"),
    ],
)
def test_nonsense_is_refused(sandbox: Sandbox, asked: object, reason: str) -> None:
    """The refusal names the member and the rule, and nothing is changed."""
    before = sandbox.ask("GET", "/sandbox").json()
    answer = sandbox.ask("POST", "/sandbox", json=asked)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, reason)
    assert sandbox.ask("GET", "/sandbox").json() == before


def test_unknown_member(sandbox: Sandbox) -> None:
    """What is known is listed."""
    message = sandbox.ask("POST", "/sandbox", json={"speed": 1}).json()["error"]["message"]
    assert message.startswith("speed: is unknown; known are rest, gateway, devices, delay_s, url_lives_s, reset, ids")


@pytest.mark.parametrize(
    ("body", "content_type"), [(b'{"rest": "gone"}', "text/plain"), (b"{", "application/json"), (b"\xff", None)]
)
def test_a_foreign_page_changes_nothing(sandbox: Sandbox, body: bytes, content_type: str | None) -> None:
    """Only JSON by its name counts, which a browser sends to another origin after asking; and nobody says yes."""
    answer = sandbox.ask("POST", "/sandbox", data=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert sandbox.ask("OPTIONS", "/sandbox").status_code == 404
    assert sandbox.ask("GET", "/sandbox").json()["rest"] == "ok"
