"""The ways of logging in that settings set up."""

import subprocess
import sys

from authsvc.logins import ways_of
from authsvc.settings import loader
from authsvc.settings.model import Settings
from tests.support import made_up

VARIABLES = {
    "AUTHSVC_APPKEY": made_up.APPKEY,
    "AUTHSVC_MASTER_SECRET": made_up.MASTER_SECRET,
    "AUTHSVC_JWT_KEY": made_up.JWT_KEY,
    "AUTHSVC_JWT_ALGORITHMS": "HS256",
    "AUTHSVC_JWT_SINGLE_USE": "true",
    "AUTHSVC_JWT_COOKIE": "access_token",
    "AUTHSVC_JWT_HEADER": "X-Jwt",
    "AUTHSVC_SESSION_KEY": made_up.SESSION_KEY,
    "AUTHSVC_GATEWAY_SECRET": made_up.GATEWAY_SECRET,
    "AUTHSVC_LOGIN_URL": "http://127.0.0.1:9/login",
    "AUTHSVC_STORE_URL": "redis://127.0.0.1:9",
}


def test_the_ways_are_named_in_their_order() -> None:
    """As the service tries them."""
    assert ways_of(loader.load(VARIABLES, Settings)) == [
        "Authorization: Bearer <token>",
        "the cookie access_token",
        "the cookie session",
        "X-Jwt from the gateway",
        "X-Forwarded-User from the gateway",
        "an Authorization header that the app accepts",
        "a cookie that the app accepts",
    ]


def test_naming_the_ways_opens_no_store() -> None:
    """The names need no store, and its client takes a while to import."""
    script = (
        "import os, sys\n"
        "from authsvc.logins import ways_of\n"
        "from authsvc.settings import loader\n"
        "from authsvc.settings.model import Settings\n"
        "assert ways_of(loader.load(os.environ, Settings))\n"
        "sys.exit('authsvc.stores.redis' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], env=VARIABLES, check=False).returncode == 0
