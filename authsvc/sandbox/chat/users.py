"""
Who users are: their profiles and passwords, and the files that they upload and look at.
"""

import hashlib

from authsvc.sandbox.call import Call
from authsvc.sandbox.chat import devices, groups
from authsvc.sandbox.core import PROFILE, Core, check_profile, is_password, profile
from authsvc.sandbox.errors import Refused
from authsvc.sandbox.state import User


def info(call: Call) -> dict[str, object]:
    found = call.core.find(call.text("appkey", "") or call.appkey, call.text("username"))
    if found is None:
        raise Refused(882002)
    return {"user_info": profile(found)}


def update(call: Call) -> dict[str, object]:
    given = {name: call.data[name] for name in PROFILE if call.data.get(name) is not None}
    try:
        check_profile(given)
    except ValueError as exc:
        raise Refused(880003, str(exc)) from None
    for name, value in given.items():
        setattr(call.user, name, value)
    call.user.mtime_ms = call.core.clock()
    return {}


def update_password(call: Call) -> dict[str, object]:
    if not is_password(call.user, call.text("old_pwd")):
        raise Refused(882002)
    call.user.password = call.text("new_pwd").lower()
    devices.log_out(call.core, call.user, devices.NEW_PASSWORD, but=call.line)
    return {}


def md5_of(password: str) -> str:
    """Return the form in which the SDK sends a password."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


def set_password(core: Core, user: User, password_md5: str) -> None:
    """Give a user another password; whoever is logged in has to log in anew."""
    user.password = password_md5
    devices.log_out(core, user, devices.NEW_PASSWORD)


def delete(core: Core, user: User) -> None:
    """Delete an account; its groups go on without it."""
    devices.log_out(core, user, devices.KICKED, devices.DELETED)
    for group in groups.of(core, user):
        groups.remove(core, None, group, [user])
    core.delete_user(user)


def upload_token(call: Call) -> dict[str, object]:
    return {"uptoken": call.core.files.upload_token(call.user.appkey, call.user.username)}


def resource(call: Call) -> dict[str, object]:
    media_id = call.text("media_id")
    if call.core.files.get(media_id) is None:
        raise Refused(880005)
    return {"url": call.core.url_of(media_id)}


CALLS = {
    "get_across_user_info": info,
    "update_user_inf": update,
    "update_user_pwd": update_password,
    "get_upload_token": upload_token,
    "get_resource": resource,
}
