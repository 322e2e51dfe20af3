"""
How the sandbox behaves: well, unless somebody's test asks for slow, wrong, full or gone.

`GET /sandbox` tells it, `POST /sandbox` changes it; the header `X-Sandbox` does for one REST request alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

REST = {
    "ok": "as the vendor does",
    "slow": "after delay_s",
    "wrong": "200 with a page of HTML",
    "full": "429, the rate limit is spent",
    "refuse": "401, as for wrong credentials",
    "failing": "500, with the vendor's code 899000",
    "gone": "the connection is broken off",
}
GATEWAY = {
    "ok": "as the vendor does",
    "slow": "acknowledges at once and answers after delay_s",
    "wrong": "refuses with the vendor's unknown error, 880001",
    "full": "refuses with 882005, busy",
    "silent": "does not even acknowledge, so that the SDK sends again after 5 s",
    "deaf": "acknowledges and never answers",
    "gone": "drops every connection and takes no new one",
}

DEVICES = {
    "kinds": "one device of a kind at a time: mobile, PC, web; a second one kicks the first",
    "one": "one device at a time",
    "any": "as many as there are, so that two pages can be two devices of a user",
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`delay_s` is how slow `slow` is; `url_lives_s` how long the URL of a file lives. Both in seconds."""

    rest: str = "ok"
    gateway: str = "ok"
    devices: str = "kinds"
    delay_s: float = 2.0
    url_lives_s: int = 3600

    def changed(self, asked: Mapping[str, object]) -> "Behaviour":
        """Return it with these members changed. Raises ValueError, which names the member and the rule."""
        for name, value in asked.items():
            _check(name, value)
        return replace(self, **asked)  # type: ignore[arg-type] # just checked


def _check(name: str, value: object) -> None:
    words = {"rest": REST, "gateway": GATEWAY, "devices": DEVICES}.get(name)
    if words is not None and not (isinstance(value, str) and value in words):
        raise ValueError(f"{name}: must be one of {', '.join(words)}")
    if name in ("delay_s", "url_lives_s"):
        if isinstance(value, bool) or not isinstance(value, int | float if name == "delay_s" else int):
            raise ValueError(f"{name}: must be a number of seconds")
        if not 0 <= value <= 86_400:
            raise ValueError(f"{name}: must be 0 to 86400 seconds")
    elif words is None:
        raise ValueError(f"{name[:64]}: is unknown; known are {', '.join(field.name for field in fields(Behaviour))}")
