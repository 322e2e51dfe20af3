"""
One leaf for each refusal; its docstring is the condition.

A leaf carries facts with their units, and never a secret, a token or the expected signature. There is no HTTP here:
`problems` gives each leaf its status, code and help page. Imports only `message`.
"""

import math

from authsvc.message import Message


class AuthsvcError(Exception):
    """Root of everything that authsvc raises."""


class SettingsError(AuthsvcError):
    """The settings cannot be used. `faults` names every fault, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ExtraMissing(SettingsError):
    """
    Something is asked for whose libraries are an extra that is not installed.

    The hint names no package of an index: authsvc is on none, and the name could be a stranger's there.
    """

    def __init__(self, what: str, extra: str) -> None:
        hint = f"in a checkout: pip install '.[{extra}]'; with a wheel file: pip install './WHEEL_FILE[{extra}]'"
        super().__init__([f"{what}: is not installed; {hint}"])


class Refusal(AuthsvcError):
    """
    A request that is answered with a reason instead of its result.

    `message` is the reason in one sentence, fit for the asker's eyes. `retry_after_s` is set where trying again later
    can help.
    """

    retry_after_s: int | None = None

    def __init__(self, template: str, /, **facts: object) -> None:
        super().__init__(template)
        self.message = Message(template, **facts)

    def __str__(self) -> str:
        return self.detail

    @property
    def detail(self) -> str:
        """The reason as it is for operators: on the command line, in checks."""
        return str(self.message)


class InvalidRequest(Refusal):
    """The request's shape is wrong: not JSON, not an object, an unknown field, a missing field, a wrong type."""

    def __init__(self, field: str, rule: str, /, **facts: object) -> None:
        super().__init__("{field}: {rule}", field=field, rule=Message(rule, **facts))


class InvalidRandomStr(Refusal):
    """The random_str is not 20 to 36 characters of A-Z a-z 0-9 _ -."""


class NotLoggedIn(Refusal):
    """No way of logging in applies to the request, or the credential that it brings is bad."""


class NotLoggedInYet(Refusal):
    """The credential begins, or was made, later than now: the clock of who made it is ahead, or ours is behind."""

    retry_after_s: int

    def __init__(self, what: Message, *, ahead_s: float) -> None:
        super().__init__(
            "{what}: it is {ahead_s:.0f} s ahead; compare the clocks of both hosts", what=what, ahead_s=ahead_s
        )
        self.retry_after_s = min(60, max(1, math.ceil(ahead_s)))


class CrossSite(Refusal):
    """A request that the browser authenticates by itself comes from another site that is not allowed."""


class UnknownAppkey(Refusal):
    """The appkey is none of those served here."""

    def __init__(self) -> None:
        super().__init__("appkey: is not configured on this service")


class Replayed(Refusal):
    """The payload was used before by another holder, or the random_str was signed before."""


class BadSignature(Refusal):
    """The signature is not the one of these fields under the app's masterSecret."""

    def __init__(self) -> None:
        super().__init__("signature: does not match the other fields and the app's masterSecret")


class Expired(Refusal):
    """The payload is ten minutes old or older, or older than the memory of the store that would know of its use."""


class NotYetValid(Refusal):
    """The payload's timestamp is more than 30 seconds in the future."""


class TooManyRequests(Refusal):
    """The user has spent the rate limit of the window."""

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
    """Something that the answer depends on is not there for now."""

    retry_after_s: int = 1

    def __init__(self, what: str, /, **facts: object) -> None:
        self.what = Message(what, **facts)
        super().__init__("{what}; try again in {retry_after_s} s", what=self.what, retry_after_s=self.retry_after_s)


class StoreUnavailable(Unavailable):
    """
    The store cannot be reached, is read-only, full or too slow, so a claim cannot be made.

    `remedy` is for the operator: what the setting should be, where the store itself shows it.
    """

    def __init__(self, remedy: str | None = None) -> None:
        super().__init__("the store is unavailable")
        self.remedy = remedy


class KeysUnavailable(Unavailable):
    """The key of a token cannot be had now: the JWKS URL cannot be reached, or is not asked again so soon."""

    def __init__(self, what: str = "the login service's JWKS URL is unavailable", /, *, retry_after_s: int = 5) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(what)


class LoginUnavailable(Unavailable):
    """
    The app that knows who is logged in gives no answer, or none that makes sense.

    `is_down` if it gave none at all: then it counts as away for everybody, and not for the credential that was sent.
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
    """The user's IM account exists, was not registered by this service, and is not to be adopted."""

    def __init__(self) -> None:
        super().__init__("the user's IM account already exists and was not registered by this service")


class VendorRefused(Refusal):
    """The vendor refuses our credentials, or its answer makes no sense."""


class VendorBusy(Unavailable):
    """The vendor is away or has trouble of its own, its rate limit or our budget is spent."""

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
    """The store was born after the moment that a claim reaches back to. `born_ms` is its birth mark, Unix ms."""

    def __init__(self, born_ms: int) -> None:
        super().__init__(f"the store has no records from before {born_ms}")
        self.born_ms = born_ms
