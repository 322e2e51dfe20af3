"""
What the ways of logging in share: a header with one value, the cookies of one name, secrets that are not empty.

Imports `errors`.
"""

from collections.abc import Callable, Iterable, Sequence

from authsvc.errors import NotLoggedIn, NotLoggedInYet

MAX_COOKIES = 16  # of one name; browsers send those of a few paths and domains


def only_user(cookies: Iterable[str], user_of: Callable[[str], str | None], name: str) -> str | None:
    """
    Return the user whose cookie this is, of all cookies of one name.

    A browser sends the cookies of each matching path and domain, so a stale one may be among them. A cookie without a
    user is ignored too.

    Raises:
        NotLoggedIn, NotLoggedInYet: no cookie is good, two good ones have different users, or there are so many that to
            verify them all would keep a worker busy for seconds.
    """
    users: set[str] = set()
    refusals: list[NotLoggedIn | NotLoggedInYet] = []
    different = dict.fromkeys(filter(None, cookies))
    if len(different) > MAX_COOKIES:
        raise NotLoggedIn("the request has more than {most} cookies named {name}", most=MAX_COOKIES, name=name)
    for cookie in different:
        try:
            user_id = user_of(cookie)
        except (NotLoggedIn, NotLoggedInYet) as refusal:
            refusals.append(refusal)
        else:
            users |= {user_id} if user_id is not None else set()
    if len(users) > 1:
        raise NotLoggedIn("the request has several cookies named {name}, of different users", name=name)
    if not users and refusals:
        raise refusals[0]
    return next(iter(users), None)


def single(value: str, header: str) -> str:
    if "," in value:
        raise NotLoggedIn("{header} contains a comma or was sent twice", header=header)
    return value


def check_secrets(values: Sequence[str]) -> None:
    if not values or not all(values):
        raise ValueError("an empty secret would accept every request")
