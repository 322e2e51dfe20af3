"""
The access log: JSON lines on stdout, or lines for people, without any secret, token, cookie, signature or sign string.

One line for each request, and one more for each payload issued, verified or refused; none for health checks. Text that
a client can choose is in a line only after a check, or cut and escaped. The only module that imports `structlog`
and `orjson`; of the project it imports `clock` and `escaping`.
"""

import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import IO, Any, Literal, NamedTuple, Protocol

import orjson
import structlog

from authsvc import clock
from authsvc.escaping import escaped

SILENT = frozenset({"/healthz", "/readyz"})
PREFIX_LENGTH = 8  # of a random_str: enough to find it, too little to use it
STDOUT = 1
MAX_EVENT = 2_000  # characters of a library's log message, which may quote a request
MAX_TRACEBACK = 16_000  # characters; an exception may quote a body
CACHED_USERS = 8_192  # whose hash is cached in one worker

Format = Literal["json", "console"]
Write = Callable[[bytes], None]
Action = Literal["issued", "verified"]


class Finished(NamedTuple):
    """
    A request that has been answered.

    Attributes:
        route: as in the contract, such as `/v1/resource/{media_id}`; never the path, which may contain anything.
        asked_ms: when the request arrived, Unix milliseconds.
        code, refusal: of the refusal, if any.
        took_s: from the arrival to the answer, seconds.
        trace_id: of its W3C trace, 32 hexadecimal characters.
        action, appkey, user_id, random_str: of its payload; no action means no payload. Text of the client is escaped
            and cut already: a request may wait for its line.
    """

    method: str
    route: str
    status: int
    asked_ms: int
    took_s: float
    request_id: str
    trace_id: str | None = None
    code: int | None = None
    refusal: str | None = None
    action: Action | None = None
    appkey: str | None = None
    user_id: str | None = None
    random_str: str | None = None


class Users(Protocol):
    """The form of a user in the log."""

    def __call__(self, user_id: str, /) -> str: ...


def hashed(key: bytes) -> Users:
    """Return a function that hashes a user with this key: 16 hexadecimal characters, always the same for a user."""
    digest_key = hashlib.sha256(b"authsvc log: users\0" + key).digest()

    @lru_cache(maxsize=CACHED_USERS)
    def name(user_id: str) -> str:
        return hashlib.blake2s(user_id.encode(), key=digest_key, digest_size=8).hexdigest()

    return name


def plain(user_id: str) -> str:
    """Return the user's id unmodified."""
    return user_id


def to_stdout(lines: bytes) -> None:
    """Write lines at once. A reader that has ended, or is too slow for a non-blocking pipe, blocks nothing."""
    try:
        while lines:
            lines = lines[os.write(STDOUT, lines) :]
    except OSError:
        pass


class RequestLog:
    """
    Formats the lines of requests, a few microseconds each, and writes many at once.

    Args:
        level: above `INFO`, such as `WARNING`, only answers of 500 and above are logged.
        users: the form of a user.
    """

    def __init__(
        self,
        *,
        level: str = "INFO",
        form: Format = "json",
        users: Users = plain,
        write: Write = to_stdout,
    ) -> None:
        self.users = users
        self._is_quiet = logging.getLevelNamesMapping()[level] > logging.INFO
        self._render = _json_line if form == "json" else _console_line()
        self.write = write

    def lines(self, done: Finished) -> bytes:
        """Return a request's line, and that of its payload; nothing if it is not to be logged."""
        # By position: each access by name is a function call.
        method, route, status, asked_ms, took_s, request_id, trace_id, code, refusal = done[:9]
        action, appkey, user_id, random_str = done[9:]
        is_failure = status >= 500
        if route in SILENT or (self._is_quiet and not is_failure):
            return b""
        moment, level = utc(asked_ms), "warning" if is_failure else "info"
        last: dict[str, Any] = {"request_id": request_id}
        if code is not None:
            last["code"] = code
            last["refusal"] = refusal
        if trace_id is not None:
            last["trace_id"] = trace_id
        line = {
            "time": moment,
            "level": level,
            "event": "request",
            "method": method,
            "route": route,
            "status": status,
            "took_ms": round(took_s * 1_000_000) / 1000,
            **last,
        }
        lines = self._render(line)
        if action is not None:
            line = {
                "time": moment,
                "level": level,
                "event": action if code is None else "refused",
                "route": route,
                "app": appkey,
                "user": None if user_id is None else self.users(user_id),
                "random_str": None if random_str is None else random_str[:PREFIX_LENGTH],
                **last,
            }
            lines += self._render(line)
        return lines


def configure(*, level: str, form: Format, stream: IO[str] | None = None) -> None:
    """Format all messages of Python's `logging` like the access log, in this process and those forked from it."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_time,
    ]
    render: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # without the values of local variables, which may be secrets
        _escape,
    ]
    if form == "json":
        render += [_in_order, structlog.processors.JSONRenderer(_dumps)]
    else:
        render += [_console()]
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=render))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


@lru_cache(maxsize=2)  # many requests arrive in the same millisecond
def utc(now_ms: int) -> str:
    """Return the time (Unix ms) as ISO 8601 in UTC with milliseconds."""
    whole_s, ms = divmod(now_ms, 1000)
    return f"{_utc_second(whole_s)}.{ms:03d}Z"


@lru_cache(maxsize=2)  # and nearly all in the same second
def _utc_second(whole_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole_s))


def _json_line(line: Mapping[str, Any]) -> bytes:
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _console() -> structlog.dev.ConsoleRenderer:
    # Its default formatter of tracebacks shows the values of local variables.
    return structlog.dev.ConsoleRenderer(
        colors=False, timestamp_key="time", sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )


def _console_line() -> Callable[[dict[str, Any]], bytes]:
    renderer = _console()

    def render(line: dict[str, Any]) -> bytes:
        return f"{renderer(None, '', line)}\n".encode()

    return render


def _add_time(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["time"] = utc(clock.now_ms())
    return event


def _escape(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep text of a client from controlling a terminal, forging a line or filling the disk."""
    event["event"] = escaped(event["event"], most=MAX_EVENT)
    if "exception" in event:
        lines = "\n  ".join(escaped(line, most=MAX_EVENT) for line in event["exception"].split("\n"))
        half = MAX_TRACEBACK // 2  # the start has the place of the exception, the end its cause
        event["exception"] = f"  {lines}" if len(lines) <= 2 * half else f"  {lines[:half]}\n  …  {lines[-half:]}"
    return event


def _in_order(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put the fields that every line has first."""
    first = {name: event.pop(name) for name in ("time", "level", "event", "logger")}
    return {**first, **event}


def _dumps(event: Mapping[str, Any], **_options: Any) -> str:
    return orjson.dumps(event, default=str).decode()
