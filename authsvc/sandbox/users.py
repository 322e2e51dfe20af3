"""
The IM accounts that the sandbox knows.
"""

import hashlib
import hmac
import re

from authsvc.sandbox.state import State, User

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{3,127}")


class Users:
    """Accounts by appkey and username."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._found = {(user.appkey, user.username): user for user in state.users}

    def is_known(self, appkey: str, username: str) -> bool:
        return (appkey, username) in self._found

    def add(self, appkey: str, username: str, password_md5: str) -> None:
        """Make an account. Raises KeyError if there is one, ValueError if the vendor takes no such username."""
        if not _USERNAME.fullmatch(username):
            raise ValueError("username: must be 4 to 128 of A-Z a-z 0-9 _ . - @, and begin with a letter or digit")
        if self.is_known(appkey, username):
            raise KeyError(username)
        user = User(appkey, username, password_md5.lower())
        self._found[appkey, username] = user
        self._state.users.append(user)

    def set_password(self, appkey: str, username: str, password_md5: str) -> None:
        """Replace the password. Raises KeyError if there is no such account."""
        self._found[appkey, username].password = password_md5.lower()

    def is_password(self, appkey: str, username: str, password_md5: str) -> bool:
        """Return whether this is the account's password."""
        user = self._found.get((appkey, username))
        known = "" if user is None else user.password
        return hmac.compare_digest(known.encode(), password_md5.lower().encode())


def md5_of(password: str) -> str:
    """Return the form in which the SDK sends a password."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
