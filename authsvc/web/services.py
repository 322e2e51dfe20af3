"""
What handlers stand on: the rules and what these stand on, as `app` builds them.

Imports the modules that it names.
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
    """`sdk` is what bootstrap answers of the vendor's SDK, as JSON."""

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
