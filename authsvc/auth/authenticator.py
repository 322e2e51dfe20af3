"""
The authenticator: it tries the ways of logging in, in their order; and the protocol of a way of logging in.

The first way whose credential is present in the request decides. A bad credential is rejected; the next way is not
tried.
Imports `same_site`, `message` and `errors`; the ways themselves import this one.
"""

from collections.abc import Collection, Iterable
from functools import reduce
from typing import Protocol

from authsvc.auth import same_site
from authsvc.errors import InvalidRequest, NotLoggedIn
from authsvc.message import Message

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Cookies(Protocol):
    """All cookie values of a name."""

    def getlist(self, key: str, /) -> list[str]: ...


class RequestLike(Protocol):
    """The parts of a request that the ways of logging in read."""

    @property
    def request_id(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def cookies(self) -> Cookies: ...

    def header(self, name: str, /) -> str | None:
        """Return a header's value, by its name in any case. WSGI joins repeated headers with a comma."""


class Way(Protocol):
    """
    A way of logging in.

    Attributes:
        brings: the credential in a few words, for the refusal of a request without any.
        reads: the headers that it looks at.
        is_ambient: the browser or the gateway adds the credential by itself, so a request of another site has it too.
    """

    brings: Message
    is_ambient: bool

    @property
    def reads(self) -> tuple[str, ...]: ...

    def user_id(self, request: RequestLike, now_ms: int, /) -> str | None:
        """
        Return the user's id, or None if the request does not have this way's credential.

        Raises:
            NotLoggedIn, NotLoggedInYet: the credential is bad.
            Unavailable: the credential cannot be checked now.
        """


class Authenticator:
    """Authenticates requests. `replace` swaps the ways in one step."""

    def __init__(self, ways: Iterable[Way], *, allowed_origins: Collection[str]) -> None:
        """Take the ways in their order, and the origins whose pages may send requests."""
        self._allowed_origins = allowed_origins
        self.replace(ways)

    def authenticate(self, request: RequestLike, now_ms: int) -> str:
        """
        Return the id of the logged-in user.

        Args:
            now_ms: Unix milliseconds by the server's clock.

        Raises:
            NotLoggedIn, NotLoggedInYet: the request has no credential, or a bad one.
            InvalidRequest: a way finds no credential, and the server may have removed it.
            CrossSite: the credential is good, but the request comes from a page of another site.
            Unavailable: the credential cannot be checked now.
        """
        for way in self._ways:
            user_id = way.user_id(request, now_ms)
            if user_id is not None:
                if way.is_ambient and request.method not in _READING:
                    same_site.check_same_site(
                        origin=request.header("Origin"),
                        sec_fetch_site=request.header("Sec-Fetch-Site"),
                        host=lambda: request.host,
                        allowed=self._allowed_origins,
                    )
                return user_id
            _check_not_emptied(request, way.reads)
        raise NotLoggedIn("the request has no credentials; accepted: {brings}", brings=self._brings)

    def replace(self, ways: Iterable[Way]) -> None:
        """Use these ways from now on."""
        self._ways = tuple(ways)
        self._brings = reduce(_either, (way.brings for way in self._ways))


def _check_not_emptied(request: RequestLike, names: Iterable[str]) -> None:
    """
    Raise InvalidRequest if one of these headers is empty, or one of several of its name was.

    granian passes a header with a non-ASCII byte as an empty one: the credential may have been a bad one, and no other
    one may stand in for it.
    """
    for name in names:
        value = request.header(name)
        if value is not None and (not value or value[0] in ",;"):
            raise InvalidRequest(name, "is empty, or contains non-ASCII bytes, which the server removes")


def _either(one: Message, other: Message) -> Message:
    return Message("{one}, or {other}", one=one, other=other)
