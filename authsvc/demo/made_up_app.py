"""
The made-up web app whose users log in and chat: a Flask app of its own, as a real one would be, with the page.

It shares only the session key with the service. Imports `bind`, `clock`, `ids`, `model`, `payload`.
"""

import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from flask import Flask, Response, request, send_from_directory, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import BadGateway, BadRequest, Unauthorized

import authsvc
from authsvc import clock
from authsvc.bind import Bind
from authsvc.ids import fresh_id
from authsvc.payloads import payload
from authsvc.settings.model import Settings

STATIC = Path(authsvc.__file__).parent / "static"
USERS = ("ming", "anna")  # their IM accounts have the same names, which have 4 characters at least
COOKIE = "authsvc_demo"  # cookies ignore ports: `session` would log the visitor out of another app on this host
OLD_MS = 660_000  # 11 minutes: a minute after a payload expires
MAX_BYTES = 4096
TIMEOUT_S = 10


class _Sessions(SecureCookieSessionInterface):
    """Flask's sessions, whose cookies are for the path that the app is mounted at."""

    def get_cookie_path(self, app: Flask) -> str:
        return request.script_root or super().get_cookie_path(app)


def create_page(settings: Settings, *, sandbox: Bind, sdk_script: bytes | None = None) -> Flask:
    """
    Return the made-up web app, with the page.

    Args:
        settings: of the service, for the key that both share.
        sandbox: where the vendor's stand-in listens.
        sdk_script: the content of the vendor's SDK file, if the page uses it.
    """
    app = Flask(__name__, static_folder=STATIC / "demo", static_url_path="/demo")
    app.session_interface = _Sessions()
    app.config.update(
        SECRET_KEY=settings.session_key[0].reveal(),
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=MAX_BYTES,
    )
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"connect-src 'self' ws://{sandbox} http://{sandbox}; img-src 'self' data: http://{sandbox}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    @app.get("/")
    def page() -> Response:
        return app.send_static_file("index.html")

    @app.get("/demo/sdk.js")
    def sdk() -> Response:
        return send_from_directory(STATIC, "sdk.js")

    @app.get("/demo/vendor-sdk.js")
    def vendor_sdk() -> Response:
        return Response(sdk_script or b"", mimetype="text/javascript")

    _register_login(app)
    _register_gateway(app, settings, sandbox)

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Content-Security-Policy"] = policy
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return app


def _register_login(app: Flask) -> None:
    @app.get("/demo/session")
    def who() -> dict[str, str | None]:
        session.modified = True  # to delete the cookie of an earlier run, signed with another key
        return {"user": session.get("_user_id")}

    @app.post("/demo/login")
    def login() -> dict[str, str | None]:
        asked = request.get_json()
        user = asked.get("user") if isinstance(asked, dict) else None
        if user not in USERS:
            raise BadRequest(f"user: must be one of {', '.join(USERS)}")
        session["_user_id"] = user
        return who()

    @app.post("/demo/logout")
    def logout() -> dict[str, str | None]:
        session.clear()
        return who()


def _register_gateway(app: Flask, settings: Settings, sandbox: Bind) -> None:
    @app.post("/demo/drop")
    def drop() -> dict[str, bool]:
        check_logged_in()
        _drop_connections(sandbox)
        return {"dropped": True}

    @app.post("/demo/expired")
    def expired() -> dict[str, str]:
        """Sign an expired payload, which the service itself never signs."""
        check_logged_in()
        return payload.issue(
            appkey=str(settings.appkey),
            master_secret=settings.master_secret.reveal() if settings.master_secret else "",
            random_str=fresh_id(),
            now_ms=clock.now_ms() - OLD_MS,
        ).to_dict()

    def check_logged_in() -> None:
        if session.get("_user_id") is None:
            raise Unauthorized("log in first")


def _drop_connections(sandbox: Bind) -> None:
    """Make the gateway close every connection, as in a restart."""
    connection = HTTPConnection(sandbox.host, sandbox.port, timeout=TIMEOUT_S)
    try:
        connection.request(
            "POST", "/sandbox", body=json.dumps({"drop": True}), headers={"Content-Type": "application/json"}
        )
        connection.getresponse().read()
    except (OSError, HTTPException) as exc:
        raise BadGateway("the sandbox did not answer") from exc
    finally:
        connection.close()
