"""
The media routes: the URL behind a media_id, for one or many, and a redirect to it for `<img src>`.

Imports `authenticator`, `apps`, `media`, `media_url`, `problems`, `json_body`, `answer`, `request` and `errors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from authsvc.auth.authenticator import Authenticator
from authsvc.errors import InvalidRequest, Refusal
from authsvc.payloads.apps import Apps
from authsvc.vendor.media import MAX_BATCH, Media
from authsvc.vendor.media_url import Resource
from authsvc.web import json_body, problems
from authsvc.web.answer import Answer, of_json
from authsvc.web.request import Request


@dataclass(frozen=True, slots=True)
class MediaRoutes:
    """The handlers, and what they use."""

    authenticator: Authenticator
    apps: Apps
    media: Media

    def resource(self, request: Request) -> Answer:
        user_id = self.authenticator.authenticate(request, request.now_ms)
        query = request.query({"media_id", "appkey", "fresh"})
        media_id, fresh = json_body.required(query, "media_id"), _is_fresh(query)
        served = self.apps.find(query.get("appkey"))
        return of_json(self.media.resolve(served, user_id, media_id, request.now_ms, fresh=fresh).to_dict())

    def redirect(self, request: Request) -> Answer:
        user_id = self.authenticator.authenticate(request, request.now_ms)
        query = request.query({"appkey", "fresh"})
        fresh, served = _is_fresh(query), self.apps.find(query.get("appkey"))
        found = self.media.resolve(served, user_id, request.rest, request.now_ms, fresh=fresh)
        until_ms = found.fresh_until_ms if found.expires_at_ms is None else found.expires_at_ms
        if fresh:
            until_ms = request.now_ms  # no browser may cache it: the next request for a fresh URL needs another one
        cache_control = f"private, max-age={max(0, until_ms - request.now_ms) // 1000}"
        return Answer(b"", media_type=None, status=302, headers=(("Location", found.url),), cache_control=cache_control)

    def resources(self, request: Request) -> Answer:
        user_id = self.authenticator.authenticate(request, request.now_ms)
        fields = request.fields({"media_ids", "appkey", "fresh"}, may_be_empty=False)
        media_ids, fresh = json_body.texts(fields, "media_ids", most=MAX_BATCH), json_body.flag(fields, "fresh")
        served = self.apps.find(json_body.text(fields, "appkey"))
        found = self.media.resolve_many(served, user_id, media_ids, request.now_ms, fresh=fresh)
        results = {media_id: _result(request, one) for media_id, one in found.items()}
        # A page that caches the URLs computes their age by this clock, not by its own.
        return of_json({"results": results}, headers=(("X-Server-Time-Ms", str(request.now_ms)),))


def _is_fresh(query: Mapping[str, str]) -> bool:
    value = query.get("fresh", "false")
    if value not in ("true", "false"):
        raise InvalidRequest("fresh", "must be true or false")
    return value == "true"


def _result(request: Request, found: Resource | Refusal) -> dict[str, object]:
    if isinstance(found, Refusal):
        message = found.message.text(request.language.details)
        return {"code": problems.BY_REFUSAL[type(found)].code, "message": message}
    return found.to_dict()
