"""
Login by a gateway, which sends the user in one header and its own secret in another.

Imports `authenticator`, `credentials`, `tokens`, `message` and `errors`.
"""

import hmac
from collections.abc import Sequence

from authsvc.auth.authenticator import RequestLike
from authsvc.auth.credentials import check_secrets, single
from authsvc.auth.tokens import checked_user_id
from authsvc.errors import NotLoggedIn
from authsvc.message import Message


class Gateway:
    """A header in which the gateway names the user. It counts only together with the gateway's secret."""

    is_ambient = True

    def __init__(self, gateway_secrets: Sequence[str], *, user_header: str, twins_pass: bool = False) -> None:
        """
        Take the secrets, each of which shows that the gateway sent the request, and the header that names the user.

        Args:
            twins_pass: the server does not distinguish a header from its underscore twin, so a client behind a gateway
                that passes the twin could name any user. A header without a hyphen has no twin.
        """
        check_secrets(gateway_secrets)
        self.brings = Message("{header} from the gateway", header=user_header)
        self.reads = ("X-Gateway-Secret",)
        self._secrets = tuple(secret.encode() for secret in gateway_secrets)
        self._user_header = user_header
        self._has_twin = twins_pass and "-" in user_header

    def user_id(self, request: RequestLike, _now_ms: int) -> str | None:
        presented = request.header("X-Gateway-Secret")
        if presented is None:
            return None
        if self._has_twin:
            raise NotLoggedIn(
                "this server cannot distinguish {header} from its underscore twin; have the gateway send a signed"
                " assertion, use a header name without a hyphen, or serve with gunicorn",
                header=self._user_header,
            )
        # Every secret is compared, so that the time does not show which one matches.
        matches = [hmac.compare_digest(_raw(presented, "X-Gateway-Secret"), secret) for secret in self._secrets]
        if not any(matches):
            raise NotLoggedIn("the X-Gateway-Secret header does not match AUTHSVC_GATEWAY_SECRET")
        user = request.header(self._user_header)
        if user is None:
            raise NotLoggedIn("the gateway names no user: the header {header} is missing", header=self._user_header)
        try:
            user_id = _raw(single(user, self._user_header), self._user_header).decode()
        except UnicodeDecodeError as exc:
            raise NotLoggedIn("{header} is not UTF-8 text", header=self._user_header) from exc
        return checked_user_id(user_id, Message("{header}", header=self._user_header))


def _raw(value: str, header: str) -> bytes:
    """Return the original bytes of a header: WSGI decodes them as Latin-1."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise NotLoggedIn("the server did not decode {header} as WSGI requires", header=header) from exc
