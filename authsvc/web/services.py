"""
The services that handlers use, as `app` builds them.

Imports the modules of their types.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authsvc.auth.authenticator import Authenticator
from authsvc.payloads.apps import Apps
from authsvc.payloads.verifying import Verifiers
from authsvc.ratelimit.limiter import Limiter
from authsvc.stores.store import Store
from authsvc.telemetry.health import Readiness
from authsvc.vendor.accounts import Accounts
from authsvc.vendor.media import Media


@dataclass(frozen=True, slots=True)
class Services:
    """`sdk` is the member of the same name in the answer of bootstrap."""

    apps: Apps
    authenticator: Authenticator
    verifiers: Verifiers
    limiter: Limiter
    media: Media
    accounts: Accounts | None
    has_signature_route: bool
    sdk: Mapping[str, object]
    store: Store
    readiness: Readiness
    now_ms: Callable[[], int]
