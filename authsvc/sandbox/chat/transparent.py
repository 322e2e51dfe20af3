"""
Commands that pages send each other past the user's eyes; they reach who is online, and are not kept.
"""

from authsvc.sandbox.call import Call
from authsvc.sandbox.chat.messages import GROUP, SINGLE
from authsvc.sandbox.errors import Refused

DEVICES = 5  # the type of a command to one's own devices
PLATFORMS = ("all", "android", "ios", "pc", "web")
MAX_CMD = 4096  # bytes


def to_user(call: Call) -> dict[str, object]:
    told = _command(call, SINGLE)
    if call.core.push([call.target("target_username", "target_appkey")], "trans_msg_rec", told, but=call.line):
        raise Refused(881602)
    return {}


def to_group(call: Call) -> dict[str, object]:
    group = call.own_group()
    told = _command(call, GROUP) | {"gid": group.gid}
    call.core.push(call.core.users(group.members), "trans_msg_rec", told, but=call.line)
    return {}


def to_devices(call: Call) -> dict[str, object]:
    platform = call.text("platform")
    if platform not in PLATFORMS:
        raise Refused(880003, f"platform: must be one of {', '.join(PLATFORMS)}")
    told = _command(call, DEVICES) | {"platform": platform}
    lines = [line for line in call.core.lines(call.user, but=call.line) if platform in ("all", line.platform)]
    for line in lines:
        line.socket.emit("trans_msg_rec", told)
    if not lines:
        raise Refused(881602)
    return {}


def _command(call: Call, kind: int) -> dict[str, object]:
    cmd = call.text("cmd")
    if len(cmd.encode()) > MAX_CMD:
        raise Refused(881604)
    sender = {"from_appkey": call.user.appkey, "from_username": call.user.username}
    return {"type": kind, "gid": 0, "platform": "", "cmd": cmd} | sender


CALLS = {"trans_msg_single": to_user, "trans_msg_group": to_group, "trans_msg_platform": to_devices}
