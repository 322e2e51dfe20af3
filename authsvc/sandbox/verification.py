"""
Whether a payload is good. The sandbox does not know it: it asks authsvc's verify route, as one's own gateway would.
"""

import json
import logging
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession, ClientTimeout

from authsvc.sandbox.errors import MESSAGES, Refused

TIMEOUT_S = 10
_OUT_OF_TIME = {889002: 880106}  # the vendor has no word for a payload from the future

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """The authsvc whose verify route is asked: its base URL without a slash at the end, and a key for the route."""

    url: str
    verifier_key: str = field(repr=False)

    async def verify(self, http: ClientSession, asked: dict[str, object], *, holder: str) -> None:
        """Return if the service accepts the payload; raise what it says, in the vendor's words where it has any."""
        url = f"{self.url}/v1/auth-payload/verify"
        headers = {"Authorization": f"Bearer {self.verifier_key}", "X-Holder": holder}
        try:
            async with http.post(
                url, json=asked, headers=headers, timeout=ClientTimeout(TIMEOUT_S), allow_redirects=False
            ) as answer:
                told = json.loads(await answer.text())
                if answer.status == 200:
                    return
                code, message = int(told["code"]), str(told["message"])
        except (ClientError, TimeoutError) as exc:
            _log.warning("the service does not answer at %s: %s", url, exc)
            raise Refused(882005) from exc
        except (ValueError, TypeError, KeyError) as exc:
            _log.warning("what answers at %s is no authsvc", url)
            raise Refused(882001) from exc
        if answer.status == 401:
            _log.warning("the service does not accept the verifier key; both need the same AUTHSVC_VERIFIER_KEYS")
            raise Refused(882001)
        code = _OUT_OF_TIME.get(code, code)
        raise Refused(code, MESSAGES.get(code, message))
