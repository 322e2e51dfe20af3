"""How long something takes, on a machine that may stand still meanwhile: it is done again and again, and most count."""

import time
from collections.abc import Callable


def check_prompt(act: Callable[[], object], *, within_s: float, times: int = 10) -> None:
    """
    Fail unless an action takes less than so long, four times in five.

    It is done once after the other, so that a machine that stands still for seconds is noticed by one of them. What
    has them wait for something notices all of them, or half of them where it is one of two workers.
    """
    took_s = []
    for _ in range(times):
        began_s = time.monotonic()
        act()
        took_s.append(time.monotonic() - began_s)
    assert sum(one >= within_s for one in took_s) <= times // 5, took_s
