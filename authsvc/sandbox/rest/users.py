"""
Users and admins: registered, listed, looked at, changed, disabled, deleted; and whether the SDK may register any.
"""

from typing import Any

from authsvc.sandbox.chat import devices
from authsvc.sandbox.chat.users import delete, md5_of, set_password
from authsvc.sandbox.core import PROFILE, check_profile
from authsvc.sandbox.rest.asked import DONE, Answer, Asked, Wrong, invalid, profile_of
from authsvc.sandbox.state import User

CHANGED = 40  # an event
MAX_REGISTERED = 500  # in one call
MAX_DELETED = 100
_LETTERS = {"web": "j", "android": "a", "ios": "i", "pc": "w"}
ON_OR_OFF = {"1": True, "0": False}


def register(asked: Asked) -> Answer:
    if not isinstance(asked.body, list) or not 1 <= len(asked.body) <= MAX_REGISTERED:
        raise invalid(f"a list of 1 to {MAX_REGISTERED} users")
    told = [_registered(asked, user) for user in asked.body]
    return 403 if all("error" in one for one in told) else 201, told


def register_admin(asked: Asked) -> Answer:
    """Register one admin, who may send messages by this API. Source: the vendor answers without a body."""
    told = _registered(asked, asked.body, is_admin=True)
    if "error" in told:
        error: Any = told["error"]
        raise Wrong(403 if error["code"] == 899001 else 400, error["code"], error["message"])
    return 201, None


def admins(asked: Asked) -> Answer:
    return asked.page("users", [user for user in _of(asked) if user.is_admin], profile_of)


def listed(asked: Asked) -> Answer:
    return asked.page("users", _of(asked), profile_of)


def get(asked: Asked) -> Answer:
    return 200, profile_of(asked.user())


def update(asked: Asked) -> Answer:
    user, given = asked.user(), _profile(asked.fields())
    try:
        check_profile(given)
    except ValueError as exc:
        raise invalid(str(exc)) from None
    for name, value in given.items():
        setattr(user, name, value)
    user.mtime_ms = asked.core.clock()
    asked.core.notify([user], asked.core.event(CHANGED, user))
    return DONE


def update_password(asked: Asked) -> Answer:
    password = asked.body.get("new_password") if isinstance(asked.body, dict) else None
    if not _is_password(password):
        raise invalid("new_password is 4 to 128 bytes")
    set_password(asked.core, asked.user(), md5_of(str(password)))
    return DONE


def forbid(asked: Asked) -> Answer:
    user = asked.user()
    user.is_disabled = asked.choice("disable", {"true": True, "false": False})
    if user.is_disabled:
        devices.log_out(asked.core, user, devices.KICKED, devices.DISABLED)
    return DONE


def remove(asked: Asked) -> Answer:
    delete(asked.core, asked.user())
    return DONE


def remove_several(asked: Asked) -> Answer:
    if not isinstance(asked.body, list) or not 1 <= len(asked.body) <= MAX_DELETED:
        raise invalid(f"a list of 1 to {MAX_DELETED} usernames")
    told = []
    for name in asked.body:
        try:
            delete(asked.core, asked.user(name if isinstance(name, str) else ""))
            told.append({"username": name})
        except Wrong as wrong:
            told.append({"username": name, "error": {"code": wrong.code, "message": wrong.message}})
    return 200, told


def state(asked: Asked) -> Answer:
    user = asked.user()
    is_online = bool(asked.core.lines(user))
    return 200, {"login": is_online, "online": is_online}


def states(asked: Asked) -> Answer:
    return 200, [{"username": user.username, "devices": _devices(asked, user)} for user in asked.users(asked.body)]


def register_status(asked: Asked) -> Answer:
    return 200, {"status": int(asked.core.state.is_register_open)}


def set_register_status(asked: Asked) -> Answer:
    asked.core.state.is_register_open = asked.choice("status", ON_OR_OFF)
    return DONE


def _of(asked: Asked) -> list[User]:
    return [user for user in asked.core.state.users.values() if user.appkey == asked.appkey]


def _devices(asked: Asked, user: User) -> list[dict[str, object]]:
    return [
        {"platform": _LETTERS[str(one["platform"])], "login": one["isLogin"], "online": one["isOnline"]}
        for one in devices.online_list(asked.core, user, set())
    ]


def _profile(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in PROFILE if name in given}


def _registered(asked: Asked, given: object, *, is_admin: bool = False) -> dict[str, object]:
    username = given.get("username") if isinstance(given, dict) else None
    password = given.get("password") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(username, str) or not _is_password(password):
        return {"username": str(username), "error": {"code": 899003, "message": "parameter invalid"}}
    try:
        user = asked.core.add_user(asked.appkey, username, md5_of(str(password)), **_profile(given))
    except ValueError as exc:
        return {"username": username, "error": {"code": 899003, "message": f"parameter invalid: {exc}"}}
    except KeyError:
        return {"username": username, "error": {"code": 899001, "message": "User exist"}}
    user.is_admin = is_admin
    return {"username": username}


def _is_password(value: object) -> bool:
    return isinstance(value, str) and 4 <= len(value.encode()) <= 128


CALLS = {
    ("POST", "/v1/users"): register,
    ("GET", "/v1/users"): listed,
    ("DELETE", "/v1/users"): remove_several,
    ("POST", "/v1/admins"): register_admin,
    ("GET", "/v1/admins"): admins,
    ("POST", "/v1/users/userstat"): states,
    ("GET", "/v1/users/{username}"): get,
    ("PUT", "/v1/users/{username}"): update,
    ("DELETE", "/v1/users/{username}"): remove,
    ("PUT", "/v1/users/{username}/password"): update_password,
    ("PUT", "/v1/users/{username}/forbidden"): forbid,
    ("GET", "/v1/users/{username}/userstat"): state,
    ("GET", "/v1/sdkregister/status"): register_status,
    ("PUT", "/v1/sdkregister/status"): set_register_status,
}
