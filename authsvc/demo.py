"""
The service shown on one page: beside it a made-up web app whose users log in, and the sandbox in the vendor's place.

The made-up app is a Flask app of its own, as a real one would be: it shares only the session key with the service. The
sandbox is a process of its own that ends with this one. Every secret is drawn anew at each start.
Imports `app`, `bind`, `clock`, `model`, `ids`, `rate`, `same_site`, `payload`, `secret`, `runner`, `errors`.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import Flask, Response, request, session
from werkzeug.exceptions import BadGateway, BadRequest, Forbidden, Unauthorized

from authsvc import clock
from authsvc.app import create_app
from authsvc.auth import same_site
from authsvc.bind import Bind, free
from authsvc.errors import CrossSite, SettingsError
from authsvc.ids import fresh_id
from authsvc.payloads import payload
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.server import runner
from authsvc.settings.model import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

USERS = ("ming", "ana", "omar")
COOKIE = "authsvc_demo"  # cookies know no ports: `session` would log the visitor out of another app on this host
LOOPBACK = "127.0.0.1"
OLD_MS = 660_000  # 11 minutes: a minute more than a payload lives
MAX_BYTES = 4096
TIMEOUT_S = 5


def serve(bind: Bind, sdk: Path | None = None) -> None:
    """
    Serve the demo until stopped.

    Args:
        bind: port 0 takes any that is free.
        sdk: the vendor's SDK file; None takes our stand-in for it.

    Raises:
        SettingsError: nothing can listen there, the file cannot be read, or the sandbox does not start.
    """
    if bind.socket is not None:
        raise SettingsError(["--bind: a browser cannot open a unix socket; give HOST:PORT"])
    sdk_script = None if sdk is None else _read(sdk)
    bind = free(bind)
    sandbox = _beside(bind)
    with tempfile.TemporaryDirectory(prefix="authsvc-demo-") as folder:
        settings = draw_settings(Path(folder), sandbox=sandbox, sdk=sdk)
        with _sandbox(sandbox, settings, Path(folder), service=bind):
            click.echo(f"The demo is at http://{bind}/ (Ctrl-C stops it; its secrets are made up and end with it)")
            runner.serve(
                "gunicorn",
                bind,
                workers=1,
                drain_delay_s=0,
                log_level="WARNING",
                load=lambda _drain: guard(
                    join(create_page(settings, sandbox=sandbox, sdk_script=sdk_script), create_app(settings)), bind
                ),
            )


def _read(sdk: Path) -> bytes:
    try:
        return sdk.read_bytes()
    except OSError as exc:
        raise SettingsError([f"--sdk: {sdk} cannot be read: {exc.strerror}"]) from exc


def _beside(bind: Bind) -> Bind:
    """Return where the sandbox listens: the next port if it is free, so that an open page outlives a restart."""
    with suppress(SettingsError, OverflowError):
        return free(Bind(LOOPBACK, bind.port + 1))
    return free(Bind(LOOPBACK, 0))


@contextmanager
def _sandbox(bind: Bind, settings: Settings, folder: Path, *, service: Bind) -> Iterator[None]:
    """Run the sandbox. It ends when its stdin does, and so even when this process dies without a word."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}
    variables["AUTHSVC_APPKEY"] = str(settings.appkey)
    for name, secret in (("MASTER_SECRET", settings.master_secret), ("VERIFIER_KEYS", settings.verifier_keys[0])):
        (folder / name).write_text(secret.reveal() if secret else "")
        variables[f"AUTHSVC_{name}_FILE"] = str(folder / name)
    command = [sys.executable, "-m", "authsvc", "sandbox", "--bind", str(bind), "--service", f"http://{service}"]
    process = subprocess.Popen(  # noqa: S603 -- ourselves
        [*command, "--until-stdin-ends"],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for this process to act on
    )
    with process:
        if not (process.stdout and process.stdout.readline()):
            raise SettingsError(["authsvc demo: its sandbox did not start"])
        yield


def draw_settings(folder: Path, *, sandbox: Bind, sdk: Path | None = None) -> Settings:
    """Return the service's settings, every secret in them new, with a store in this folder."""
    return Settings(
        appkey=secrets.token_hex(12),
        master_secret=Secret(secrets.token_hex(12)),
        session_key=(Secret(secrets.token_hex(32)),),
        session_cookie=COOKIE,
        verifier_keys=(Secret(secrets.token_hex(32)),),
        account_key=Secret(secrets.token_hex(32)),
        store_url=Secret(f"sqlite://{folder.resolve()}/store.db"),
        rate_limit=Rate.parse("600/minute"),  # a visitor who clicks a lot is no attacker
        vendor_url=f"http://{sandbox}",
        media_hosts=(LOOPBACK,),
        sdk_script="/demo/sdk.js" if sdk is None else "/demo/vendor-sdk.js",
        sdk_options={"address": f"ws://{sandbox}", "upload_file": f"http://{sandbox}/resource"},
    )


def create_page(settings: Settings, *, sandbox: Bind, sdk_script: bytes | None = None) -> Flask:
    """
    Return the made-up web app, with the page.

    Args:
        settings: of the service, for the key that an operator would give to both.
        sandbox: where the vendor's stand-in listens.
        sdk_script: the content of the vendor's SDK file, if the page uses that.
    """
    app = Flask(__name__, static_url_path="/demo")
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
        session.modified = True  # so that the cookie of an earlier run, which another key signed, is taken back
        return app.send_static_file("demo.html")

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
        """Sign what nobody can have signed today: the service's own clock cannot be talked into it."""
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


def guard(app: "WSGIApplication", bind: Bind) -> "WSGIApplication":
    """
    Return the app, which refuses pages of foreign sites: by a name that they let resolve to here, and what they POST.

    The service compares the origin with the Host by itself; which names it has only its operator knows.
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
                    host=host,
                    allowed=(),
                )
            except CrossSite as refusal:
                return Forbidden(refusal.detail)(environ, start_response)
        return app(environ, start_response)

    return guarded


def _drop_connections(sandbox: Bind) -> None:
    """Have the gateway close every connection, as one that restarts does."""
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
