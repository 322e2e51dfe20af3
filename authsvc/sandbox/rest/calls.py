"""
What all calls of the REST API have in common: credentials, rate limit, misbehaviour, and the shape of an error,
`{"error": {"code", "message"}}`.
"""

import asyncio
import base64
import binascii
import hmac
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from aiohttp import web

from authsvc.sandbox import jsontext
from authsvc.sandbox.behaviour import REST
from authsvc.sandbox.core import Core
from authsvc.sandbox.rest import cross, groups, lists, messages, rooms, users, words
from authsvc.sandbox.rest.asked import Answer, Asked, Wrong

QUOTA = 600  # calls of an app in a minute: the vendor's free plan
CALLS: dict[tuple[str, str], Callable[[Asked], Answer]] = {
    **users.CALLS,
    **messages.CALLS,
    **groups.CALLS,
    **rooms.CALLS,
    **lists.CALLS,
    **cross.CALLS,
    **words.CALLS,
}
EITHER_END = "{slash:/?}"  # the vendor's own clients do not agree on a slash at the end

Handler = Callable[[web.Request, str], Awaitable[web.Response]]


class Calls:
    """The calls over HTTP. `master_secrets` are those of the apps that the vendor knows, by appkey."""

    def __init__(self, master_secrets: Mapping[str, str], core: Core) -> None:
        self._master_secrets = master_secrets
        self._core = core
        self._spent: dict[str, tuple[int, int]] = {}  # by appkey: the minute, and the calls in it

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            *(web.route(method, path + EITHER_END, self.called(self._of(do))) for (method, path), do in CALLS.items()),
            web.route("*", "/{version:v[12]}{path:(/.*)?}", self.called(_unserved)),
        ]

    def called(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler behind what all calls have in common; it is given the appkey too."""

        async def called(request: web.Request) -> web.Response:
            behaviour = self._core.behaviour
            mode = request.headers.get("X-Sandbox", behaviour.rest)
            if mode not in REST:
                return error(400, 899003, f"X-Sandbox: must be one of {', '.join(REST)}")
            if mode == "gone":
                cast("asyncio.Transport", request.transport).abort()  # it is there until the answer is
            if mode == "slow":
                await asyncio.sleep(behaviour.delay_s)
            if mode == "wrong":
                return web.Response(text="<!doctype html><title>It works</title>", content_type="text/html")
            if mode == "failing":
                return error(500, 899000, "Server internal error")
            appkey = self._appkey(request)
            if appkey is None or mode == "refuse":
                return error(401, 899008, "Basic authentication failed")
            limits = self._spend(appkey, is_full=mode == "full")
            if limits["X-Rate-Limit-Remaining"] == "-1":
                return error(429, 2002, "Rate limit exceeded", **limits | {"X-Rate-Limit-Remaining": "0"})
            answer = await handler(request, appkey)
            answer.headers.update(limits)
            return answer

        return called

    def _of(self, do: Callable[[Asked], Answer]) -> Handler:
        async def handle(request: web.Request, appkey: str) -> web.Response:
            body = await json_of(request)
            try:
                status, told = do(Asked(self._core, appkey, request.match_info, request.query, body))
            except Wrong as wrong:
                return error(wrong.status, wrong.code, wrong.message)
            return web.Response(status=status) if told is None else web.json_response(told, status=status)

        return handle

    def _appkey(self, request: web.Request) -> str | None:
        appkey, master_secret = basic(request)
        known = self._master_secrets.get(appkey, "")
        return appkey if known and hmac.compare_digest(known.encode(), master_secret.encode()) else None

    def _spend(self, appkey: str, *, is_full: bool) -> dict[str, str]:
        """Count a call and return the vendor's headers; with -1 remaining the call is one too many."""
        minute, rest_ms = divmod(self._core.clock(), 60_000)
        known, calls = self._spent.get(appkey, (minute, 0))
        calls = calls + 1 if known == minute else 1
        self._spent[appkey] = (minute, calls)
        return {
            "X-Rate-Limit-Quota": str(QUOTA),
            "X-Rate-Limit-Remaining": str(-1 if is_full else max(-1, QUOTA - calls)),
            "X-Rate-Limit-Reset": str(math.ceil((60_000 - rest_ms) / 1000)),
        }


def error(status: int, code: int, message: str, **headers: str) -> web.Response:
    """Return an error in the vendor's shape."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def basic(request: web.Request) -> tuple[str, str]:
    """Return user and password of the Authorization header, empty if there are none."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


async def json_of(request: web.Request) -> Any:
    """Return the body; None if it is no JSON."""
    try:
        return jsontext.parse(await request.text())
    except ValueError:
        return None


async def _unserved(request: web.Request, _appkey: str) -> web.Response:
    return error(501, 899000, f"the sandbox does not serve {request.method} {request.path}")
