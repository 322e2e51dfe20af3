"""
Files over HTTP: where a back end and where the SDK upload them, and where they are served from.
"""

from collections.abc import Callable

from aiohttp import BodyPartReader, web

from authsvc.sandbox.core import Core
from authsvc.sandbox.files import MAX_BYTES
from authsvc.sandbox.rest.calls import EITHER_END, Calls, basic, error

KINDS = ("image", "file", "voice")


class FileRoutes:
    """The routes of files; the last of them takes every path that nothing else has."""

    def __init__(self, calls: Calls, core: Core) -> None:
        self._calls = calls
        self._core = core

    def calls(self) -> list[web.AbstractRouteDef]:
        """Return the calls of the REST API."""
        return [
            web.get("/v1/resource" + EITHER_END, self._calls.called(self._resource)),
            web.post("/v1/resource" + EITHER_END, self._calls.called(self._upload)),
        ]

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the others."""
        return [
            web.route("OPTIONS", "/resource", self._preflight),
            web.post("/resource", self._sdk_upload),
            web.get("/{media_id:.+}", self._file),
            web.route("*", "/{path:.*}", _nowhere),
        ]

    async def _resource(self, request: web.Request, _appkey: str) -> web.Response:
        media_id = request.query.get("mediaId", "")
        if self._core.files.get(media_id) is None:
            return error(400, 899003, "parameter invalid: mediaId")
        return web.json_response({"url": self._core.url_of(media_id)})

    async def _upload(self, request: web.Request, _appkey: str) -> web.Response:
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
            return web.json_response(self._core.files.add(kind, name, content, number=self._core.new_id()))
        except ValueError as exc:
            return error(400, 899003, f"parameter invalid: {exc}")

    async def _preflight(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers=_cors(request))

    async def _sdk_upload(self, request: web.Request) -> web.Response:
        """Keep a file as the SDK uploads it: Basic of username and upload token."""
        username, token = basic(request)
        if self._core.files.holder_of(token) != (request.headers.get("X-App-Key", ""), username):
            answer = error(401, 898008, "auth failed")
        else:
            answer = await self._keep(request, too_large=lambda: error(400, 898061, "file size exceed limit"))
        answer.headers.update(_cors(request))
        return answer

    async def _file(self, request: web.Request) -> web.Response:
        if not self._core.files.is_valid(self._core.base + request.raw_path, self._core.clock()):
            return web.json_response({"error": "bad token, or it has expired"}, status=401)
        file = self._core.files.get(request.match_info["media_id"])
        if file is None:
            return web.json_response({"error": "Document not found"}, status=404)
        kind = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "bmp": "image/bmp"}.get(file.format)
        headers = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.content, content_type=kind or "application/octet-stream", headers=headers)


async def _nowhere(request: web.Request) -> web.Response:
    return error(404, 899003, f"parameter invalid: there is no {request.method} {request.path}")


async def _first_file(request: web.Request) -> tuple[str, bytes] | None:
    """Return name and content of the first file, of which no more is read than shows that it is too large."""
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.filename is not None:
                content = b""
                while (piece := await part.read_chunk(65_536)) and len(content) <= MAX_BYTES:
                    content += piece
                return part.filename.encode(errors="replace").decode(), content
    except ValueError:
        return None
    return None


def _cors(request: web.Request) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": request.headers.get("Origin", "*"),
        "Access-Control-Allow-Headers": "authorization, x-app-key, jm-channel",
        "Access-Control-Allow-Methods": "POST",
    }
