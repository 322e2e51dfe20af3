"""
The IM accounts that the sandbox knows. They are gone when it ends.
"""

import hashlib
import hmac
import re

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{3,127}")


class Users:
    """Accounts by appkey and username. Passwords are kept as the SDK sends them: the MD5, 32 lower-case hex."""

    def __init__(self) -> None:
        self._passwords: dict[tuple[str, str], str] = {}

    def is_known(self, appkey: str, username: str) -> bool:
        return (appkey, username) in self._passwords

    def add(self, appkey: str, username: str, password_md5: str) -> None:
        """Make an account. Raises KeyError if there is one, ValueError if the vendor takes no such username."""
        if not _USERNAME.fullmatch(username):
            raise ValueError("username: must be 4 to 128 of A-Z a-z 0-9 _ . - @, and begin with a letter or digit")
        if self.is_known(appkey, username):
            raise KeyError(username)
        self._passwords[appkey, username] = password_md5.lower()

    def set_password(self, appkey: str, username: str, password_md5: str) -> None:
        """Replace the password. Raises KeyError if there is no such account."""
        if not self.is_known(appkey, username):
            raise KeyError(username)
        self._passwords[appkey, username] = password_md5.lower()

    def is_password(self, appkey: str, username: str, password_md5: str) -> bool:
        """Return whether this is the account's password."""
        known = self._passwords.get((appkey, username), "")
        return hmac.compare_digest(known.encode(), password_md5.lower().encode())


def md5_of(password: str) -> str:
    """Return the form in which the SDK sends a password."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
