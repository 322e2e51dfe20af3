"""
The sandbox's own API, for tests: `GET /sandbox` returns how it behaves, `POST /sandbox` changes that and what is in it,
`GET /sandbox/events` returns what connections have sent. `openapi.yaml` beside this file is its contract.

The members of a POST are done in the order of `Control.__init__`; the first that cannot be done ends it.
"""

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from aiohttp import web

from authsvc.sandbox import jsontext, seeds
from authsvc.sandbox.behaviour import Behaviour
from authsvc.sandbox.core import Core
from authsvc.sandbox.engineio import Hub
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.rest.calls import error
from authsvc.sandbox.state import State, User

CONTRACT = Path(__file__).with_name("openapi.yaml")
BEHAVIOUR = tuple(field.name for field in fields(Behaviour))
MAX_REFUSALS = 100


class Control:
    """The routes under /sandbox."""

    def __init__(self, core: Core, hub: Hub, appkey: str) -> None:
        """Take what it works with; `appkey` is the app of whoever is named without one."""
        self._core = core
        self._hub = hub
        self._appkey = appkey
        self._members: dict[str, Callable[[Any], None]] = {
            "reset": self._reset,
            "ids": self._ids,
            "clock": self._clock,
            "seed": self._seed,
            "refuse": self._refuse,
            "push": self._push,
            "kick": self._kick,
            "set_password": self._set_password,
            "delete": self._delete,
            "drop": self._drop,
        }

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/sandbox", self._show),
            web.post("/sandbox", self._change),
            web.get("/sandbox/events", self._events),
            web.get("/sandbox/openapi.yaml", self._contract),
        ]

    def told(self) -> dict[str, object]:
        """Return how the sandbox behaves, and how much is in it."""
        state, clock = self._core.state, self._core.clock
        return asdict(self._core.behaviour) | {
            "connections": len(self._hub.sockets),
            "online": sorted(self._core.state.users[uid].username for uid in self._core.online),
            "users": len(state.users),
            "groups": len(state.groups),
            "rooms": len(state.rooms),
            "messages": len(state.messages),
            "now_ms": clock(),
            "is_frozen": clock.frozen_ms is not None,
        }

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response(self.told())

    async def _contract(self, _request: web.Request) -> web.Response:
        return web.Response(text=CONTRACT.read_text(), content_type="application/yaml")

    async def _events(self, request: web.Request) -> web.Response:
        """Return the record, the oldest first; each member of the query must be met."""
        query = request.query
        since = query.get("since", "0")
        if not since.isdecimal() or len(since) > 19 or not query.keys() <= {"since", "username", "event", "connection"}:
            return error(400, 899003, "query: known are since, a number, and username, event, connection")
        wanted = {name: query[name] for name in ("username", "event", "connection") if name in query}
        found = [
            one.shown()
            for one in self._core.record
            if one.number > int(since) and all(getattr(one, name) == value for name, value in wanted.items())
        ]
        return web.json_response({"events": found})

    async def _change(self, request: web.Request) -> web.Response:
        try:
            asked = await _asked(request)
            unknown = sorted(asked.keys() - self._members.keys() - set(BEHAVIOUR))
            if unknown:
                known = ", ".join((*BEHAVIOUR, *self._members))
                raise ValueError(f"{unknown[0][:64]}: is unknown; known are {known}")  # noqa: TRY301 -- answered below
            behaviour = {name: asked[name] for name in BEHAVIOUR if name in asked}
            self._core.behaviour.changed(behaviour)
            for name, do in self._members.items():
                if name in asked:
                    do(asked[name])
            self._core.behaviour = self._core.behaviour.changed(behaviour)
        except Refused as refused:
            return error(400, refused.code, refused.message)
        except ValueError as exc:
            return error(400, 899003, str(exc))
        self._hub.is_closed_to_new = self._core.behaviour.gateway == "gone"
        if self._hub.is_closed_to_new:
            self._hub.drop_all()
        return web.json_response(self.told())

    def _reset(self, value: object) -> None:
        """Begin anew, as right after the start but for the files; whoever is connected is cut off."""
        if _is_asked("reset", value):
            self._hub.drop_all()
            self._core.behaviour = Behaviour()
            self._core.refusals.clear()
            self._core.record.clear()
            self._core.clock.offset_ms, self._core.clock.frozen_ms = 0, None
            empty, state = State(), self._core.state
            for one in fields(State):
                if one.name != "storage":
                    setattr(state, one.name, getattr(empty, one.name))
            self._core.begin(state)

    def _ids(self, value: object) -> None:
        """Let numbers go on from here, so that they are the same in every run of a test."""
        last = seeds.number(value, "ids", least=1)
        state = self._core.state
        taken = max((0, *state.users, *state.groups, *state.rooms, *state.messages))
        if last < taken:
            raise ValueError(f"ids: {taken} is given already; reset first")
        state.last_id = last

    def _clock(self, value: object) -> None:
        asked, clock = seeds.members(value, "clock", {"now_ms", "advance_ms", "frozen"}), self._core.clock
        now_ms = seeds.number(asked.get("now_ms", clock()), "clock.now_ms")
        now_ms += seeds.number(asked.get("advance_ms", 0), "clock.advance_ms")
        is_frozen = asked.get("frozen", clock.frozen_ms is not None)
        if not isinstance(is_frozen, bool):
            raise ValueError("clock.frozen: must be true or false")  # noqa: TRY004 -- the asker's fault
        clock.frozen_ms = now_ms if is_frozen else None
        clock.offset_ms = now_ms - clock.real_ms()

    def _seed(self, value: object) -> None:
        seeds.plant(self._core, self._appkey, value)

    def _refuse(self, value: object) -> None:
        """Have the next events of a name refused with these codes."""
        for event, codes in seeds.members(value, "refuse").items():
            listed = codes if isinstance(codes, list) else [codes]
            if len(listed) > MAX_REFUSALS or len(self._core.refusals) > MAX_REFUSALS:
                raise ValueError(f"refuse: at most {MAX_REFUSALS} codes for an event, and so many events")
            self._core.refusals[event[:64]] = [seeds.number(code, f"refuse.{event[:64]}", least=1) for code in listed]

    def _push(self, value: object) -> None:
        """Push any event to a user, as the gateway would; an event notification has all its members."""
        for one in seeds.listed(value, "push"):
            asked = seeds.members(one, "push", {"to", "appkey", "event", "data"})
            user, data = self._user(asked, "to"), seeds.members(asked.get("data"), "push.data")
            event = asked.get("event")
            if not isinstance(event, str):
                raise ValueError("push.event: must be a string")  # noqa: TRY004 -- the asker's fault
            if event == "event_notification":
                event_type = seeds.number(data.get("event_type"), "push.data.event_type")
                self._core.notify([user], self._core.event(event_type) | data)
            else:
                self._core.push([user], event, data)

    def _kick(self, value: object) -> None:
        """Kick a user, by the event for which the SDK logs out, and if asked by closing the connection."""
        asked = seeds.members(value, "kick", {"username", "appkey", "extra", "close"})
        event = self._core.event(1, extra=seeds.number(asked.get("extra", 0), "kick.extra"))
        for line in self._core.lines(self._user(asked)):
            self._core.kick(line, event)
            if asked.get("close") is True:
                self._hub.drop(line.socket)

    def _set_password(self, value: object) -> None:
        asked = seeds.members(value, "set_password", {"username", "appkey", "password"})
        seeds.set_password(self._core, self._user(asked), asked.get("password"))

    def _delete(self, value: object) -> None:
        seeds.delete(self._core, self._user(seeds.members(value, "delete", {"username", "appkey"})))

    def _drop(self, value: object) -> None:
        if _is_asked("drop", value):
            self._hub.drop_all()

    def _user(self, asked: dict[str, Any], name: str = "username") -> User:
        return seeds.user_of(self._core, self._appkey, asked, name)


def _is_asked(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: must be true or false")  # noqa: TRY004 -- the asker's fault
    return value


async def _asked(request: web.Request) -> dict[str, Any]:
    """Return the members of a POST. Raises ValueError."""
    try:
        asked = jsontext.parse(await request.text())
    except ValueError:
        asked = None
    if request.content_type != "application/json" or not isinstance(asked, dict):  # a foreign page cannot send that
        raise ValueError("body: must be a JSON object, with Content-Type: application/json")
    return asked
