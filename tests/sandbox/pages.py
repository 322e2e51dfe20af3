"""
Pages that chat through the sandbox: each speaks to the gateway as the vendor's SDK does, packet by packet.
"""

import itertools
import secrets
from typing import Any

from authsvc import clock
from authsvc.payloads import payload
from authsvc.sandbox.chat.users import md5_of
from tests.sandbox.conftest import Line, Sandbox
from tests.support import made_up

PASSWORD = "a word"
ANSWERED_AS = {"s_across_single_text": "s_single_text"}


class Page(Line):
    """A page on which a user is logged in. What is pushed to it waits in `pushed` until it is asked for."""

    def __init__(self, sandbox: Sandbox, username: str, *, platform: str = "j", flag: int = 0) -> None:
        super().__init__(sandbox)
        self.hear()
        self.hear()
        self.sandbox = sandbox
        self._rids = itertools.count(secrets.randbelow(2**30))  # the SDK draws each of them
        self.username = username
        self.pushed: list[tuple[str, dict[str, Any]]] = []
        signed = payload.issue(
            appkey=made_up.APPKEY,
            master_secret=made_up.MASTER_SECRET,
            random_str=secrets.token_hex(16),
            now_ms=clock.now_ms(),
        )
        self.do("c_init", **signed.to_dict(), flag=flag, fromPlatForm=platform)
        self.login = self.request("login", username=username, password=md5_of(PASSWORD), is_md5=True)

    def request(self, event: str, /, **data: object) -> dict[str, Any]:
        """Emit an event as the SDK does, and return its answer, without the rid that it must have."""
        rid = next(self._rids)
        self.emit(event, {**data, "rid": rid})
        is_acknowledged = False
        while True:
            name, told = self.event()
            if told.get("rid") != rid:
                self.pushed.append((name, told))
            elif name == "ack":
                is_acknowledged = True
            else:
                assert is_acknowledged
                expected = ANSWERED_AS.get(event, event) if told["code"] == 0 else event
                assert name == expected
                del told["rid"]
                return told

    def do(self, event: str, /, **data: object) -> dict[str, Any]:
        """Emit an event that must succeed, and return its answer without code and message."""
        told = self.request(event, **data)
        assert (told["code"], told["message"]) == (0, "success"), told
        del told["code"], told["message"]
        return told

    def refused(self, event: str, /, **data: object) -> int:
        """Emit an event that must be refused, and return the code."""
        told = self.request(event, **data)
        assert told["code"] != 0
        assert told.keys() == {"code", "message"}
        return int(told["code"])

    def heard(self, event: str) -> dict[str, Any]:
        """Return what was pushed by this name, the oldest first."""
        while not any(name == event for name, _ in self.pushed):
            self.pushed.append(self.event())
        place = next(place for place, (name, _) in enumerate(self.pushed) if name == event)
        return self.pushed.pop(place)[1]

    def notified(self, event_type: int) -> dict[str, Any]:
        """Return the next event notification, which must be of this type."""
        told = self.heard("event_notification")
        assert told["event_type"] == event_type, told
        return told

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """Return everything that was pushed until now and not asked for."""
        self.say("2")
        while (packet := self.hear()) != "3":
            assert packet is not None
            self.pushed.append(self.read(packet))
        pushed, self.pushed = self.pushed, []
        return pushed

    def says(self, text: str, **to: object) -> dict[str, Any]:
        """Send a text: `to` a username, or to a `group`; other members go with the message."""
        event, data = message(text, **to)
        return self.do(event, **data)


def message(text: str, **to: object) -> tuple[str, dict[str, object]]:
    """Return the event with which the SDK sends a text, and its data."""
    kind = next(kind for kind in ("single", "group", "chatroom") if kind in to)
    target = to.pop(kind)
    content = {
        "version": 1,
        "target_type": kind,
        "from_platform": "web",
        "target_id": str(target),
        "from_id": "somebody else",  # nobody is believed
        "create_time": 1,
        "msg_type": "text",
        "msg_body": {"text": text},
    }
    event = {"single": "s_across_single_text", "group": "send_group_msg", "chatroom": "send_room_msg"}[kind]
    return event, {"content": content, "no_offline": False, "no_notification": False, "target_id": target, **to}
