"""
The vendor's gateway as the SDK sees it: each event is acknowledged, then answered by its own name with the same `rid`.

A payload is put before authsvc's verify route, with the connection as its holder: what the SDK retransmits on one
connection is accepted again, and the same payload on another is a replay.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from authsvc.sandbox.behaviour import Behaviour
from authsvc.sandbox.engineio import Socket
from authsvc.sandbox.files import Files
from authsvc.sandbox.users import Users

VERIFY_S = 5
MAX_EVENT = 65_536  # characters
FIELDS = ("appkey", "random_str", "signature", "timestamp")
SYNC_KEYS = ("sync_key", "sync_type", "sync_event_key", "msg_receipt_key")

# The vendor's words for its codes, slips and all: an app may compare them.
MESSAGES = {
    880001: "missing error",
    880002: "invalid parameter",
    880003: "invalid value",
    880005: "file not exist",
    880101: "appkey not exist",
    880102: "signatu fail",
    880103: "user not exist",
    880104: "invalid password",
    880106: "signatu is expire",
    880107: "already login,please login out before login",
    880206: "message too long",
    882001: "server internal error",
    882002: "user exit",
    882004: "auth fail",
    882005: "response time out，try again later",
}
_OUT_OF_TIME = {889002: 880106}  # the vendor has no word for a payload from the future

_log = logging.getLogger(__name__)


class Refused(Exception):
    """An event that is answered with a code of the vendor's, or with authsvc's own for a replay."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES[code]


@dataclass(slots=True)
class _Channel:
    """What a connection has come to. `work` are answers under way, which end with the connection."""

    appkey: str | None = None
    username: str | None = None
    work: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Service:
    """The authsvc whose verify route is asked: its base URL without a slash at the end, and a key for the route."""

    url: str
    verifier_key: str = field(repr=False)


class Gateway:
    """Answers the events of all connections."""

    def __init__(
        self,
        service: Service,
        http: ClientSession,
        users: Users,
        files: Files,
        *,
        url_of: Callable[[str], str],
        behaviour: Callable[[], Behaviour],
        now_ms: Callable[[], int],
    ) -> None:
        """
        Take what it works with.

        Args:
            url_of: returns where the file of a media_id is from now on, for as long as such a URL lives.
        """
        self._service = service
        self._http = http
        self._users = users
        self._files = files
        self._url_of = url_of
        self._behaviour = behaviour
        self._now_ms = now_ms
        self._channels: dict[str, _Channel] = {}
        self._handlers: dict[str, Callable[[Socket, _Channel, dict[str, Any]], Awaitable[dict[str, object]]]] = {
            "c_init": self._init,
            "login": self._login,
            "register": self._register,
            "get_resource": self._get_resource,
            "get_upload_token": self._get_upload_token,
            "sync_check": self._sync_check,
        }

    def on_event(self, socket: Socket, event: str, data: object, size: int) -> None:
        """Take one event of so many characters; its answer follows when it is there, and holds no other up."""
        if not isinstance(data, dict) or not isinstance(data.get("rid"), int):
            return
        channel = self._channels.setdefault(socket.sid, _Channel())
        task = asyncio.create_task(self._answer(socket, channel, event, data, size))
        channel.work.add(task)
        task.add_done_callback(channel.work.discard)

    def on_gone(self, socket: Socket) -> None:
        """Forget a connection."""
        if channel := self._channels.pop(socket.sid, None):
            for task in channel.work:
                task.cancel()

    async def _answer(self, socket: Socket, channel: _Channel, event: str, data: dict[str, Any], size: int) -> None:
        mode, delay_s = self._behaviour().gateway, self._behaviour().delay_s
        if mode == "silent":
            return
        socket.emit("ack", {"rid": data["rid"]})
        if mode == "deaf":
            return
        if mode == "slow":
            await asyncio.sleep(delay_s)
        told: dict[str, object] = {"rid": data["rid"], "code": 0, "message": "success"}
        try:
            if size > MAX_EVENT:
                raise Refused(880206)  # noqa: TRY301 -- answered as all refusals are
            told |= await self._handle(socket, channel, event, data, mode)
        except Refused as refused:
            told |= {"code": refused.code, "message": refused.message}
        socket.emit(event, told)

    async def _handle(
        self, socket: Socket, channel: _Channel, event: str, data: dict[str, Any], mode: str
    ) -> dict[str, object]:
        if mode in ("wrong", "full"):
            raise Refused(880001 if mode == "wrong" else 882005)
        if event not in self._handlers:
            raise Refused(880002, f"the sandbox does not know the event {event}")
        return await self._handlers[event](socket, channel, data)

    async def _init(self, socket: Socket, channel: _Channel, data: dict[str, Any]) -> dict[str, object]:
        await self._verify({name: data[name] for name in FIELDS if name in data} | {"holder": socket.sid})
        channel.appkey = data["appkey"]
        return {}

    async def _login(self, _socket: Socket, channel: _Channel, data: dict[str, Any]) -> dict[str, object]:
        appkey, username = _initialised(channel), _text(data, "username")
        if channel.username is not None:
            raise Refused(880107)
        if not self._users.is_known(appkey, username):
            raise Refused(880103)
        if not self._users.is_password(appkey, username, _text(data, "password")):
            raise Refused(880104)
        channel.username = username
        here = {"platform": "web", "mtime": self._now_ms() // 1000, "isOnline": True, "isLogin": True, "flag": False}
        return {"username": username, "online_list": [here]}

    async def _register(self, _socket: Socket, channel: _Channel, data: dict[str, Any]) -> dict[str, object]:
        try:
            self._users.add(_initialised(channel), _text(data, "username"), _text(data, "password"))
        except KeyError:
            raise Refused(882002) from None
        except ValueError as exc:
            raise Refused(880003, str(exc)) from None
        return {}

    async def _get_resource(self, _socket: Socket, channel: _Channel, data: dict[str, Any]) -> dict[str, object]:
        _logged_in(channel)
        media_id = _text(data, "media_id")
        if self._files.get(media_id) is None:
            raise Refused(880005)
        return {"url": self._url_of(media_id)}

    async def _get_upload_token(self, _socket: Socket, channel: _Channel, _data: dict[str, Any]) -> dict[str, object]:
        return {"uptoken": self._files.upload_token(*_logged_in(channel))}

    async def _sync_check(self, _socket: Socket, channel: _Channel, data: dict[str, Any]) -> dict[str, object]:
        """Echo the keys: the SDK takes them all over, and a `sync_type` of ours would switch its roaming on or off."""
        _logged_in(channel)
        return {name: data[name] for name in SYNC_KEYS if name in data}

    async def _verify(self, asked: dict[str, object]) -> None:
        """Return if the service accepts the payload; raise what it says, in the vendor's words where it has any."""
        url = f"{self._service.url}/v1/auth-payload/verify"
        headers = {"Authorization": f"Bearer {self._service.verifier_key}"}
        try:
            async with self._http.post(
                url, json=asked, headers=headers, timeout=ClientTimeout(VERIFY_S), allow_redirects=False
            ) as answer:
                told = json.loads(await answer.text())
                if answer.status == 200:
                    return
                code, message = int(told["code"]), str(told["message"])
        except (ClientError, TimeoutError) as exc:
            _log.warning("the service does not answer at %s: %s", url, exc)
            raise Refused(882005) from exc
        except (ValueError, TypeError, KeyError) as exc:
            _log.warning("what answers at %s is no authsvc", url)
            raise Refused(882001) from exc
        if answer.status == 401:
            _log.warning("the service does not accept the verifier key; both need the same AUTHSVC_VERIFIER_KEYS")
            raise Refused(882001)
        code = _OUT_OF_TIME.get(code, code)
        raise Refused(code, MESSAGES.get(code, message))


def _initialised(channel: _Channel) -> str:
    if channel.appkey is None:
        raise Refused(882004)
    return channel.appkey


def _logged_in(channel: _Channel) -> tuple[str, str]:
    if channel.username is None:
        raise Refused(882004)
    return _initialised(channel), channel.username


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise Refused(880002, f"{name}: must be a string")
    return value
