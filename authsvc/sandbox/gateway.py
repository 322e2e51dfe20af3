"""
The vendor's gateway as the SDK sees it: each event is acknowledged, then answered by its own name with the same `rid`.

A payload is put before authsvc's verify route, with the connection as its holder: what the SDK retransmits on one
connection is accepted again, and the same payload on another is a replay. What other events do is in `chat`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import ClientSession

from authsvc.sandbox.call import Call
from authsvc.sandbox.chat import (
    conversations,
    devices,
    friends,
    groups,
    lists,
    messages,
    receipts,
    retraction,
    roles,
    rooms,
    sync,
    transparent,
    users,
)
from authsvc.sandbox.connection import Socket, encoded_event
from authsvc.sandbox.core import Answers, Core, Line
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.record import Recorded
from authsvc.sandbox.verification import Service

MAX_EVENT = 65_536  # characters
RECORDED = 16_384  # characters of an event that are kept on record
FIELDS = ("appkey", "random_str", "signature", "timestamp")
INIT = "c_init"
BEFORE_LOGIN = ("login", "register", "event_notification")
CALLS: dict[str, Callable[[Call], dict[str, object]]] = {
    **devices.CALLS,
    **users.CALLS,
    **messages.CALLS,
    **sync.CALLS,
    **conversations.CALLS,
    **receipts.CALLS,
    **retraction.CALLS,
    **groups.CALLS,
    **roles.CALLS,
    **friends.CALLS,
    **lists.CALLS,
    **rooms.CALLS,
    **transparent.CALLS,
    "event_notification": lambda _: {},  # the SDK's word that it has heard of a kick
}


class Gateway:
    """Answers the events of all connections."""

    def __init__(self, service: Service, http: ClientSession, core: Core) -> None:
        self._service = service
        self._http = http
        self._core = core
        self._lines: dict[str, Line] = {}

    def on_event(self, socket: Socket, event: str, data: object, text: str) -> None:
        """Take one event, which came as this text; its answer holds no other up."""
        if not isinstance(data, dict) or not isinstance(data.get("rid"), int) or isinstance(data["rid"], bool):
            return
        line = self._lines.get(socket.sid)
        if line is None:
            line = self._lines[socket.sid] = Line(socket)
        if self._core.behaviour.gateway == "ok" and event != INIT:
            self._answer(line, event, data, text)
            return
        task = asyncio.create_task(self._answer_slowly(line, event, data, text))
        line.work.add(task)
        task.add_done_callback(line.work.discard)

    def on_gone(self, socket: Socket) -> None:
        """Forget a connection."""
        if line := self._lines.pop(socket.sid, None):
            self._core.leave(line)
            for task in line.work:
                task.cancel()

    async def _answer_slowly(self, line: Line, event: str, data: dict[str, Any], text: str) -> None:
        """Answer an event that takes its time: it is asked of the service, or the sandbox misbehaves."""
        mode = self._core.behaviour.gateway
        if mode == "silent":
            return
        line.socket.emit("ack", {"rid": data["rid"]})
        if mode == "deaf":
            return
        if mode == "slow":
            await asyncio.sleep(self._core.behaviour.delay_s)
        if event == INIT and mode not in ("wrong", "full"):
            told = await self._init(line, data, text)
            line.socket.emit(event, {"rid": data["rid"], **told})
        else:
            self._answer(line, event, data, text, mode, is_acknowledged=True)

    def _answer(
        self,
        line: Line,
        event: str,
        data: dict[str, Any],
        text: str,
        mode: str = "ok",
        *,
        is_acknowledged: bool = False,
    ) -> None:
        if not is_acknowledged:
            line.socket.emit("ack", {"rid": data["rid"]})
        packet = hash(text)
        answer = self._answered(line, packet)
        if answer is not None:
            line.socket.send(answer)
            return
        answers = self._answers(line)
        call = Call(self._core, line, data)
        told = _told(lambda: self._handle(call, event, len(text), mode))
        self._record(line, event, data, text, told)
        name = messages.ANSWERED_AS.get(event, event) if told["code"] == 0 else event
        answer = encoded_event(name, told | {"rid": data["rid"]})
        if told["code"] == 0:
            answers.keep(packet, answer)
        line.socket.send(answer)
        for do in call.afterwards:
            do()

    def _answers(self, line: Line) -> Answers:
        """Return where answers are kept: with who is logged in, who may send again on another connection."""
        return line.answers if line.user is None else self._core.answers.setdefault(line.user.uid, Answers())

    def _answered(self, line: Line, packet: int) -> bytes | None:
        """Return the answer to a packet that has come before: what is sent again is not done again."""
        return line.answers.get(packet) or self._answers(line).get(packet)

    def _handle(self, call: Call, event: str, size: int, mode: str) -> dict[str, object]:
        if size > MAX_EVENT:
            raise Refused(880206)
        if mode in ("wrong", "full"):
            raise Refused(880001 if mode == "wrong" else 882005)
        self._refuse(event)
        if event not in CALLS:
            raise Refused(880002, f"the sandbox does not know the event {event[:64]}")
        if event not in BEFORE_LOGIN and call.line.user is None:
            raise Refused(882004)
        return CALLS[event](call)

    def _refuse(self, event: str) -> None:
        """Raise what a test wants the next event of this name to be refused with."""
        codes = self._core.refusals.get(event)
        if codes:
            raise Refused(codes.pop(0))

    async def _init(self, line: Line, data: dict[str, Any], text: str) -> dict[str, object]:
        told: dict[str, object] = {"code": 0, "message": "success"}
        try:
            self._refuse(INIT)
            asked = {name: data[name] for name in FIELDS if name in data}
            await self._service.verify(self._http, asked, holder=line.socket.sid)
            line.appkey = data["appkey"]
            line.platform = devices.PLATFORMS.get(str(data.get("fromPlatForm")), "web")
        except Refused as refused:
            told = {"code": refused.code, "message": refused.message}
        self._record(line, INIT, data, text, told)
        return told

    def _record(self, line: Line, event: str, data: dict[str, Any], text: str, told: dict[str, object]) -> None:
        """Keep on record what a connection has sent."""
        self._core.record.append(
            Recorded(
                next(self._core.recorded),
                line.socket.sid,
                line.appkey,
                line.user.username if line.user else None,
                event,
                data if len(text) <= RECORDED else {},
                told["code"],
            )
        )


def _told(handle: Callable[[], dict[str, object]]) -> dict[str, object]:
    try:
        return {"code": 0, "message": "success"} | handle()
    except Refused as refused:
        return {"code": refused.code, "message": refused.message}
