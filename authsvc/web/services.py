"""
What handlers stand on: the rules and what these stand on, as `app` builds them.

Imports the modules that it names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authsvc.accounts import Accounts
from authsvc.apps import Apps
from authsvc.callers import Callers
from authsvc.limiter import Limiter
from authsvc.media import Media
from authsvc.readiness import Readiness
from authsvc.store import Store
from authsvc.verifying import Verifiers


@dataclass(frozen=True, slots=True)
class Services:
    """`sdk` is what bootstrap answers of the vendor's SDK, as JSON."""

    apps: Apps
    callers: Callers
    verifiers: Verifiers
    limiter: Limiter
    media: Media
    accounts: Accounts | None
    has_signature_route: bool
    sdk: Mapping[str, object]
    store: Store
    readiness: Readiness
    now_ms: Callable[[], int]
