"""The list of conversations, receipts and retraction."""

from collections.abc import Callable

from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import Page
from tests.support.made_up import APPKEY

Opener = Callable[..., Page]


def test_the_list(sandbox: Sandbox, ming: Page, omar: Page) -> None:
    """The one that was quiet for longest comes first; keys are digits, names are strings."""
    assert ming.do("get_conversations") == {"conversations": []}
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.says("hello", group=gid)
    omar.do("update_user_inf", nickname="Omar")
    sent = omar.says("hello", single="ming")
    ming.says("hello", single="anna")
    group, single, other = ming.do("get_conversations")["conversations"]
    assert (group["key"], group["type"], group["name"]) == (str(gid), 4, "weekend")
    assert (single["type"], single["nickname"], single["username"], single["appkey"]) == (3, "Omar", "omar", APPKEY)
    assert single["mtime"] == sent["ctime_ms"]
    assert (single["name"], other["name"]) == ("omar", "anna")  # jchat-web sends to this name
    ming.says("hello", single=single["name"])
    assert single["key"].isdecimal()
    ming.do("exit_group", gid=gid)
    sandbox.behave(delete={"username": "anna"})
    assert [one["type"] for one in ming.do("get_conversations")["conversations"]] == [3]


def test_read_on_another_device(ming: Page, page: Opener) -> None:
    """The other devices of the user learn of it, and nobody else."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    phone = page("ming", platform="i")
    ming.do("unread_single_count", username="omar", type=3)
    assert phone.notified(200)["description"] == {"type": 3, "appkey": APPKEY, "username": "omar"}
    ming.do("unread_group_count", gid=str(gid), type=4)
    assert phone.notified(200)["description"] == {"type": 4, "gid": gid}
    assert ming.refused("unread_single_count", username="nobody") == 880203
    assert "event_notification" not in dict(ming.all()) or ming.all() == []


def test_receipts(ming: Page, omar: Page, anna: Page, page: Opener) -> None:
    """Each reader counts once; the sender is told, and so are the reader's other devices."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    both = [{"username": "omar"}, {"username": "anna"}]
    ming.do("add_across_group_member", gid=gid, member_usernames=both)
    in_group = ming.says("all", group=gid, need_receipt=True)
    single = ming.says("you", single="omar", need_receipt=True)
    silent = ming.says("no receipt", single="omar")
    assert (in_group["unread_count"], single["unread_count"]) == (2, 1)
    phone = page("omar", platform="a")
    ids = [single["msg_id"], silent["msg_id"], 7]
    session = {"type": 3, "username": "ming", "msg_ids": [str(msg_id) for msg_id in ids]}
    assert omar.do("receipt_report", sessions=[session]) == {"appkey": APPKEY, "username": "ming"}
    told = ming.heard("receipt_change")
    assert told == {
        "type": 3,
        "appkey": APPKEY,
        "username": "omar",
        "receipt_msgs": [{"msg_id": single["msg_id"], "unread_count": 0}],
    }
    event = phone.notified(201)
    assert (event["msg_ids"], event["description"]) == (ids, {"type": 3, "appkey": APPKEY, "username": "ming"})
    for reader, unread in ((omar, 1), (anna, 0)):
        session = {"type": 4, "gid": str(gid), "msg_ids": [in_group["msg_id"]]}
        assert reader.do("receipt_report", sessions=[session]) == {"gid": gid}
        assert ming.heard("receipt_change") == {
            "type": 4,
            "gid": gid,
            "receipt_msgs": [{"msg_id": in_group["msg_id"], "unread_count": unread}],
        }
        reader.do("receipt_report", sessions=[session])
    assert phone.notified(201)["description"] == {"type": 4, "gid": gid}
    assert "receipt_change" not in dict(ming.all())
    lists = ming.do("msg_unread_list", msg_id=in_group["msg_id"])["msg_unread_list"]
    assert lists["unread_list"] == []
    assert {one["username"] for one in lists["read_list"]} == {"omar", "anna"}
    assert omar.refused("msg_unread_list", msg_id=in_group["msg_id"]) == 880008
    assert ming.refused("msg_unread_list", msg_id=7) == 880008


def test_receipts_that_are_none(ming: Page) -> None:
    """Lists of the wrong kind are refused, and conversations that there are none of."""
    assert ming.refused("receipt_report", sessions=7) == 880002
    assert ming.refused("receipt_report", sessions=[7]) == 880002
    assert ming.refused("receipt_report", sessions=[{"msg_ids": 7}]) == 880002
    assert ming.refused("receipt_report", sessions=[{"msg_ids": ["x"]}]) == 880002
    assert ming.refused("receipt_report", sessions=[{"msg_ids": [1] * 501}]) == 880002
    assert ming.refused("receipt_report", sessions=[{"type": 3, "msg_ids": [1]}]) == 880002
    assert ming.refused("receipt_report", sessions=[{"type": 3, "username": "nobody", "msg_ids": [1]}]) == 880203
    assert ming.refused("receipt_report", sessions=[{"type": 4, "gid": 7, "msg_ids": [1]}]) == 880204


def test_retraction(ming: Page, omar: Page, page: Opener) -> None:
    """The other side and one's other devices learn of it; each code of the vendor's has its case."""
    gid = ming.do("create_group", group_name="weekend")["gid"]
    ming.do("add_across_group_member", gid=gid, member_usernames=[{"username": "omar"}])
    phone = page("ming", platform="a")
    single, group = ming.says("one", single="omar"), ming.says("two", group=gid)
    for other in (omar, phone, ming):
        other.all()
    assert omar.refused("msg_retract", msg_id=single["msg_id"]) == 881402
    for sent, from_gid, to in ((single, 0, ["omar"]), (group, gid, [])):
        ming.do("msg_retract", msg_id=sent["msg_id"])
        for other in (omar, phone, ming):  # jchat-web takes its own message away once it hears of it
            told = other.notified(55)
            assert (told["msgid_list"], told["from_gid"]) == ([sent["msg_id"]], from_gid)
            assert told["msg_ids"] == [sent["msg_id"]]  # what jchat-web reads
            assert [user["username"] for user in told["to_usernames"]] == to
        assert ming.refused("msg_retract", msg_id=sent["msg_id"]) == 881404
    assert ming.refused("msg_retract", msg_id=7) == 881403


def test_retraction_has_three_minutes(sandbox: Sandbox, ming: Page) -> None:
    """To the millisecond, by the sandbox's clock."""
    sandbox.behave(clock={"frozen": True})
    sent = [ming.says(str(number), single="omar")["msg_id"] for number in range(2)]
    sandbox.behave(clock={"advance_ms": 180_000})
    ming.do("msg_retract", msg_id=sent[0])
    sandbox.behave(clock={"advance_ms": 1})
    assert ming.refused("msg_retract", msg_id=sent[1]) == 881401
