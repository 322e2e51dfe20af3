"""
Logging in: one device of a kind at a time, so that a second one kicks the first.
"""

import re

from authsvc.sandbox.call import Call
from authsvc.sandbox.core import Core, Line, is_password
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import User

OTHER_LOGIN, DISABLED, DELETED = range(3)  # why somebody is kicked
OTHER_LOGIN, DISABLED, DELETED = range(3)  # why somebody is kicked
KICKED, NEW_PASSWORD = 1, 2  # events, both followed by a logout
PLATFORMS = {"a": "android", "i": "ios", "p": "pc", "w": "pc"}  # all others, as the SDK's "j" and "x", are web
_KINDS = {"android": "mobile", "ios": "mobile"}


def login(call: Call) -> dict[str, object]:
    appkey, username = call.appkey, call.text("username")
    if call.line.user is not None:
        raise Refused(880107)
    user = call.core.find(appkey, username)
    if user is None:
        raise Refused(880103)
    if not is_password(user, call.text("password")):
        raise Refused(880104)
    if user.is_disabled:
        raise Refused(880111)
    kicked = [line for line in call.core.lines(user) if not _may_stay(call.core, line, call.line)]
    for line in kicked:
        call.core.kick(line, call.core.event(KICKED, extra=OTHER_LOGIN))
    call.core.join(call.line, user)
    user.devices[call.line.platform] = call.core.clock() // 1000
    return {"username": user.username, "online_list": online_list(call.core, user, {line.platform for line in kicked})}


def register(call: Call) -> dict[str, object]:
    if call.line.user is not None:
        raise Refused(880006)
    if not call.core.state.is_register_open:
        raise Refused(880007)
    given = {name: call.data[name] for name in PROFILE_OF_REGISTER if call.data.get(name) is not None}
    if "media_id" in given:
        given["avatar"] = given.pop("media_id")
    password = call.text("password")
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", password):
        raise Refused(880003, "password: must be its MD5")
    try:
        call.core.add_user(call.appkey, call.text("username"), password, **given)
    except KeyError:
        raise Refused(882002) from None
    except ValueError as exc:
        raise Refused(880003, str(exc)) from None
    return {}


def online_list(core: Core, user: User, kicked: set[str]) -> list[dict[str, object]]:
    """Return the devices that a user has logged in with, and whether they are online."""
    online = {line.platform for line in core.lines(user)}
    return [
        {
            "platform": platform,
            "mtime": mtime,
            "isOnline": platform in online,
            "isLogin": platform in online,
            "flag": platform in kicked,
        }
        for platform, mtime in user.devices.items()
    ]


def log_out(core: Core, user: User, event_type: int, extra: int = 0, *, but: Line | None = None) -> None:
    """Log a user out everywhere, but for one connection."""
    for line in core.lines(user, but=but):
        core.kick(line, core.event(event_type, extra=extra))


def _may_stay(core: Core, one: Line, other: Line) -> bool:
    if core.behaviour.devices == "kinds":
        return _KINDS.get(one.platform, one.platform) != _KINDS.get(other.platform, other.platform)
    return core.behaviour.devices == "any"


PROFILE_OF_REGISTER = ("nickname", "birthday", "signature", "gender", "region", "address", "extras", "media_id")
CALLS = {"login": login, "register": register}
