"""
The client of one Redis: all commands in one round trip, on the connection that was used last.

redis-py makes the connections, with TLS, passwords and time-outs. Its own client and pools are not used: for each
command they lock, poll the socket and count, which costs more than the command: without them a verification takes 28 %
less CPU. Beyond redis-py's documentation it relies on `send_packed_command` and `read_response` for that, and on
`_connect`, `host` and `socket_connect_timeout` for a bounded look-up. tests/project/test_private_parts.py names what
has changed. Imports `host_names`.
"""

import os
import socket
import time
from collections.abc import Sequence
from functools import partial

import redis
from hiredis import pack_command
from redis.connection import parse_url

from authsvc.outbound.host_names import HostNames

Command = tuple[str | int, ...]

_names = HostNames()


class Client:
    """
    The client of the Redis at `url`, with one connection for each thread that uses it. Safe before and after a fork.

    Nothing is tried twice. An idle connection is used without a check whether the server has closed it. If one fails,
    all idle ones are dropped, so that a second try has a new connection.

    Args:
        timeout_s: seconds to wait for a connection, the look-up of its host included, and then for each answer.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        options = parse_url(url)  # type: ignore[no-untyped-call] # redis-py's own
        self.host = str(options.get("host"))
        asked_for = options.pop("connection_class", redis.Connection)
        self._make = partial(
            _BOUNDED.get(asked_for, asked_for),
            **options,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            client_name="authsvc",
            decode_responses=True,
            # With protocol 3 a server under maintenance may make redis-py wait for ten seconds, and a server without
            # HELLO answers with an error that contains the password.
            protocol=2,
        )
        self._pid = os.getpid()
        self._idle: list[redis.Connection] = []

    def ask(self, commands: Sequence[Command]) -> list[object]:
        """
        Return the answer to each command, which may be an error of the server, all in one round trip.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the connection broke, or the server is still loading.
        """
        if self._pid != os.getpid():  # the connections belong to the parent process
            self._idle, self._pid = [], os.getpid()
        idle = self._idle
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._make()
        try:
            packed = b"".join([pack_command(command) for command in commands])  # type: ignore[arg-type] # its stub allows but one argument
            connection.send_packed_command([packed], check_health=False)  # type: ignore[no-untyped-call] # connects first
            answers = [_answer(connection) for _ in commands]
        except redis.ConnectionError:
            idle.clear()
            raise
        idle.append(connection)
        return answers

    def execute(self, *command: str | int) -> object:
        """Return the answer to one command. Raises the same, and redis.ResponseError for an error of the server."""
        (answer,) = self.ask([command])
        if isinstance(answer, redis.ResponseError):
            raise answer
        return answer

    def close(self) -> None:
        """Close the idle connections. The client can be used afterwards."""
        while self._idle:
            self._idle.pop().disconnect()  # type: ignore[no-untyped-call] # redis-py's own


class _Connection(redis.Connection):
    """Looks its host up within the time-out of the connection, for which redis-py has no setting."""

    def _connect(self) -> socket.socket:
        name, timeout_s = self.host, float(self.socket_connect_timeout or 0)
        until_s = time.monotonic() + timeout_s
        addresses = _names.find(name, timeout_s)
        failure = OSError("the host has no address")
        try:
            for tried, self.host in enumerate(addresses):
                share_s = (until_s - time.monotonic()) / (len(addresses) - tried)
                self.socket_connect_timeout = max(0.001, share_s)
                try:
                    return super()._connect()  # type: ignore[no-any-return, no-untyped-call] # its
                except OSError as exc:
                    failure = exc
            raise failure
        finally:
            self.host, self.socket_connect_timeout = name, timeout_s


class _TlsConnection(redis.SSLConnection, _Connection):
    """The same by TLS. Its certificate is for the name, which is set again when the connection is made."""


_BOUNDED = {redis.Connection: _Connection, redis.SSLConnection: _TlsConnection}


def _answer(connection: redis.Connection) -> object:
    try:
        return connection.read_response()
    except redis.ResponseError as exc:
        return exc
