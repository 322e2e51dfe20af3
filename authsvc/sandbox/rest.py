"""
The vendor's REST API, the place where its SDK uploads, and the server of its files.

Errors have the vendor's shape, `{"error": {"code", "message"}}`, and its codes.
"""

import asyncio
import base64
import binascii
import hmac
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from aiohttp import BodyPartReader, web

from authsvc.sandbox.behaviour import REST, Behaviour
from authsvc.sandbox.files import MAX_BYTES, Files
from authsvc.sandbox.users import Users, md5_of

QUOTA = 600  # calls of an app in a minute: the vendor's free plan
KINDS = ("image", "file", "voice")
MAX_USERS = 500  # that one call may register

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """The routes over HTTP. `master_secrets` are those of the apps that the vendor knows, by appkey."""

    def __init__(
        self,
        master_secrets: Mapping[str, str],
        users: Users,
        files: Files,
        *,
        url_of: Callable[[str], str],
        is_valid_url: Callable[[str], bool],
        behaviour: Callable[[], Behaviour],
        now_ms: Callable[[], int],
    ) -> None:
        """
        Take what it works with.

        Args:
            url_of: returns where the file of a media_id is from now on, for as long as such a URL lives.
            is_valid_url: whether a path with its query is one of these URLs and has not expired.
        """
        self._master_secrets = master_secrets
        self._users = users
        self._files = files
        self._url_of = url_of
        self._is_valid_url = is_valid_url
        self._behaviour = behaviour
        self._now_ms = now_ms
        self._spent: dict[str, tuple[int, int]] = {}  # by appkey: the minute, and the calls in it

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes, for paths with a slash at their end and without; that of the files takes every path."""
        called = {
            ("GET", "/v1/resource"): self._resource,
            ("POST", "/v1/resource"): self._upload,
            ("POST", "/v1/users"): self._register,
            ("PUT", "/v1/users/{username}/password"): self._set_password,
            ("*", "/{version:v[12]}{path:(/.*)?}"): _unserved,
        }
        return [
            *(web.route(method, path + "{slash:/?}", self._called(do)) for (method, path), do in called.items()),
            web.route("OPTIONS", "/resource", self._preflight),
            web.post("/resource", self._sdk_upload),
            web.get("/{media_id:.+}", self._file),
            web.route("*", "/{path:.*}", _nowhere),
        ]

    def _called(self, handler: Callable[[web.Request, str], Awaitable[web.StreamResponse]]) -> _Handler:
        """Return the handler behind what all calls have in common; it is given the appkey too."""

        async def called(request: web.Request) -> web.StreamResponse:
            mode = request.headers.get("X-Sandbox", self._behaviour().rest)
            if mode not in REST:
                return error(400, 899003, f"X-Sandbox: must be one of {', '.join(REST)}")
            if mode == "gone":
                cast("asyncio.Transport", request.transport).abort()  # it is there until the answer is
            if mode == "slow":
                await asyncio.sleep(self._behaviour().delay_s)
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

    def _appkey(self, request: web.Request) -> str | None:
        appkey, master_secret = _basic(request)
        known = self._master_secrets.get(appkey, "")
        return appkey if known and hmac.compare_digest(known.encode(), master_secret.encode()) else None

    def _spend(self, appkey: str, *, is_full: bool) -> dict[str, str]:
        """Count a call and return the vendor's headers; with -1 remaining the call is one too many."""
        minute, rest_ms = divmod(self._now_ms(), 60_000)
        known, calls = self._spent.get(appkey, (minute, 0))
        calls = calls + 1 if known == minute else 1
        self._spent[appkey] = (minute, calls)
        return {
            "X-Rate-Limit-Quota": str(QUOTA),
            "X-Rate-Limit-Remaining": str(-1 if is_full else max(-1, QUOTA - calls)),
            "X-Rate-Limit-Reset": str(math.ceil((60_000 - rest_ms) / 1000)),
        }

    async def _resource(self, request: web.Request, _appkey: str) -> web.StreamResponse:
        media_id = request.query.get("mediaId", "")
        if self._files.get(media_id) is None:
            return error(400, 899003, "parameter invalid: mediaId")
        return web.json_response({"url": self._url_of(media_id)})

    async def _upload(self, request: web.Request, _appkey: str) -> web.StreamResponse:
        return await self._keep(request, too_large=lambda: error(400, 899003, "parameter invalid: more than 8 MB"))

    async def _keep(self, request: web.Request, *, too_large: Callable[[], web.Response]) -> web.Response:
        """Keep the first file of a multipart body."""
        kind = request.query.get("type", "")
        if kind not in KINDS or not request.content_type.startswith("multipart/"):
            return error(400, 899003, f"parameter invalid: type is one of {', '.join(KINDS)}, the body multipart")
        part = await _first_file(request)
        if part is None:
            return error(400, 899003, "parameter invalid: no file in the body")
        name, content = part
        if len(content) > MAX_BYTES:
            return too_large()
        try:
            return web.json_response(self._files.add(kind, name, content))
        except ValueError as exc:
            return error(400, 899003, f"parameter invalid: {exc}")

    async def _register(self, request: web.Request, appkey: str) -> web.StreamResponse:
        asked = await _json(request)
        if not isinstance(asked, list) or not 1 <= len(asked) <= MAX_USERS:
            return error(400, 899003, f"parameter invalid: a list of 1 to {MAX_USERS} users")
        told = [self._registered(appkey, user) for user in asked]
        failed = [one for one in told if "error" in one]
        return web.json_response(told, status=403 if len(failed) == len(told) else 201)

    def _registered(self, appkey: str, user: object) -> dict[str, object]:
        username = user.get("username") if isinstance(user, dict) else None
        password = user.get("password") if isinstance(user, dict) else None
        if not isinstance(username, str) or not _is_password(password):
            return {"username": str(username), "error": {"code": 899003, "message": "parameter invalid"}}
        try:
            self._users.add(appkey, username, md5_of(str(password)))
        except ValueError as exc:
            return {"username": username, "error": {"code": 899003, "message": f"parameter invalid: {exc}"}}
        except KeyError:
            return {"username": username, "error": {"code": 899001, "message": "User exist"}}
        return {"username": username}

    async def _set_password(self, request: web.Request, appkey: str) -> web.StreamResponse:
        asked = await _json(request)
        password = asked.get("new_password") if isinstance(asked, dict) else None
        if not _is_password(password):
            return error(400, 899003, "parameter invalid: new_password is 4 to 128 bytes")
        try:
            self._users.set_password(appkey, request.match_info["username"], md5_of(str(password)))
        except KeyError:
            return error(404, 899002, "No such user")
        return web.Response(status=204)

    async def _preflight(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=204, headers=_cors(request))

    async def _sdk_upload(self, request: web.Request) -> web.StreamResponse:
        """Keep a file as the SDK uploads it: Basic of username and upload token."""
        username, token = _basic(request)
        if self._files.holder_of(token) != (request.headers.get("X-App-Key", ""), username):
            answer = error(401, 898008, "auth failed")
        else:
            answer = await self._keep(request, too_large=lambda: error(400, 898061, "file size exceed limit"))
        answer.headers.update(_cors(request))
        return answer

    async def _file(self, request: web.Request) -> web.StreamResponse:
        if not self._is_valid_url(request.raw_path):
            return web.json_response({"error": "bad token, or it has expired"}, status=401)
        file = self._files.get(request.match_info["media_id"])
        if file is None:
            return web.json_response({"error": "Document not found"}, status=404)
        kind = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "bmp": "image/bmp"}.get(file.format)
        headers = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.content, content_type=kind or "application/octet-stream", headers=headers)


async def _unserved(request: web.Request, _appkey: str) -> web.StreamResponse:
    return error(501, 899000, f"the sandbox does not serve {request.method} {request.path}")


async def _nowhere(request: web.Request) -> web.StreamResponse:
    return error(404, 899003, f"parameter invalid: there is no {request.method} {request.path}")


def error(status: int, code: int, message: str, **headers: str) -> web.Response:
    """Return an error in the vendor's shape."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def _basic(request: web.Request) -> tuple[str, str]:
    """Return user and password of the Authorization header, empty if there are none."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


def _is_password(value: object) -> bool:
    return isinstance(value, str) and 4 <= len(value.encode()) <= 128


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.text())
    except (ValueError, RecursionError):
        return None


async def _first_file(request: web.Request) -> tuple[str, bytes] | None:
    """Return name and content of the first file, of which no more is read than shows that it is too large."""
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.filename is not None:
                content = b""
                while (piece := await part.read_chunk(65_536)) and len(content) <= MAX_BYTES:
                    content += piece
                return part.filename, content
    except ValueError:
        return None
    return None


def _cors(request: web.Request) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": request.headers.get("Origin", "*"),
        "Access-Control-Allow-Headers": "authorization, x-app-key, jm-channel",
        "Access-Control-Allow-Methods": "POST",
    }
