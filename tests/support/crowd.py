"""
A million distinct users in one worker, while the store is away. Started by `test_limiter` as a process of its own, not
traced by coverage, which would take most of the time.
"""

import json
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from authsvc.errors import StoreUnavailable, TooManyRequests
from authsvc.ratelimit.limiter import Limiter
from authsvc.ratelimit.rate import Rate
from authsvc.stores.store import Store
from tests.support import made_up

NOW_MS = 1_750_000_000_000
USERS = 1_000_000
RECONCILED_EVERY = 100_000


class Away:
    """A store that cannot be reached; it notes of how many users it was to be told at once."""

    told = 0

    def count(self, hits: Mapping[str, int], *, keep_ms: int) -> dict[str, int]:  # noqa: ARG002 -- the store's own
        self.told = max(self.told, len(hits))
        raise StoreUnavailable


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def passed(limiter: Limiter, user_id: str) -> int:
    """Hit until it is refused; return how often it was not."""
    hits = 0
    while True:
        try:
            limiter.hit(user_id, made_up.APPKEY, NOW_MS)
        except TooManyRequests:
            return hits
        hits += 1


def main() -> None:
    """Print how many users are remembered and told of, what that takes, and what the last and the first have left."""
    store = Away()
    limiter = Limiter(Rate(5, 3_600_000), cast(Store, store))
    before, most = resident_bytes(), 0
    for number in range(USERS):
        limiter.hit(f"user-{number}", made_up.APPKEY, NOW_MS)
        if number % RECONCILED_EVERY == RECONCILED_EVERY - 1:
            limiter.reconcile()
            most = max(most, resident_bytes() - before)
    left = [passed(limiter, f"user-{number}") for number in (USERS - 1, 0)]
    print(json.dumps({"users": len(limiter), "told": store.told, "bytes": most, "left": left}))  # noqa: T201 -- for the test to read


if __name__ == "__main__":
    main()
