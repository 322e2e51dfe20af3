"""What a back end does by REST, as the pages see it."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from authsvc.sandbox.chat.users import md5_of
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import Page, message
from tests.support.made_up import APPKEY, OTHER_APPKEY

Opener = Callable[..., Page]


def code(answer: requests.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["error"]["code"]


class Rest:
    """Asks the sandbox as a back end does."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def done(self, method: str, path: str, body: object = None, status: int = 204) -> Any:
        answer = self._sandbox.ask(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: object = None) -> tuple[int, int]:
        return code(self._sandbox.ask(method, path, json=body))


@pytest.fixture
def rest(sandbox: Sandbox) -> Rest:
    """A back end."""
    return Rest(sandbox)


def text(text: object = "Hello", **members: object) -> dict[str, object]:
    """Return a message as a back end sends one."""
    return {
        "version": 1,
        "target_type": "single",
        "target_id": "ming",
        "from_type": "admin",
        "from_id": "boss",
        "msg_type": "text",
        "msg_body": {"text": text},
    } | members


@pytest.fixture
def boss(rest: Rest) -> None:
    """An admin."""
    rest.done("POST", "/v1/admins/", {"username": "boss", "password": "password"}, 201)


def test_users(rest: Rest, ming: Page) -> None:
    """Listed by page, looked at, changed; what was never set is not there."""
    told = rest.done("GET", "/v1/users/?start=1&count=2", None, 200)
    assert (told["total"], told["start"], told["count"]) == (4, 1, 2)
    assert [user["username"] for user in told["users"]] == ["omar", "anna"]
    assert rest.done("GET", "/v1/users/ming", None, 200).keys() == {"username", "mtime", "ctime"}
    rest.done("PUT", "/v1/users/ming", {"nickname": "小明", "gender": 1, "unknown": 7})
    assert ming.notified(40)["from_username"] == "ming"
    told = rest.done("GET", "/v1/users/ming", None, 200)
    assert (told["nickname"], told["gender"], len(told["mtime"])) == ("小明", 1, 19)
    assert rest.refused("PUT", "/v1/users/ming", {"gender": "x"}) == (400, 899003)
    assert rest.refused("PUT", "/v1/users/ming", []) == (400, 899003)
    assert rest.refused("GET", "/v1/users/nobody") == (404, 899002)
    for query in ("start=x", "count=501", "start=-1", "start=9999999999"):
        assert rest.refused("GET", f"/v1/users?{query}") == (400, 899003)


def test_states(rest: Rest, ming: Page, page: Opener) -> None:
    """Of one, and of several with their devices."""
    page("ming", platform="a")
    assert rest.done("GET", "/v1/users/ming/userstat", None, 200) == {"login": True, "online": True}
    assert rest.done("GET", "/v1/users/omar/userstat", None, 200) == {"login": False, "online": False}
    told = rest.done("POST", "/v1/users/userstat", ["ming", "omar"], 200)
    assert [one["platform"] for one in told[0]["devices"]] == ["j", "a"]
    assert told[1] == {"username": "omar", "devices": []}
    assert rest.refused("POST", "/v1/users/userstat", ["nobody"]) == (404, 899002)
    assert rest.refused("POST", "/v1/users/userstat", [7]) == (404, 899002)
    assert rest.refused("POST", "/v1/users/userstat", {"a": 1}) == (400, 899003)


def test_password_and_deletion(rest: Rest, ming: Page, omar: Page) -> None:
    """A page whose account changes under it is logged out by the event for that; the new password is good."""
    rest.done("PUT", "/v1/users/ming/password", {"new_password": "another"})
    ming.notified(2)
    ming.do("login", username="ming", password=md5_of("another"), is_md5=True)
    rest.done("DELETE", "/v1/users/omar")
    assert omar.notified(1)["extra"] == 2
    assert rest.refused("DELETE", "/v1/users/omar") == (404, 899002)
    told = rest.done("DELETE", "/v1/users/", ["anna", "nobody", 7], 200)
    assert [one.get("error", {}).get("code") for one in told] == [None, 899002, 899002]
    assert rest.refused("DELETE", "/v1/users", []) == (400, 899003)
    assert rest.refused("PUT", "/v1/users/jose/forbidden?disable=maybe") == (400, 899003)


def test_admins(rest: Rest, boss: None) -> None:
    """One at a time, without a body; a name that is taken is refused."""
    assert [user["username"] for user in rest.done("GET", "/v1/admins?start=0&count=30", None, 200)["users"]] == [
        "boss"
    ]
    assert rest.refused("POST", "/v1/admins", {"username": "boss", "password": "password"}) == (403, 899001)
    assert rest.refused("POST", "/v1/admins", {"username": "b"}) == (400, 899003)
    assert rest.refused("POST", "/v1/admins", []) == (400, 899003)


def test_register_with_a_profile(rest: Rest) -> None:
    """As the guide has it."""
    told = rest.done("POST", "/v1/users/", [{"username": "kate", "password": "word", "nickname": "Kate"}], 201)
    assert told == [{"username": "kate"}]
    assert rest.done("GET", "/v1/users/kate", None, 200)["nickname"] == "Kate"
    told = rest.done("POST", "/v1/users", [{"username": "liam", "password": "word", "gender": 9}], 403)
    assert told[0]["error"]["message"] == "parameter invalid: gender: must be 0, 1 or 2"


def test_sdkregister(rest: Rest) -> None:
    """On from the start."""
    assert rest.done("GET", "/v1/sdkregister/status", None, 200) == {"status": 1}
    rest.done("PUT", "/v1/sdkregister/status?status=0")
    assert rest.done("GET", "/v1/sdkregister/status/", None, 200) == {"status": 0}
    assert rest.refused("PUT", "/v1/sdkregister/status") == (400, 899003)


def test_messages(rest: Rest, boss: None, ming: Page) -> None:
    """From an admin to a user; the page gets it as any other, from who the admin is."""
    sent = rest.done("POST", "/v1/messages", text("Hello", from_name="The boss", notification={"alert": "!"}), 201)
    (told,) = ming.heard("msg_sync")["messages"]
    assert (told["msg_id"], told["ctime_ms"]) == (sent["msg_id"], sent["msg_ctime"])
    content = told["content"]
    assert (content["from_id"], content["from_type"], content["from_name"]) == ("boss", "admin", "The boss")
    assert content["msg_body"] == {"text": "Hello"}
    assert told["custom_notification"] == {"enabled": True, "title": "", "alert": "!", "at_prefix": ""}
    path = f"/v1/messages/boss/{sent['msg_id']}/retract"
    rest.done("POST", path)
    assert ming.notified(55)["msgid_list"] == [sent["msg_id"]]
    assert rest.refused("POST", path) == (400, 855004)
    assert rest.refused("POST", "/v1/messages/boss/7/retract") == (400, 855003)
    assert rest.refused("POST", "/v1/messages/boss/x/retract") == (400, 855003)
    assert rest.refused("POST", f"/v1/messages/ming/{sent['msg_id']}/retract") == (400, 855003)
    own = ming.says("mine", single="omar")["msg_id"]
    assert rest.refused("POST", f"/v1/messages/boss/{own}/retract") == (400, 855003)


def test_retraction_has_three_minutes(sandbox: Sandbox, rest: Rest, boss: None) -> None:
    """By a code of its own."""
    sent = rest.done("POST", "/v1/messages", text(), 201)
    sandbox.behave(clock={"advance_ms": 180_100})
    assert rest.refused("POST", f"/v1/messages/boss/{sent['msg_id']}/retract") == (400, 855001)


def test_messages_to_groups_and_rooms(rest: Rest, boss: None, ming: Page, omar: Page) -> None:
    """Whoever is in them gets it."""
    group = {"owner_username": "omar", "name": "weekend", "members_username": ["ming"]}
    gid = rest.done("POST", "/v1/groups/", group, 201)["gid"]
    room = rest.done("POST", "/v1/chatroom/", {"owner_username": "omar", "name": "lobby"}, 201)["chatroom_id"]
    ming.do("join_room", id=room)
    rest.done("POST", "/v1/messages", text("all", target_type="group", target_id=str(gid)), 201)
    assert ming.heard("msg_sync")["messages"][0]["from_gid"] == gid
    rest.done("POST", "/v1/messages", text("room", target_type="chatroom", target_id=str(room)), 201)
    assert ming.heard("room_msg_sync")["content"]["msg_body"] == {"text": "room"}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"version": 2}, (400, 899003)),
        ({"from_id": "ming"}, (403, 899016)),
        ({"from_type": "user"}, (403, 899016)),
        ({"from_id": "nobody"}, (404, 899002)),
        ({"from_id": 7}, (400, 899003)),
        ({"target_id": "nobody"}, (404, 899002)),
        ({"target_id": ["ming"]}, (404, 899002)),
        ({"target_appkey": OTHER_APPKEY}, (404, 899002)),
        ({"target_type": "planet"}, (400, 899003)),
        ({"target_type": "group"}, (404, 899006)),
        ({"target_type": "chatroom"}, (400, 899003)),
        ({"msg_type": "smell"}, (400, 899003)),
        ({"msg_body": {"text": "x" * 4096}}, (400, 899003)),
    ],
)
def test_messages_that_are_none(rest: Rest, boss: None, change: dict[str, object], refusal: tuple[int, int]) -> None:
    """Each is refused by the documented code."""
    assert rest.refused("POST", "/v1/messages/", text() | change) == refusal


def test_groups(rest: Rest, ming: Page, omar: Page) -> None:
    """Made, listed, changed, ended; members hear of all of it."""
    asked = {
        "owner_username": "ming",
        "name": "weekend",
        "members_username": ["omar", "ming"],
        "desc": "talk",
        "flag": 2,
    }
    made = rest.done("POST", "/v1/groups/", asked, 201)
    gid = made["gid"]
    assert (made["owner_username"], made["members_username"], made["MaxMemberCount"]) == ("ming", ["omar"], 500)
    assert ming.notified(8)["gid"] == gid
    assert omar.notified(10)["gid"] == gid
    shown = rest.done("GET", f"/v1/groups/{gid}", None, 200)
    assert (shown["name"], shown["desc"], shown["appkey"], shown["flag"]) == ("weekend", "talk", APPKEY, 2)
    assert rest.done("GET", "/v1/groups/?start=0&count=1", None, 200)["groups"] == [shown]
    assert rest.done("GET", "/v1/users/omar/groups/", None, 200) == [shown]
    rest.done("PUT", f"/v1/groups/{gid}", {"name": "holidays"})
    assert omar.notified(12)["group_name"] == "holidays"
    members = rest.done("GET", f"/v1/groups/{gid}/members/", None, 200)
    assert [(one["username"], one["flag"]) for one in members] == [("ming", 1), ("omar", 0)]
    rest.done("POST", f"/v1/groups/{gid}/members", {"add": ["anna"], "remove": ["omar"]})
    assert ming.notified(10)
    assert omar.notified(10)
    assert omar.notified(11)["to_usernames"][0]["username"] == "omar"
    assert rest.refused("POST", f"/v1/groups/{gid}/members", {"add": ["anna"]}) == (403, 899011)
    assert rest.refused("POST", f"/v1/groups/{gid}/members", {"remove": ["omar"]}) == (403, 899014)
    assert rest.refused("POST", f"/v1/groups/{gid}/members", {}) == (400, 899003)
    assert rest.refused("PUT", f"/v1/groups/{gid}", {"name": "x" * 65}) == (400, 899003)
    rest.done("DELETE", f"/v1/groups/{gid}")
    ming.all()
    assert rest.refused("GET", f"/v1/groups/{gid}") == (404, 899006)
    assert rest.refused("GET", "/v1/groups/x") == (404, 899006)
    assert rest.refused("POST", "/v1/groups", {"owner_username": "nobody", "name": "x"}) == (404, 899002)
    assert rest.refused("POST", "/v1/groups", {"owner_username": "ming", "name": "x" * 65}) == (400, 899003)


def test_groups_without_members(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner alone is a group; one that is full is refused by the documented code."""
    gid = rest.done("POST", "/v1/groups", {"owner_username": "ming", "name": "alone"}, 201)["gid"]
    monkeypatch.setattr("authsvc.sandbox.chat.groups.MAX_MEMBERS", 1)
    assert rest.refused("POST", f"/v1/groups/{gid}/members", {"add": ["anna"]}) == (400, 899012)
    monkeypatch.undo()
    rest.done("POST", f"/v1/groups/{gid}/members", {"add": ["anna"]})
    rest.done("POST", f"/v1/groups/{gid}/members", {"remove": ["ming", "anna"]})
    assert rest.refused("GET", f"/v1/groups/{gid}") == (404, 899006)


def test_rooms(rest: Rest, ming: Page) -> None:
    """Made, listed, changed, entered for somebody, ended."""
    asked = {"owner_username": "ming", "name": "lobby", "members_username": ["omar"], "description": "for all"}
    room = rest.done("POST", "/v1/chatroom/", asked, 201)["chatroom_id"]
    shown = rest.done("POST", "/v1/chatroom/batch", [room], 200)[0]
    assert (shown["name"], shown["owner_username"], shown["total_member_count"]) == ("lobby", "ming", 1)
    assert rest.done("GET", "/v1/chatroom?start=0&count=5", None, 200)["rooms"] == [shown]
    assert rest.done("GET", "/v1/users/omar/chatroom", None, 200) == [shown]
    rest.done("PUT", f"/v1/chatroom/{room}", {"owner_username": "omar", "name": "hall"})
    rest.done("PUT", f"/v1/chatroom/{room}", {"description": "for some"})
    rest.done("PUT", f"/v1/chatroom/{room}/members", ["anna"])
    members = rest.done("GET", f"/v1/chatroom/{room}/members?start=0&count=5", None, 200)["users"]
    assert [(one["username"], one["flag"]) for one in members] == [("omar", 1), ("anna", 0)]
    rest.done("DELETE", f"/v1/chatroom/{room}/members", ["anna", "omar"])
    assert ming.do("room_info", id=room)["info"]["total_member_count"] == 0
    rest.done("DELETE", "/v1/users/omar")
    shown = rest.done("POST", "/v1/chatroom/batch", [str(room)], 200)[0]
    assert (shown["name"], shown["description"], shown["owner_username"]) == ("hall", "for some", "")
    rest.done("DELETE", f"/v1/chatroom/{room}")
    assert rest.refused("POST", "/v1/chatroom/batch", [room]) == (400, 899003)
    assert rest.refused("POST", "/v1/chatroom/batch", {}) == (400, 899003)
    assert rest.refused("POST", "/v1/chatroom/", asked | {"owner_username": "ming", "name": ""}) == (404, 899002)
    assert rest.refused("POST", "/v1/chatroom/", {"owner_username": "ming", "name": ""}) == (400, 899003)


def test_a_room_that_is_misnamed(sandbox: Sandbox, rest: Rest) -> None:
    """The rule is named, and a room of another app is none."""
    room = rest.done("POST", "/v1/chatroom", {"owner_username": "ming", "name": "lobby"}, 201)["chatroom_id"]
    assert rest.refused("PUT", f"/v1/chatroom/{room}", {"name": ""}) == (400, 899003)
    assert rest.refused("PUT", f"/v1/chatroom/{room}/forbidden/ming?status=2") == (400, 899003)
    sandbox.core.state.rooms[room].appkey = OTHER_APPKEY
    assert rest.refused("PUT", f"/v1/chatroom/{room}", {"name": "x"}) == (400, 899003)


def test_friends_and_lists(rest: Rest, ming: Page, omar: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set by a back end, and told to whom it concerns."""
    rest.done("POST", "/v1/users/ming/friends", ["omar"], 201)
    for page in (ming, omar):
        assert page.notified(7)
    assert rest.refused("POST", "/v1/users/ming/friends", ["omar"]) == (403, 899070)
    (friend,) = rest.done("GET", "/v1/users/ming/friends", None, 200)
    assert (friend["username"], friend["note_name"], friend["appkey"]) == ("omar", "", APPKEY)
    rest.done("PUT", "/v1/users/ming/friends", [{"username": "omar", "note_name": "Om", "others": "from work"}])
    (friend,) = ming.do("get_friend_list")["friend_list"]
    assert (friend["memo_name"], friend["memo_others"]) == ("Om", "from work")
    for part in ({"username": "anna"}, {"username": "omar", "note_name": "x" * 65}, {"username": 7}, 7):
        assert rest.refused("PUT", "/v1/users/ming/friends", [part]) == (400, 899003)
    assert rest.refused("PUT", "/v1/users/ming/friends", {}) == (400, 899003)
    rest.done("DELETE", "/v1/users/ming/friends", ["omar", "anna"])
    assert ming.do("get_friend_list") == {"friend_list": []}
    rest.done("PUT", "/v1/users/ming/blacklist", ["omar"])
    for _ in range(2):
        assert ming.notified(7)
    assert ming.notified(38)
    assert omar.refused("s_across_single_text", **message("hello", single="ming")[1]) == 880207
    assert [user["username"] for user in rest.done("GET", "/v1/users/ming/blacklist", None, 200)] == ["omar"]
    rest.done("DELETE", "/v1/users/ming/blacklist", ["omar"])
    gid = rest.done("POST", "/v1/groups", {"owner_username": "ming", "name": "weekend"}, 201)["gid"]
    asked = {"single": {"add": ["omar"]}, "group": {"add": [gid]}, "global": 1}
    rest.done("POST", "/v1/users/ming/nodisturb", asked)
    told = ming.do("no_disturb")["no_disturb"]
    assert (told["global"], len(told["users"]), len(told["groups"])) == (1, 1, 1)
    rest.done("POST", "/v1/users/ming/nodisturb", {"single": {"remove": ["omar"]}})
    rest.done("POST", "/v1/users/ming/groupsShield", {"add": [gid]})
    assert ming.do("list_shield_group")["groups"][0]["gid"] == gid
    rest.done("POST", "/v1/users/ming/groupsShield", {"remove": [gid]})
    assert [event["event_type"] for name, event in ming.all() if name == "event_notification"][-1] == 39
    assert rest.refused("POST", "/v1/users/ming/groupsShield", {"add": 7}) == (400, 899003)
    assert rest.refused("POST", "/v1/users/ming/nodisturb", {"single": 7}) == (400, 899003)
    monkeypatch.setattr("authsvc.sandbox.rest.lists.MAX_LISTED", 0)
    rest.done("PUT", "/v1/users/ming/blacklist", ["omar"])
    assert rest.done("GET", "/v1/users/ming/blacklist", None, 200) == []
