"""
What an event is refused with: the vendor's codes in its own words, slips and all, because an app may compare them.

Imports nothing of the project. Source: the vendor's list of Web SDK error codes; where it has no words, ours.
"""

MESSAGES = {
    880001: "missing error",
    880002: "invalid parameter",
    880003: "invalid value",
    880004: "invalid type",
    880005: "file not exist",
    880006: "login out before register",
    880007: "register limit",
    880008: "msg_id not valid",
    880101: "appkey not exist",
    880102: "signatu fail",
    880103: "user not exist",
    880104: "invalid password",
    880106: "signatu is expire",
    880107: "already login,please login out before login",
    880111: "user disabled",
    880203: "target user not exist",
    880204: "target group not exist",
    880205: "user not in group",
    880206: "length of message exceed limit",
    880207: "user in blacklist",
    880208: "message is sensitive",
    880212: "can not chat while silent",
    880403: "amount of group exceed limit",
    880404: "length of group name exceed limit",
    880405: "length of group desc exceed limit",
    880602: "zero member",
    880604: "user not permitted add member to group",
    880607: "repeated added member",
    880608: "amount of member exceed group limit",
    880610: "user already in group",
    880612: "request already dealt with",
    880614: "no permission to deal with the request",
    880704: "user not permitted delete member of group",
    880705: "member of group not permitted deleted",
    880903: "member not permitted added",
    880904: "repeated added member",
    881101: "member already set",
    881102: "member never set",
    881105: "group already set",
    881106: "group never set",
    881107: "already set",
    881108: "never set",
    881203: "group already set",
    881204: "group never set",
    881302: "already is friend",
    881303: "user not friend",
    881304: "invalid friend memo",
    881305: "Invitation event is not valid",
    881401: "out of time",
    881402: "request user is not message sender",
    881403: "request message not exist",
    881404: "message already retract",
    881501: "user not in chatroom",
    881502: "user baned to post",
    881503: "chatroom not exist",
    881504: "length of chatroom message exceed limit",
    881507: "member has in the chatroom",
    881508: "amount of member exceed chatroom limit",
    881602: "target user not login",
    881604: "length of trans cmd exceed limit",
    881701: "user is not the group's owner",
    882001: "server internal error",
    882002: "user exit，no such user，password error，uid invalid，gid invalid",
    882004: "auth fail",
    882005: "response time out，try again later",
}


class Refused(Exception):
    """An event that is answered with a code of the vendor's, or with authsvc's own for a replay."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES.get(code, MESSAGES[880001])
