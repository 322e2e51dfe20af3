"""Groups, their members, and what owner and keepers may do."""

from collections.abc import Callable

import pytest

from authsvc.sandbox.chat import groups
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import Page, message
from tests.support.made_up import APPKEY

Opener = Callable[..., Page]


def named(*names: str) -> list[dict[str, str]]:
    return [{"username": name} for name in names]


@pytest.fixture
def gid(ming: Page, omar: Page) -> int:
    """A group of ming's with omar in it, of which both know."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=named("omar"))
    ming.all()
    omar.all()
    return int(gid)


def test_create(ming: Page) -> None:
    """The answer has the vendor's slip in a name; the creator is its owner and hears of it."""
    told = ming.do("create_group", group_name="weekend", group_description="talk", media_id="qiniu/image/r/1.png")
    assert told == {"gid": told["gid"], "group_name": "weekend", "group_descriptin": "talk"}
    event = ming.notified(8)
    assert (event["gid"], event["group_name"], event["media_id"]) == (told["gid"], "weekend", "qiniu/image/r/1.png")
    (listed,) = ming.do("get_groups_list")["group_list"]
    assert listed.keys() == {"gid", "name", "desc", "appkey", "ctime", "mtime", "avatar", "flag"}
    assert ming.do("get_group_info", gid=str(told["gid"])) == {"group_info": listed}
    (member,) = ming.do("get_group_members", gid=told["gid"])["member_list"]
    assert (member["username"], member["flag"], member["keep_silence"]) == ("ming", 1, False)
    assert ming.refused("create_group", group_name="x" * 65) == 880404
    assert ming.do("create_group", group_name="")["group_name"] == ""  # jchat-web names it by its members
    assert ming.refused("create_group", group_name="小" * 22) == 880404
    assert ming.refused("create_group", group_name="x", group_description="x" * 251) == 880405
    assert ming.refused("get_group_info", gid=7) == 880204


def test_groups_are_bounded(ming: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of groups, and of members."""
    monkeypatch.setattr(groups, "MAX_GROUPS", 1)
    monkeypatch.setattr(groups, "MAX_MEMBERS", 2)
    gid = ming.do("create_group", group_name="weekend")["gid"]
    assert ming.refused("create_group", group_name="another") == 880403
    assert ming.refused("add_across_group_member", gid=gid, member_usernames=named("omar", "anna")) == 880608


def test_members(ming: Page, omar: Page, anna: Page, gid: int) -> None:
    """All hear of who comes and goes, those included; any member of a private group may bring others."""
    omar.do("add_across_group_member", gid=gid, member_usernames=[*named("anna"), *named("anna")])
    for page in (ming, omar, anna):
        event = page.notified(10)
        assert [user["username"] for user in event["to_usernames"]] == ["anna"]
        assert (event["from_username"], event["from_appkey"]) == ("omar", APPKEY)
    anna.do("update_user_inf", nickname="Anna")
    assert {one["username"]: one["nickname"] for one in anna.do("get_group_members", gid=gid)["member_list"]} == {
        "ming": "",
        "omar": "",
        "anna": "Anna",
    }
    assert omar.refused("del_across_group_member", gid=gid, member_usernames=named("anna")) == 880704
    ming.do("del_across_group_member", gid=gid, member_usernames=named("anna"))
    for page in (ming, omar, anna):
        assert page.notified(11)["from_username"] == "ming"
    assert anna.refused("get_group_members", gid=gid) == 880205
    assert ming.refused("del_across_group_member", gid=gid, member_usernames=named("anna")) == 880205
    assert ming.refused("del_across_group_member", gid=gid, member_usernames=named("ming")) == 880705
    assert ming.refused("add_across_group_member", gid=gid, member_usernames=named("omar")) == 880607
    assert ming.refused("add_across_group_member", gid=gid, member_usernames=named("nobody")) == 880203
    assert ming.refused("add_across_group_member", gid=gid, member_usernames=[]) == 880602
    assert ming.refused("add_across_group_member", gid=gid, member_usernames=["anna"]) == 880002


def test_change(ming: Page, omar: Page, gid: int) -> None:
    """All members hear of a new name."""
    omar.do("update_group_info", gid=gid, group_name="holidays", group_description="long")
    for page in (ming, omar):
        assert page.notified(12)["group_name"] == "holidays"
    told = ming.do("get_group_info", gid=gid)["group_info"]
    assert (told["name"], told["desc"]) == ("holidays", "long")
    for nothing in ({}, {"group_name": "", "group_description": ""}):
        assert ming.refused("update_group_info", gid=gid, **nothing) == 880002
    assert omar.all() == []


def test_leave(ming: Page, omar: Page, gid: int) -> None:
    """When the owner leaves, another member is it; when the last one leaves, the group is gone."""
    assert ming.do("exit_group", gid=gid) == {"gid": gid, "group_name": "weekend"}
    for page in (ming, omar):
        event = page.notified(9)
        assert (event["extra"], event["new_owner"]["username"]) == (0, "omar")
    omar.do("exit_group", gid=gid)
    assert omar.refused("get_group_info", gid=gid) == 880204


def test_dissolve(ming: Page, omar: Page, gid: int) -> None:
    """By its owner alone; from nobody, as the guide has it."""
    assert omar.refused("dissolve_group", gid=gid) == 881701
    ming.do("dissolve_group", gid=gid)
    for page in (ming, omar):
        event = page.notified(9)
        assert (event["extra"], event["from_username"], event["gid"]) == (69, "", gid)
        assert [user["username"] for user in event["to_usernames"]] == ["ming", "omar"]
    assert ming.do("get_groups_list") == {"group_list": []}


def test_silence(ming: Page, omar: Page, gid: int) -> None:
    """Who is silenced cannot speak; all hear of it, and of its end."""
    for is_silenced, extra in ((True, 1), (False, 2)):
        ming.do("group_mem_silence", gid=gid, target_username="omar", keep_silence=is_silenced)
        for page in (ming, omar):
            event = page.notified(65)
            assert (event["extra"], event["to_usernames"][0]["username"]) == (extra, "omar")
        if is_silenced:
            assert omar.refused("send_group_msg", **message("hello", group=gid)[1]) == 880212
            assert ming.do("get_group_members", gid=gid)["member_list"][1]["keep_silence"] is True
    omar.says("hello", group=gid)
    assert omar.refused("group_mem_silence", gid=gid, target_username="ming", keep_silence=True) == 881701
    assert ming.refused("group_mem_silence", gid=gid, target_username="ming", keep_silence=True) == 881701
    assert ming.refused("group_mem_silence", gid=gid, target_username="anna", keep_silence=True) == 880205


def test_keepers(ming: Page, omar: Page, anna: Page, gid: int) -> None:
    """The owner names them; they may silence and remove members, but not each other."""
    ming.do("add_across_group_member", gid=gid, member_usernames=named("anna"))
    ming.do("add_group_keeper", gid=gid, member_usernames=named("omar", "anna", "ming"))
    assert omar.notified(10)
    assert omar.notified(80)["extra"] == 1
    assert [one["flag"] for one in omar.do("get_group_members", gid=gid)["member_list"]] == [1, 2, 2]
    assert omar.refused("del_across_group_member", gid=gid, member_usernames=named("anna")) == 880705
    assert omar.refused("del_group_keeper", gid=gid, member_usernames=named("anna")) == 881701
    ming.do("del_group_keeper", gid=gid, member_usernames=named("anna"))
    assert omar.notified(80)["extra"] == 2
    omar.do("del_across_group_member", gid=gid, member_usernames=named("anna"))
    assert ming.refused("add_group_keeper", gid=gid, member_usernames=named("anna")) == 880205


def test_hand_over(ming: Page, omar: Page, gid: int) -> None:
    """The new owner may do what the old one may no more."""
    assert omar.refused("change_group_admin", gid=gid, target_username="omar") == 881701
    assert ming.refused("change_group_admin", gid=gid, target_username="anna") == 880205
    ming.do("change_group_admin", gid=gid, target_username="omar")
    for page in (ming, omar):
        event = page.notified(82)
        assert (event["from_username"], event["to_usernames"][0]["username"]) == ("ming", "omar")
    omar.do("dissolve_group", gid=gid)


@pytest.fixture
def public(ming: Page, omar: Page, anna: Page) -> int:
    """A public group of ming's with omar in it."""
    gid = ming.do("create_group", group_name="everybody", is_limit=True)["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=named("omar"))
    ming.do("create_group", group_name="private")
    for page in (ming, omar, anna):
        page.all()
    return int(gid)


def test_public_groups(ming: Page, public: int) -> None:
    """They are listed, by page."""
    told = ming.do("public_group_list", start=0)["result"]
    assert [(group["gid"], group["flag"]) for group in told["groups"]] == [(public, 2)]
    assert (told["total"], told["start"]) == (1, 0)
    assert ming.do("public_group_list", start=1)["result"]["groups"] == []
    assert ming.do("public_group_list", start=0, appkey="another")["result"]["total"] == 0


def test_joining(ming: Page, omar: Page, anna: Page, public: int) -> None:
    """Owner and keepers are asked, and decide once."""
    anna.do("apply_join_group", gid=public, reason="I am Anna")
    event = ming.notified(56)
    assert (event["extra"], event["description"], event["from_username"]) == (59, "I am Anna", "anna")
    assert omar.all() == []
    answer = {"gid": public, "event_id": event["event_id"], "from_username": "anna", "target_username": "anna"}
    assert omar.refused("admin_add_group_member", **answer, result=0) == 880614
    for name in ("event_id", "from_username", "target_username"):
        lacking = {member: value for member, value in answer.items() if member != name}
        assert ming.refused("admin_add_group_member", **lacking, result=0) == 880002
    assert ming.refused("admin_add_group_member", **answer) == 880002  # and the request is still there
    assert ming.refused("admin_add_group_member", **{**answer, "target_username": "nobody"}, result=0) == 880203
    ming.do("admin_add_group_member", **answer, result=0)
    assert anna.notified(10)["to_usernames"][0]["username"] == "anna"
    assert ming.refused("admin_add_group_member", **answer, result=0) == 880612
    assert anna.refused("apply_join_group", gid=public) == 880610
    private = ming.do("get_groups_list")["group_list"][1]["gid"]
    assert anna.refused("apply_join_group", gid=private) == 880604


def test_not_joining(ming: Page, omar: Page, anna: Page, public: int) -> None:
    """Whom an ordinary member brings into a public group has to be let in too; a refusal is told to both sides."""
    omar.do("add_across_group_member", gid=public, member_usernames=named("anna", "jose"))
    event = ming.notified(56)
    assert (event["extra"], [user["username"] for user in event["to_usernames"]]) == (10, ["anna", "jose"])
    answer = {"gid": public, "event_id": str(event["event_id"]), "result": 1, "reason": "too many"}
    ming.do("admin_add_group_member", **answer, from_username="omar", target_username="anna")
    refused = omar.notified(57)
    assert (refused["description"], refused["from_username"]) == ("too many", "ming")
    assert ming.notified(58)["from_eventid"] == event["event_id"]
    assert anna.all() == []


def test_requests_are_bounded(ming: Page, anna: Page, public: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest one is forgotten."""
    monkeypatch.setattr(groups, "KEPT_REQUESTS", 1)
    for _ in range(2):
        anna.do("apply_join_group", gid=public)
    first, second = ming.notified(56)["event_id"], ming.notified(56)["event_id"]
    answer = {"gid": public, "from_username": "anna", "target_username": "anna", "result": 0}
    assert ming.refused("admin_add_group_member", **answer, event_id=first) == 880612
    ming.do("admin_add_group_member", **answer, event_id=second)


def test_a_member_who_is_deleted(sandbox: Sandbox, ming: Page, omar: Page, gid: int) -> None:
    """The group goes on without him."""
    sandbox.behave(delete={"username": "ming"})
    assert ming.notified(1)["extra"] == 2
    event = omar.notified(11)
    assert (event["from_username"], event["new_owner"]["username"]) == ("", "omar")
