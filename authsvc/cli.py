"""
The command line. Exit codes: 0 done or valid, 1 refused, 2 usage or settings; errors go to stderr.

Secrets come from files or the environment, never from an argument, which every process list shows. One module, so that
all commands and options are on one page.
"""

import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from authsvc import __version__, checks, clock, stores
from authsvc.app import preload
from authsvc.bind import Bind
from authsvc.errors import InvalidRequest, Refusal, Replayed, SettingsError, StoreUnavailable
from authsvc.escaping import escaped
from authsvc.ids import fresh_id
from authsvc.logins import check_ways, ways_of
from authsvc.outbound import proxies
from authsvc.payloads import payload, verifying
from authsvc.payloads.apps import Apps
from authsvc.server import runner
from authsvc.settings import loader
from authsvc.settings.model import AppSettings, SandboxSettings, Settings
from authsvc.telemetry import access_log, tracing
from authsvc.web import json_body, problems

REFUSED = 1
MISUSED = 2
MAX_DETAIL = 500  # characters


class _Group(click.Group):
    """Reports the exceptions of authsvc by a line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as exc:
            for fault in exc.faults:
                click.echo(f"authsvc: {fault}", err=True)
            ctx.exit(MISUSED)
        except Refusal as exc:
            problem = problems.BY_REFUSAL[type(exc)]
            click.echo(f"refused: {problem.name} ({problem.code}): {escaped(exc.detail, most=MAX_DETAIL)}", err=True)
            ctx.exit(REFUSED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="authsvc")
def main() -> None:
    """Sign JMessage Web SDK auth payloads for logged-in users; keep the masterSecret on the server.

    Settings are environment variables that begin with AUTHSVC_; docs/settings.md (docs/zh/settings.md) has their table.
    """


def _mode(_ctx: click.Context, _param: click.Parameter, text: str) -> int:
    if not re.fullmatch("0?[0-7]{3}", text):
        raise click.BadParameter("must be three octal digits, such as 660")
    return int(text, 8)


@main.command()
@click.option("--server", type=click.Choice(["gunicorn", "granian"]), default="gunicorn", show_default=True)
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="HOST:PORT, [IPV6]:PORT or unix:PATH.")
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="Worker processes.")
@click.option("--socket-mode", callback=_mode, default="0660", show_default=True, help="Of a unix socket, octal.")
def serve(server: str, bind: str, workers: int, socket_mode: int) -> None:
    """Serve until SIGTERM.

    \b
    Example:
      AUTHSVC_APPKEY=... AUTHSVC_MASTER_SECRET_FILE=/etc/secrets/master \\
      AUTHSVC_SESSION_KEY_FILE=/etc/secrets/flask authsvc serve --bind 127.0.0.1:8000
    """
    variables = loader.take(os.environ)
    settings = loader.load(variables, Settings)
    tracing.check(variables)
    access_log.configure(level=settings.log_level, form=settings.log_format)
    check_ways(settings, twins_pass=server == "granian")
    _check_proxies(settings)
    runner.serve(
        server,
        replace(_bind(bind), mode=socket_mode),
        workers=workers,
        drain_delay_s=settings.drain_delay_s,
        log_level=settings.log_level,
        metrics_bind=settings.metrics_bind,
        variables=variables,
        preload=partial(preload, settings),
        about=f"{len(settings.apps)} app(s); ways of logging in: {', '.join(ways_of(settings))};"
        f" store: {settings.store_place}",
    )


@main.command(name="demo")
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="HOST:PORT on this machine.")
@click.option("--sdk", type=click.Path(path_type=Path), help="The vendor's SDK file, instead of the built-in stand-in.")
def demo_command(bind: str, sdk: Path | None) -> None:
    """Show it all on one page: a made-up app, made-up users, the sandbox, secrets generated at each start.

    \b
    Examples:
      authsvc demo        # then open http://127.0.0.1:8000/
      authsvc demo --sdk ./jmessage-sdk-web.min.js
    """
    from authsvc.demo import process  # here, because the service does not need it

    process.serve(_bind(bind), sdk)


@main.command()
@click.option("--appkey", help="Which app, when there are several; the default app if omitted.")
@click.option("--master-secret-file", type=click.Path(path_type=Path), help="Instead of the environment's secret.")
@click.option("--random-str", help="20 to 36 characters of A-Z a-z 0-9 _ -; generated if omitted.")
@click.option("--timestamp-ms", type=int, help="Unix milliseconds; now if omitted.")
def sign(appkey: str | None, master_secret_file: Path | None, random_str: str | None, timestamp_ms: int | None) -> None:
    """Print a signed payload, for a test or a comparison.

    \b
    Example:
      authsvc sign --appkey 0123456789abcdef01234567 --master-secret-file ./secret | authsvc verify
    """
    settings = _app_settings(appkey, master_secret_file)
    now_ms = clock.now_ms() if timestamp_ms is None else timestamp_ms
    served = Apps(settings.apps, now_ms).find(appkey)
    signed = payload.issue(
        appkey=served.appkey,
        master_secret=served.app.master_secret.reveal(),
        random_str=fresh_id() if random_str is None else random_str,
        now_ms=now_ms,
    )
    payload.parse(signed.to_dict())  # rejects a random_str or a timestamp that no verifier accepts
    click.echo(json.dumps(signed.to_dict()))


@main.command()
@click.option("--master-secret-file", type=click.Path(path_type=Path), help="Instead of the environment's secret.")
@click.option("--claim", is_flag=True, help="Use the payload up, as the verify route does; without it, only check.")
def verify(master_secret_file: Path | None, *, claim: bool) -> None:
    """Read a payload from stdin and name the first rule that it breaks, if any.

    \b
    Example:
      authsvc verify < payload.json
    """
    text = sys.stdin.buffer.read(json_body.MAX_BYTES + 1)
    if len(text) > json_body.MAX_BYTES:
        raise InvalidRequest("payload", "is larger than 64 KiB")
    fields = json_body.read(text, content_type="application/json", fields=payload.FIELDS, may_be_empty=False)
    presented = payload.parse(fields)
    settings = _app_settings(presented.appkey, master_secret_file)
    now_ms = clock.now_ms()
    apps, store = Apps(settings.apps, now_ms), stores.open_store(settings.store_url.reveal())
    with suppress(StoreUnavailable):  # the rules before the replay do not need it
        apps.learn(store)
    if claim:
        verifying.verify(presented, holder=None, apps=apps, store=store, now_ms=now_ms)
    else:
        verifying.check(presented, apps=apps, now_ms=now_ms)
        if store.get(verifying.nonce_key(presented)) is not None:
            raise Replayed("the payload was already used")
    click.echo(f"valid: appkey {presented.appkey}, expires in {(presented.expires_at_ms - now_ms) / 1000:.1f} s")


@main.command()
@click.option("--appkey", help="The app of the new masterSecret, when there are several; the default app if omitted.")
@click.option("--master-secret-file", type=click.Path(path_type=Path), help="A new masterSecret, to check before use.")
@click.option("--offline", is_flag=True, help="Check only the settings and the store: ask no vendor, JWKS URL or app.")
def check(appkey: str | None, master_secret_file: Path | None, *, offline: bool) -> None:
    """Check the settings and everything they point to; one line each, with the remedy.

    \b
    Examples:
      authsvc check && systemctl restart authsvc
      authsvc check --master-secret-file ./new    # does the vendor accept it?
      authsvc check --offline                     # where the vendor cannot be reached
    """
    if offline and master_secret_file is not None:
        raise click.UsageError("--master-secret-file is checked with the vendor, which --offline excludes")
    if appkey is not None and master_secret_file is None:
        raise click.UsageError("--appkey is for --master-secret-file, and needs it")
    settings = loader.load(os.environ, Settings)
    _check_proxies(settings)
    candidate = None
    if master_secret_file is not None:
        appkey = Apps(settings.apps, clock.now_ms()).find(appkey).appkey
        (candidate,) = _app_settings(appkey, master_secret_file).apps
    failed = False
    for finding in checks.findings(settings, clock.now_ms, candidate=candidate, is_offline=offline):
        click.echo(f"{finding.grade:4}  {finding.name}: {finding.words}", err=finding.grade == "FAIL")
        failed = failed or finding.grade == "FAIL"
    sys.exit(REFUSED if failed else 0)


@main.command()
@click.option("--bind", default="127.0.0.1:8100", show_default=True, help="HOST:PORT on this machine.")
@click.option("--service", default="http://127.0.0.1:8000", show_default=True, help="The authsvc that verifies.")
@click.option("--state", type=click.Path(path_type=Path), help="Folder that keeps the state across restarts.")
@click.option("--until-stdin-ends", is_flag=True, hidden=True, help="End with the process that started it.")
def sandbox(bind: str, service: str, state: Path | None, *, until_stdin_ends: bool) -> None:
    """Stand in for the vendor on this machine: gateway, REST API and files, for a page and for tests.

    It reads the service's settings: the apps, and AUTHSVC_VERIFIER_KEYS for the verify route. Without --state,
    accounts and files are lost when it stops.

    \b
    Example, with the service's own variables in both terminals:
      authsvc sandbox --bind 127.0.0.1:8100 --state ./sandbox
      AUTHSVC_VENDOR_URL=http://127.0.0.1:8100 AUTHSVC_MEDIA_HOSTS=127.0.0.1 \\
      AUTHSVC_SDK_OPTIONS='{"address": "ws://127.0.0.1:8100", "upload_file": "http://127.0.0.1:8100/resource"}' \\
      authsvc serve
    """
    from authsvc.sandbox import server
    from authsvc.sandbox.persistence import Folder
    from authsvc.sandbox.verification import Service

    logging.basicConfig(level="WARNING", format="%(levelname)s %(message)s")
    where = server.check_bind(_bind(bind))
    settings = loader.load(os.environ, SandboxSettings)
    if not settings.verifier_keys:
        raise SettingsError(["AUTHSVC_VERIFIER_KEYS: is required, to ask the service's verify route; see its settings"])
    if until_stdin_ends:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    options = json.dumps({"address": f"ws://{where}", "upload_file": f"http://{where}/resource"})
    server.serve(
        where,
        settings.apps,
        Service(service.rstrip("/"), settings.verifier_keys[0].reveal()),
        folder=None if state is None else Folder(state),
        ready=lambda: click.echo(
            f"The sandbox is at http://{where}/ (Ctrl-C stops it). A page connects to it and uploads to it with\n"
            f"  new JMessage({options})\n"
            "which /v1/bootstrap returns as sdk.options if the service is started with\n"
            f"  AUTHSVC_VENDOR_URL=http://{where} AUTHSVC_MEDIA_HOSTS={where.host} AUTHSVC_SDK_OPTIONS='{options}'"
        ),
    )


def _end_with_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it returns when the writer ends
    os.kill(os.getpid(), signal.SIGTERM)


def _bind(text: str) -> Bind:
    try:
        return Bind.parse(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--bind") from None


def _check_proxies(settings: Settings) -> None:
    """Raise SettingsError if the environment has a malformed proxy URL."""
    for url in filter(None, (settings.vendor_url, settings.jwt_jwks_url)):
        proxies.proxy_for(url)


def _app_settings(appkey: str | None, file: Path | None) -> AppSettings:
    """Return the settings of the environment, with the app of the options in place of its apps."""
    if file is None:
        return loader.load(os.environ, AppSettings)
    if appkey is None:
        raise click.UsageError("--master-secret-file needs --appkey")
    app_fields = ("APPS_FILE", "APPKEY", "MASTER_SECRET", "PREVIOUS_MASTER_SECRET")
    taken = {f"AUTHSVC_{field}{suffix}" for field in app_fields for suffix in ("", "_FILE")}
    kept = {name: value for name, value in os.environ.items() if name not in taken}
    with _options_blamed():
        return loader.load(kept | {"AUTHSVC_APPKEY": appkey, "AUTHSVC_MASTER_SECRET_FILE": str(file)}, AppSettings)


@contextmanager
def _options_blamed() -> Iterator[None]:
    """Name the option in a fault where it has the name of the variable."""
    options = {
        "AUTHSVC_APPKEY": "--appkey",
        "AUTHSVC_MASTER_SECRET": "--master-secret-file",
        "AUTHSVC_MASTER_SECRET_FILE": "--master-secret-file",
    }
    try:
        yield
    except SettingsError as exc:
        parts = (fault.partition(": ") for fault in exc.faults)
        raise SettingsError([options.get(name, name) + colon + rule for name, colon, rule in parts]) from None
