"""
The service shown on one page, beside a made-up web app whose users log in; every secret is drawn anew at each start.

The made-up app is a Flask app of its own, as a real one would be: it shares only the session key with the service,
and the verifier key, because it plays the vendor's gateway too. Imports `app`, `config`, `secret`, `servers`, `errors`.
"""

import secrets
import tempfile
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import Flask, Response, request, session
from werkzeug.exceptions import BadGateway, BadRequest

from authsvc import servers
from authsvc.app import create_app
from authsvc.bind import Bind, free
from authsvc.config import Settings
from authsvc.errors import SettingsError
from authsvc.secret import Secret

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

USERS = ("ming", "ana", "omar")
COOKIE = "authsvc_demo"  # cookies know no ports: `session` would log the visitor out of another app on this host
MAX_BYTES = 4096
TIMEOUT_S = 5

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def serve(bind: Bind) -> None:
    """
    Serve the demo until stopped.

    Args:
        bind: port 0 takes any that is free.

    Raises:
        SettingsError: nothing can listen there.
    """
    if bind.socket is not None:
        raise SettingsError(["--bind: a browser cannot open a unix socket; give HOST:PORT"])
    bind = free(bind)
    with tempfile.TemporaryDirectory(prefix="authsvc-demo-") as folder:
        settings = draw_settings(Path(folder))
        click.echo(f"The demo is at http://{bind}/ (Ctrl-C stops it; its secrets are made up and end with it)")
        servers.serve(
            "gunicorn",
            bind,
            workers=1,
            drain_delay_s=0,
            log_level="WARNING",
            load=lambda _drain: join(create_page(settings, service=bind), create_app(settings)),
        )


def draw_settings(folder: Path) -> Settings:
    """Return the service's settings, every secret in them new, with a store in this folder."""
    return Settings(
        appkey=secrets.token_hex(12),
        master_secret=Secret(secrets.token_hex(12)),
        session_key=(Secret(secrets.token_hex(32)),),
        session_cookie=COOKIE,
        verifier_keys=(Secret(secrets.token_hex(32)),),
        store_url=Secret(f"sqlite://{folder.resolve()}/store.db"),
    )


def create_page(settings: Settings, *, service: Bind) -> Flask:
    """
    Return the made-up web app, with the page.

    Args:
        settings: of the service, for the keys that an operator would give to both.
        service: where the service listens.
    """
    app = Flask(__name__, static_url_path="/demo")
    app.config.update(
        SECRET_KEY=settings.session_key[0].reveal(),
        SESSION_COOKIE_NAME=COOKIE,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=MAX_BYTES,
    )
    gateway_key = settings.verifier_keys[0].reveal()

    @app.get("/")
    def page() -> Response:
        session.modified = True  # so that the cookie of an earlier run, which another key signed, is taken back
        return app.send_static_file("demo.html")

    @app.get("/demo/session")
    def who() -> dict[str, str | None]:
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

    @app.post("/demo/verify")
    def verify() -> Response:
        return _ask_service(service, gateway_key, request.get_data())

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Content-Security-Policy"] = _CSP
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return app


def join(page: "WSGIApplication", service: "WSGIApplication") -> "WSGIApplication":
    """
    Return one WSGI app: `/` and `/demo/...` are the page's, all other paths the service's.

    Werkzeug's dispatcher would strip the prefix, and with it half of every route of the service.
    """

    def joined(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        app = page if path == "/" or path.startswith("/demo/") else service
        return app(environ, start_response)

    return joined


def _ask_service(service: Bind, key: str, payload: bytes) -> Response:
    """Do what the vendor's gateway would: ask over HTTP, with the key that no page sees; hand back the answer as is."""
    connection = HTTPConnection(service.host, service.port, timeout=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/auth-payload/verify", body=payload, headers=headers)
        answer = connection.getresponse()
        return Response(answer.read(), status=answer.status, content_type=answer.headers["Content-Type"])
    except (OSError, HTTPException) as exc:
        raise BadGateway("the service did not answer") from exc
    finally:
        connection.close()
