"""
`authsvc demo`: the made-up app and the service in one server, and the sandbox, a process of its own that ends with this
one. Every secret is generated anew at each start.
Imports `app`, `bind`, `loader`, `model`, `rate`, `secret`, `runner`, `errors`; of this room `made_up_app` and `door`.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from authsvc.app import create_app
from authsvc.bind import Bind, free
from authsvc.demo.door import by_browser, guard, join
from authsvc.demo.made_up_app import COOKIE, create_page
from authsvc.errors import SettingsError
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.server import runner
from authsvc.settings import loader
from authsvc.settings.model import Settings

LOOPBACK = "127.0.0.1"


def serve(bind: Bind, sdk: Path | None = None) -> None:
    """
    Serve the demo until stopped.

    Args:
        bind: port 0 takes any free port.
        sdk: the vendor's SDK file; None takes the built-in stand-in.

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
                load=lambda _drain: by_browser(
                    guard(
                        join(create_page(settings, sandbox=sandbox, sdk_script=sdk_script), create_app(settings)), bind
                    )
                ),
            )


def _read(sdk: Path) -> bytes:
    try:
        return sdk.read_bytes()
    except OSError as exc:
        raise SettingsError([f"--sdk: {sdk} cannot be read: {exc.strerror}"]) from exc


def _beside(bind: Bind) -> Bind:
    """Return the address of the sandbox: the next port if it is free, so that an open page survives a restart."""
    with suppress(SettingsError, OverflowError):
        return free(Bind(LOOPBACK, bind.port + 1))
    return free(Bind(LOOPBACK, 0))


@contextmanager
def _sandbox(bind: Bind, settings: Settings, folder: Path, *, service: Bind) -> Iterator[None]:
    """Run the sandbox. It ends with its stdin, and so also when this process is killed."""
    variables = dict(os.environ)
    loader.take(variables)
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
        process_group=0,  # Ctrl-C is handled by this process
    )
    with process:
        if not (process.stdout and process.stdout.readline()):
            raise SettingsError(["authsvc demo: its sandbox did not start"])
        yield


def draw_settings(folder: Path, *, sandbox: Bind, sdk: Path | None = None) -> Settings:
    """Return the service's settings, with new secrets and a store in this folder."""
    return Settings(
        appkey=secrets.token_hex(12),
        master_secret=Secret(secrets.token_hex(12)),
        session_key=(Secret(secrets.token_hex(32)),),
        session_cookie=COOKIE,
        verifier_keys=(Secret(secrets.token_hex(32)),),
        account_key=Secret(secrets.token_hex(32)),
        store_url=Secret(f"sqlite://{folder.resolve()}/store.db"),
        flag=1,  # a page that is reloaded shows the earlier messages
        rate_limit=Rate.parse("600/minute"),  # a visitor clicks a lot
        vendor_url=f"http://{sandbox}",
        media_hosts=(LOOPBACK,),
        sdk_script="/demo/sdk.js" if sdk is None else "/demo/vendor-sdk.js",
        sdk_options={"address": f"ws://{sandbox}", "upload_file": f"http://{sandbox}/resource"},
    )
