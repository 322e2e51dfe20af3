"""
Who is logged in: what a way of logging in is, and the order in which the ways are tried.

The first way whose credential a request brings decides; a bad one is refused and never falls through to the next.
Imports `same_site` and `errors`; the ways themselves import this one.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from authsvc.auth import same_site
from authsvc.errors import InvalidRequest, NotLoggedIn

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Caller(NamedTuple):
    """A logged-in user, and the way of logging in, as `Way.name`."""

    user_id: str
    way: str


class Headers(Protocol):
    """Header values by name, in any case; one that came twice is joined by a comma, as WSGI does."""

    def get(self, key: str, /) -> str | None: ...


class Cookies(Protocol):
    """Cookie values by name, all of them."""

    def getlist(self, key: str, /) -> list[str]: ...


class RequestLike(Protocol):
    """What a request brings, and its id for the log."""

    @property
    def request_id(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def cookies(self) -> Cookies: ...


class Way(Protocol):
    """
    One way of telling who is logged in.

    Attributes:
        name: as in `Caller.way`.
        brings: what a request has to bring, for the refusal of one that brings nothing.
        is_ambient: the browser or the gateway adds the credential by itself, so another site's page has it too.
    """

    name: str
    brings: str
    is_ambient: bool

    def user_id(self, request: RequestLike, now_ms: int, /) -> str | None:
        """
        Return the user's id, or None if the request does not bring this way's credential.

        Raises:
            NotLoggedIn, NotLoggedInYet: it brings a bad one.
            Unavailable: whether it is good cannot be known now.
        """


class Authenticator:
    """Tells who is logged in. `replace` swaps the ways in one step."""

    def __init__(self, ways: Iterable[Way], *, allowed_origins: Collection[str]) -> None:
        """Take the ways in the order in which they are tried, and the origins whose pages may call."""
        self._allowed_origins = allowed_origins
        self.replace(ways)

    def authenticate(self, request: RequestLike, now_ms: int) -> Caller:
        """
        Return who is logged in.

        Args:
            now_ms: Unix milliseconds by the server's clock.

        Raises:
            NotLoggedIn, NotLoggedInYet: no way applies, or the first that does is refused.
            InvalidRequest: a header that could be a credential is there, and nothing is in it.
            CrossSite: the credential is good but another site's page has sent it along.
            Unavailable: the credential cannot be checked now.
        """
        for name in ("Authorization", "Cookie"):
            if request.headers.get(name) == "":
                # granian makes it of a header that has one byte beyond ASCII: it may hold a good login or a bad one.
                raise InvalidRequest(name, "is empty, or contains non-ASCII bytes, which the server removes")
        ways = self._ways
        for way in ways:
            user_id = way.user_id(request, now_ms)
            if user_id is not None:
                if way.is_ambient and request.method not in _READING:
                    same_site.check_same_site(
                        origin=request.headers.get("Origin"),
                        sec_fetch_site=request.headers.get("Sec-Fetch-Site"),
                        host=request.host,
                        allowed=self._allowed_origins,
                    )
                return Caller(user_id, way.name)
        raise NotLoggedIn(f"the request has no credentials; accepted: {', or '.join(way.brings for way in ways)}")

    def replace(self, ways: Iterable[Way]) -> None:
        """Use these ways from now on."""
        self._ways = tuple(ways)
