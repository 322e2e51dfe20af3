"""
What a connection has sent and what it was answered, for a test to assert on.

Imports nothing of the project.
"""

from typing import Any, NamedTuple

HIDDEN = ("password", "old_pwd", "new_pwd", "signature")  # when it is shown


class Recorded(NamedTuple):
    """An event that a connection has sent, and what it was answered."""

    number: int
    connection: str
    appkey: str | None
    username: str | None
    event: str
    data: dict[str, Any]
    code: object

    def shown(self) -> dict[str, object]:
        """Return it without what is secret in it, and without the rid."""
        data = {name: "***" if name in HIDDEN else value for name, value in self.data.items() if name != "rid"}
        return self._asdict() | {"data": data}
