"""
The one address of the made-up app and the service: which request is whose, and which is refused as a foreign page's.

Imports `bind`, `errors`, `same_site`.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.exceptions import Forbidden

from authsvc.auth import same_site
from authsvc.bind import Bind
from authsvc.errors import CrossSite

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BROWSER = re.compile("/browser-[12](?=/)")


def by_browser(app: "WSGIApplication") -> "WSGIApplication":
    """
    Return the app, which is also there below `/browser-1` and `/browser-2`.

    The page shows two users in one browser. A session cookie is for a path (RFC 6265, 5.1.4), so that each of these two
    paths has a session of its own, as two browsers have.
    """

    def below(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        found = BROWSER.match(environ["PATH_INFO"])
        if found:
            environ["SCRIPT_NAME"] = found[0]
            environ["PATH_INFO"] = environ["PATH_INFO"][found.end() :]
        return app(environ, start_response)

    return below


def join(page: "WSGIApplication", service: "WSGIApplication") -> "WSGIApplication":
    """
    Return one WSGI app: `/` and `/demo/...` go to the page, all other paths to the service.

    Werkzeug's dispatcher would strip the prefix of each route.
    """

    def joined(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        app = page if path == "/" or path.startswith("/demo/") else service
        return app(environ, start_response)

    return joined


def guard(app: "WSGIApplication", bind: Bind) -> "WSGIApplication":
    """
    Return the app with a guard against pages of other sites: against DNS rebinding, and against their POSTs.

    The service itself compares the origin with the Host header, but does not know its own names.
    """

    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if not bind.is_meant_by(host):
            return Forbidden(f"Host: the demo answers to localhost, 127.0.0.1, [::1] and {bind.host} alone")(
                environ, start_response
            )
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].startswith("/demo/"):
            try:
                same_site.check_same_site(
                    origin=environ.get("HTTP_ORIGIN"),
                    sec_fetch_site=environ.get("HTTP_SEC_FETCH_SITE"),
                    host=lambda: host,
                    allowed=(),
                )
            except CrossSite as refusal:
                return Forbidden(refusal.detail)(environ, start_response)
        return app(environ, start_response)

    return guarded
