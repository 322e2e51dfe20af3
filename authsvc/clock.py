"""
The one place that reads the time.

Everything above is handed `now_ms` as an argument, so a boundary can be tested at the very millisecond.
Imports nothing of the project.
"""

import time


def now_ms() -> int:
    """Return the time, Unix milliseconds, UTC, rounded down."""
    return time.time_ns() // 1_000_000
