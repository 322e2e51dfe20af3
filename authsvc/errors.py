"""
One exception for each refusal; its docstring is the condition.

An exception has facts with their units, and never a secret, a token or the expected signature. There is no HTTP here:
`problems` has the status and the code of each. Imports only `message`.
"""

import math

from authsvc.message import Message


class AuthsvcError(Exception):
    """The base of all exceptions of authsvc."""


class SettingsError(AuthsvcError):
    """The settings cannot be used. `faults` has a sentence for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ExtraMissing(SettingsError):
    """
    A feature needs an extra that is not installed.

    The hint names no package of an index: authsvc is in none, and a stranger could publish the name there.
    """

    def __init__(self, what: str, extra: str) -> None:
        hint = f"in a checkout: pip install '.[{extra}]'; with a wheel file: pip install './WHEEL_FILE[{extra}]'"
        super().__init__([f"{what}: is not installed; {hint}"])


class Refusal(AuthsvcError):
    """
    The refusal of a request.

    `message` is the reason in one sentence, without anything that the client must not see. `retry_after_s` is set if a
    retry can succeed later.
    """

    retry_after_s: int | None = None

    def __init__(self, template: str, /, **facts: object) -> None:
        super().__init__(template)
        self.message = Message(template, **facts)

    def __str__(self) -> str:
        return self.detail

    @property
    def detail(self) -> str:
        """The reason in English, for operators: on the command line, in checks."""
        return str(self.message)


class InvalidRequest(Refusal):
    """The request's shape is wrong: not JSON, not an object, an unknown field, a missing field, a wrong type."""

    def __init__(self, field: str, rule: str, /, **facts: object) -> None:
        super().__init__("{field}: {rule}", field=field, rule=Message(rule, **facts))


class InvalidRandomStr(Refusal):
    """The random_str is not 20 to 36 characters of A-Z a-z 0-9 _ -."""


class NotLoggedIn(Refusal):
    """The request has no credential that is accepted, or a bad one."""


class NotLoggedInYet(Refusal):
    """The credential is valid, or was issued, later than now: the clock of its issuer is ahead, or ours is behind."""

    retry_after_s: int

    def __init__(self, what: Message, *, ahead_s: float) -> None:
        super().__init__(
            "{what}: it is {ahead_s:.0f} s ahead; compare the clocks of both hosts", what=what, ahead_s=ahead_s
        )
        self.retry_after_s = min(60, max(1, math.ceil(ahead_s)))


class CrossSite(Refusal):
    """A request that the browser authenticates by itself comes from another site, which is not allowed."""


class UnknownAppkey(Refusal):
    """The appkey is not configured on this service."""

    def __init__(self) -> None:
        super().__init__("appkey: is not configured on this service")


class Replayed(Refusal):
    """The payload was used before by another holder, or the random_str was signed before."""


class BadSignature(Refusal):
    """The signature does not match the other fields and the app's masterSecret."""

    def __init__(self) -> None:
        super().__init__("signature: does not match the other fields and the app's masterSecret")


class Expired(Refusal):
    """The payload is ten minutes old or older, or older than the records of the store about its use."""


class NotYetValid(Refusal):
    """The payload's timestamp is more than 30 seconds in the future."""


class TooManyRequests(Refusal):
    """The user has reached the rate limit of the window."""

    retry_after_s: int

    def __init__(self, *, limit: int, window_ms: int, retry_after_s: int) -> None:
        super().__init__(
            "more than {limit} requests in {window_s} s; try again in {retry_after_s} s",
            limit=limit,
            window_s=window_ms // 1000,
            retry_after_s=retry_after_s,
        )
        self.limit = limit
        self.window_ms = window_ms
        self.retry_after_s = retry_after_s


class Unavailable(Refusal):
    """A service that the answer depends on is unavailable."""

    retry_after_s: int = 1

    def __init__(self, what: str, /, **facts: object) -> None:
        self.what = Message(what, **facts)
        super().__init__("{what}; try again in {retry_after_s} s", what=self.what, retry_after_s=self.retry_after_s)


class StoreUnavailable(Unavailable):
    """
    The store cannot be reached, is read-only, full or too slow, so a claim cannot be made.

    `remedy` is for the operator: the right setting, if the store itself shows it.
    """

    def __init__(self, remedy: str | None = None) -> None:
        super().__init__("the store is unavailable")
        self.remedy = remedy


class KeysUnavailable(Unavailable):
    """The key of a token is unavailable: the JWKS URL cannot be reached, or is not fetched again so soon."""

    def __init__(self, what: str = "the login service's JWKS URL is unavailable", /, *, retry_after_s: int = 5) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(what)


class LoginUnavailable(Unavailable):
    """
    The app at AUTHSVC_LOGIN_URL gives no answer, or an unknown one.

    `is_down` if there is no answer: then it is unavailable for all credentials, not only for the one that was sent.
    """

    service = Message("the app that checks logins")

    def __init__(self, what: str, /, *, retry_after_s: int = 5, is_down: bool = False, **facts: object) -> None:
        self.retry_after_s = retry_after_s
        self.is_down = is_down
        super().__init__(what, **facts)


class InvalidMediaId(Refusal):
    """The media_id is not 1 to 255 of A-Z a-z 0-9 _ . / - without `..` and without a leading `//`."""

    def __init__(self) -> None:
        super().__init__("media_id: must be 1 to 255 of A-Z a-z 0-9 _ . / - without '..' and without a leading '//'")


class UnknownMedia(Refusal):
    """The vendor does not know the media_id."""

    def __init__(self) -> None:
        super().__init__("media_id: is not known to the vendor")


class AccountTaken(Refusal):
    """The user's IM account exists, was not registered by this service, and adoption is off."""

    def __init__(self) -> None:
        super().__init__("the user's IM account already exists and was not registered by this service")


class VendorRefused(Refusal):
    """The vendor rejects our credentials, or its answer is unknown."""


class VendorBusy(Unavailable):
    """The vendor is unavailable or reports an error of its own, or its rate limit or our budget is exhausted."""

    service = Message("the vendor")

    def __init__(self, what: str, /, *, retry_after_s: int = 5, **facts: object) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(what, **facts)


class VendorSlow(Unavailable):
    """The vendor did not answer in time."""

    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__("the vendor did not answer in time")


class MemoryLost(AuthsvcError):
    """The store is newer than a claim requires. `born_ms` is its birth mark, Unix ms."""

    def __init__(self, born_ms: int) -> None:
        super().__init__(f"the store has no records from before {born_ms}")
        self.born_ms = born_ms
