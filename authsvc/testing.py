"""
For tests of an app and its pages: a sandbox, and a service that signs and verifies, on free ports in this process.

They are ready at the start of the block of `running()`, and end with it. Their secrets are new each time.
`authsvc.testing_pytest` has them as a fixture; `python -m authsvc.testing` is both for tests in other languages, and
`testing.mjs` beside this file starts that for tests in Node.
"""

import json
import logging
import secrets
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import jwt
from werkzeug.serving import make_server

from authsvc import clock
from authsvc.app import create_app
from authsvc.bind import Bind, free
from authsvc.ratelimit.rate import Rate
from authsvc.sandbox import server
from authsvc.sandbox.verification import Service
from authsvc.secret import Secret
from authsvc.settings.model import Settings

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 10
TOKEN_S = 3600


@dataclass(frozen=True, slots=True)
class Running:
    """The addresses of both, and what a test does with them."""

    service: str
    sandbox: str
    appkey: str
    master_secret: str = field(repr=False)
    jwt_key: str = field(repr=False)

    def token(self, user_id: str) -> str:
        """Return a token of this user that the service accepts for an hour."""
        return jwt.encode({"sub": user_id, "exp": clock.now_ms() // 1000 + TOKEN_S}, self.jwt_key, algorithm="HS256")

    def change(self, **members: object) -> dict[str, Any]:
        """Send `POST /sandbox` to the sandbox. Raises ValueError with its message if it refuses."""
        body = json.dumps(members).encode()
        return self._ask(Request(f"{self.sandbox}/sandbox", body, {"Content-Type": "application/json"}))  # noqa: S310

    def events(self, **query: object) -> list[dict[str, Any]]:
        """Return the events that pages have sent: of a `username`, of an `event`, `since` a number."""
        answer = self._ask(Request(f"{self.sandbox}/sandbox/events?{urlencode(query)}"))  # noqa: S310 -- ours
        found: list[dict[str, Any]] = answer["events"]
        return found

    def _ask(self, request: Request) -> dict[str, Any]:
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 -- our own URL
                content: dict[str, Any] = json.load(answer)
        except HTTPError as refused:
            with refused:
                raise ValueError(json.load(refused)["error"]["message"]) from None
        return content


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    """
    Run a sandbox and a service until the end of the block.

    Args:
        settings: of the service, by their names in `Settings`, in place of the defaults here.
    """
    bind = free(Bind(LOOPBACK, 0))
    appkey, master_secret, jwt_key, verifier_key = (secrets.token_hex(size) for size in (12, 12, 32, 32))
    sandbox = f"http://{bind}"
    with tempfile.TemporaryDirectory(prefix="authsvc-testing-") as folder:
        default: dict[str, Any] = {
            "appkey": appkey,
            "master_secret": Secret(master_secret),
            "jwt_key": Secret(jwt_key),
            "jwt_algorithms": ("HS256",),
            "verifier_keys": (Secret(verifier_key),),
            "account_key": Secret(secrets.token_hex(32)),
            "account_adopt": True,  # of a user whom the test has planted
            "store_url": Secret(f"sqlite://{folder}/store.db"),
            "rate_limit": Rate.parse("6000/minute"),
            "vendor_url": sandbox,
            "media_hosts": (LOOPBACK,),
            "sdk_options": {"address": f"ws://{bind}", "upload_file": f"{sandbox}/resource"},
        }
        given = Settings(**default | settings)
        app = create_app(given, variables={})
        listener = make_server(LOOPBACK, 0, app, threaded=True)
        service = f"http://{LOOPBACK}:{listener.server_port}"
        serving = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            with server.in_thread(bind, given.apps, Service(service, verifier_key)):
                yield Running(service, sandbox, appkey, master_secret, jwt_key)
        finally:
            listener.shutdown()
            serving.join()
            listener.server_close()
            app.extensions["authsvc"].stop()


def main() -> None:
    """Run both until standard input ends. The first line of the output is where they are, as JSON."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with suppress(KeyboardInterrupt), running(log_level="WARNING") as both:
        sys.stdout.write(json.dumps(asdict(both)) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
