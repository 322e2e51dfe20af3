"""
The service's time-outs, lengthened where a test is not about them: a machine that stands still for seconds would exceed
most of them. `python -m tests.support.patience serve` is `authsvc serve` with all of them so.
"""

from collections.abc import Callable

from authsvc.__main__ import main
from authsvc.auth import auth_request, jwks
from authsvc.outbound import bulkhead, http_client
from authsvc.stores import discovery, redis, sqlite, topology
from authsvc.telemetry import exporter
from authsvc.vendor import client

LONG_S = 60.0
Set = Callable[[object, str, object], object]


def with_other_services(set_to: Set) -> None:
    """Wait for the vendor, the app and the JWKS URL. A test of one of these time-outs sets it again."""
    set_to(client, "TRY_S", LONG_S)
    defaults = client.Vendor.__init__.__kwdefaults__ or {}
    set_to(client.Vendor.__init__, "__kwdefaults__", defaults | {"total_s": LONG_S})
    set_to(auth_request, "TOTAL_S", LONG_S)
    set_to(jwks, "TIMEOUT_S", LONG_S)
    set_to(http_client, "CONNECT_S", LONG_S)


def with_stores(set_to: Set) -> None:
    """Have a store that is opened from now on wait for Redis, its replicas, and whoever has the SQLite file locked."""
    set_to(sqlite, "WAIT_S", LONG_S)
    set_to(sqlite, "CLOSE_WAIT_S", LONG_S)
    set_to(redis, "WAIT_MS", int(LONG_S * 500))
    set_to(topology, "TIMEOUT_S", LONG_S)
    set_to(topology, "RETRY_WITHIN_S", LONG_S)
    set_to(discovery, "LOOK_TIMEOUT_S", LONG_S)
    set_to(discovery, "LOOK_S", LONG_S)


def with_everything(set_to: Set) -> None:
    """Wait for other services, for a slot among those who wait for them, for the store, and for who scrapes."""
    with_other_services(set_to)
    set_to(bulkhead, "PATIENCE_S", LONG_S)
    with_stores(set_to)
    set_to(exporter, "TIMEOUT_S", LONG_S)


if __name__ in {"__main__", "__mp_main__"}:  # the latter in the workers of granian
    with_everything(setattr)
if __name__ == "__main__":
    main()
