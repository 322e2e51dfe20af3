"""What a back end does with users of another app, and with words that no page may send."""

import pytest

from tests.sandbox.chat.test_rest import Rest
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import Page, message
from tests.support.made_up import APPKEY, OTHER_APPKEY


@pytest.fixture
def rest(sandbox: Sandbox) -> Rest:
    """A back end; another app has the users kate and liam."""
    users = [{"username": name, "password": "a word", "appkey": OTHER_APPKEY} for name in ("kate", "liam")]
    sandbox.behave(seed={"users": users})
    return Rest(sandbox)


@pytest.mark.parametrize("slash", ["", "/"])
def test_members(rest: Rest, ming: Page, slash: str) -> None:
    """Of several apps in one call; the members are told, and each is listed with its app."""
    gid = rest.done("POST", "/v1/groups", {"owner_username": "ming", "name": "weekend"}, 201)["gid"]
    ming.notified(8)
    path = f"/v1/cross/groups/{gid}/members{slash}"
    rest.done("POST", path, [{"appkey": OTHER_APPKEY, "add": ["kate", "liam"]}, {"appkey": APPKEY, "add": ["omar"]}])
    told = ming.notified(10)["to_usernames"]
    assert [(one["username"], one["appkey"]) for one in told] == [("kate", OTHER_APPKEY), ("liam", OTHER_APPKEY)]
    rest.done("POST", path, [{"appkey": OTHER_APPKEY, "remove": ["liam"]}])
    members = rest.done("GET", path, None, 200)
    assert [(one["username"], one["appkey"], one["flag"]) for one in members] == [
        ("ming", APPKEY, 1),
        ("kate", OTHER_APPKEY, 0),
        ("omar", APPKEY, 0),
    ]
    (group,) = rest.done("GET", f"/v1/cross/users/omar/groups{slash}", None, 200)
    assert (group["gid"], group["appkey"], group["max_member_count"]) == (gid, APPKEY, 500)
    assert rest.refused("POST", path, [{"appkey": OTHER_APPKEY, "add": ["kate"]}]) == (403, 899011)
    assert rest.refused("POST", path, [{"appkey": OTHER_APPKEY, "remove": ["liam"]}]) == (403, 899014)
    assert rest.refused("POST", path, [{"appkey": OTHER_APPKEY, "add": ["anna"]}]) == (404, 899002)
    for body in ([{"add": ["anna"]}], [{"appkey": APPKEY}], {"appkey": APPKEY, "add": ["anna"]}, [7]):
        assert rest.refused("POST", path, body) == (400, 899003)


@pytest.mark.parametrize("slash", ["", "/"])
def test_lists(rest: Rest, ming: Page, slash: str) -> None:
    """Black list and no-disturb of one's own user, with users of the other app on them."""
    path = f"/v1/cross/users/ming/blacklist{slash}"
    rest.done("PUT", path, [{"appkey": OTHER_APPKEY, "usernames": ["kate"]}, {"appkey": APPKEY, "usernames": ["omar"]}])
    ming.notified(38)
    told = rest.done("GET", path, None, 200)
    assert {(one["username"], one["appkey"]) for one in told} == {("kate", OTHER_APPKEY), ("omar", APPKEY)}
    rest.done("DELETE", path, [{"appkey": OTHER_APPKEY, "usernames": ["kate"]}])
    assert [one["username"] for one in rest.done("GET", path, None, 200)] == ["omar"]
    assert rest.refused("PUT", path, [{"appkey": OTHER_APPKEY, "usernames": "kate"}]) == (400, 899003)
    path = f"/v1/cross/users/ming/nodisturb{slash}"
    rest.done("POST", path, [{"appkey": OTHER_APPKEY, "single": {"add": ["kate", "liam"]}}])
    rest.done("POST", path, [{"appkey": OTHER_APPKEY, "single": {"remove": ["liam"]}}])
    (silent,) = ming.do("no_disturb")["no_disturb"]["users"]
    assert (silent["username"], silent["appkey"]) == ("kate", OTHER_APPKEY)
    assert rest.refused("POST", path, [{"appkey": OTHER_APPKEY, "single": {"add": ["omar"]}}]) == (404, 899002)


@pytest.mark.parametrize("slash", ["", "/"])
def test_friends(rest: Rest, ming: Page, slash: str) -> None:
    """Made, noted and removed across apps."""
    path, both = f"/v1/cross/users/ming/friends{slash}", {"appkey": OTHER_APPKEY, "users": ["kate", "liam"]}
    rest.done("POST", path, both, 201)
    ming.notified(7)
    rest.done("PUT", path, [{"appkey": OTHER_APPKEY, "username": "kate", "note_name": "Kat"}])
    told = ming.do("get_friend_list")["friend_list"]
    assert [(one["username"], one["appkey"], one["memo_name"]) for one in told] == [
        ("kate", OTHER_APPKEY, "Kat"),
        ("liam", OTHER_APPKEY, ""),
    ]
    assert rest.refused("POST", path, both) == (403, 899070)
    assert rest.refused("POST", path, {"users": ["kate"]}) == (400, 899003)
    assert rest.refused("POST", path, [both]) == (400, 899003)
    rest.done("DELETE", path, both)
    assert ming.do("get_friend_list") == {"friend_list": []}


@pytest.mark.parametrize("slash", ["", "/"])
def test_sensitive_words(rest: Rest, ming: Page, omar: Page, slash: str) -> None:
    """A text with such a word is refused by the vendor's code for it, as long as they are on."""
    path = f"/v1/sensitiveword{slash}"
    rest.done("POST", path, ["darn", "赌博"])
    assert ming.refused("s_across_single_text", **message("oh darn it", single="omar")[1]) == 880208
    ming.says("well", single="omar")
    rest.done("PUT", path, {"old_word": "darn", "new_word": "heck"})
    ming.says("oh darn it", single="omar")
    assert ming.refused("s_across_single_text", **message("what the heck", single="omar")[1]) == 880208
    told = rest.done("GET", f"{path}?start=1&count=2000", None, 200)
    assert (told["total"], told["start"], told["count"]) == (2, 1, 1)
    assert (told["words"][0]["name"], len(told["words"][0]["itime"])) == ("heck", 19)
    rest.done("PUT", f"/v1/sensitiveword/status{slash}?status=0")
    assert rest.done("GET", f"/v1/sensitiveword/status{slash}", None, 200) == {"status": 0}
    ming.says("what the heck", single="omar")
    rest.done("DELETE", path, {"word": "heck"})
    rest.done("PUT", f"/v1/sensitiveword/status{slash}?status=1")
    ming.says("what the heck", single="omar")
    for method, body in (
        ("POST", []),
        ("POST", [""]),
        ("POST", ["x" * 11]),
        ("POST", [7]),
        ("POST", [f"{number}" for number in range(100)]),
        ("PUT", {"old_word": "nothing", "new_word": "more"}),
        ("PUT", {"old_word": "赌博", "new_word": ""}),
        ("DELETE", {"word": "nothing"}),
        ("DELETE", {}),
    ):
        assert rest.refused(method, path, body) == (400, 899003), body
    assert rest.refused("PUT", f"/v1/sensitiveword/status{slash}?status=2") == (400, 899003)
