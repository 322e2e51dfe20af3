"""Logging in and out, profiles, passwords and devices."""

from collections.abc import Callable

import pytest

from authsvc.sandbox.chat.users import md5_of
from authsvc.sandbox.gateway import BEFORE_LOGIN, CALLS
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import PASSWORD, Page
from tests.support.made_up import APPKEY, OTHER_APPKEY

Opener = Callable[..., Page]
NOBODY = 882004


def test_profile(ming: Page, omar: Page) -> None:
    """What is set is seen by others; what is left out stays."""
    ming.do("update_user_inf", nickname="小明", gender=1, extras={"k": "v"}, avatar="qiniu/image/r/1.png")
    ming.do("update_user_inf", region="深圳", nickname=None)
    told = omar.do("get_across_user_info", username="ming", appkey=APPKEY)["user_info"]
    assert (told["nickname"], told["gender"], told["region"], told["extras"]) == ("小明", 1, "深圳", {"k": "v"})
    assert told.keys() == {
        *("uid", "username", "appkey", "nickname", "avatar", "birthday", "gender", "signature", "region", "address"),
        *("mtime", "extras"),
    }
    assert omar.refused("get_across_user_info", username="nobody") == 882002
    assert omar.refused("get_across_user_info", username="ming", appkey=OTHER_APPKEY) == 882002
    assert ming.refused("update_user_inf", nickname="x" * 65) == 880003


def test_a_change_is_seen_in_the_next_message(ming: Page, omar: Page) -> None:
    """By `sui_mtime` the SDK notices that a profile is newer than the one that it has."""
    before = omar.do("get_across_user_info", username="ming")["user_info"]["mtime"]
    ming.sandbox.behave(clock={"advance_ms": 5_000})
    ming.do("update_user_inf", nickname="小明")
    ming.says("hello", single="omar")
    content = omar.heard("msg_sync")["messages"][0]["content"]
    assert content["sui_mtime"] >= before + 5
    assert content["from_name"] == "小明"


def test_password(ming: Page, page: Opener) -> None:
    """The other devices are logged out by event 2, this one stays; the old password opens nothing."""
    phone = page("ming", platform="a")
    assert ming.refused("update_user_pwd", old_pwd=md5_of("wrong"), new_pwd=md5_of("new word")) == 882002
    ming.do("update_user_pwd", old_pwd=md5_of(PASSWORD), new_pwd=md5_of("new word"), is_md5=True)
    phone.notified(2)
    assert phone.refused("get_conversations") == NOBODY
    ming.do("get_conversations")
    assert page("ming", platform="p").login["code"] == 880104


@pytest.mark.parametrize("platform", ["j", "x", "unheard of"])
def test_a_second_page_kicks_the_first(ming: Page, page: Opener, platform: str) -> None:
    """By event 1, for which the SDK logs out; the first page can do nothing more, and need not be closed."""
    second = page("ming", platform=platform)
    assert ming.notified(1)["extra"] == 0
    ming.do("event_notification", event_id=1, event_type=1, from_uid=0, gid=0)
    assert ming.refused("get_conversations") == NOBODY
    assert second.login["online_list"] == [
        {
            "platform": "web",
            "mtime": second.login["online_list"][0]["mtime"],
            "isOnline": True,
            "isLogin": True,
            "flag": True,
        }
    ]
    assert second.login["username"] == "ming"


def test_kinds_of_devices(ming: Page, page: Opener) -> None:
    """Web, mobile and PC are online at once; of the two mobile ones the later stays."""
    page("ming", platform="p")
    android = page("ming", platform="a")
    ios = page("ming", platform="i")
    assert android.notified(1)["extra"] == 0
    told = {one["platform"]: (one["isOnline"], one["flag"]) for one in ios.login["online_list"]}
    assert told == {"web": (True, False), "pc": (True, False), "android": (False, True), "ios": (True, False)}
    assert ming.all() == []


def test_one_device_or_any(sandbox: Sandbox, ming: Page, page: Opener) -> None:
    """An app without several devices has one in all; a test may have as many pages of a user as it likes."""
    sandbox.behave(devices="any")
    second = page("ming")
    assert ming.all() == []
    sandbox.behave(devices="one")
    page("ming", platform="a")
    assert ming.notified(1)
    assert second.notified(1)


def test_disabled(sandbox: Sandbox, ming: Page, page: Opener) -> None:
    """A disabled user is out, and does not come in."""
    assert sandbox.ask("PUT", "/v1/users/ming/forbidden?disable=true").status_code == 204
    assert ming.notified(1)["extra"] == 1
    assert page("ming").login["code"] == 880111
    assert sandbox.ask("PUT", "/v1/users/ming/forbidden?disable=false").status_code == 204
    assert page("ming").login["code"] == 0


def test_register(sandbox: Sandbox, ming: Page, page: Opener) -> None:
    """With the profile that the SDK sends along; while logged in, or switched off by the back end, it is refused."""
    account = {"username": "kate", "password": md5_of(PASSWORD)}
    assert ming.refused("register", **account) == 880006
    other = page("nobody")
    assert other.refused("register", **account, gender=7) == 880003
    assert other.refused("register", username="kate", password="") == 880003
    sandbox.ask("PUT", "/v1/sdkregister/status?status=0")
    assert other.refused("register", **account) == 880007
    sandbox.ask("PUT", "/v1/sdkregister/status?status=1")
    other.do("register", **account, nickname="Kate", media_id="qiniu/image/r/1.png", birthday=None)
    told = ming.do("get_across_user_info", username="kate")["user_info"]
    assert (told["nickname"], told["avatar"]) == ("Kate", "qiniu/image/r/1.png")


def test_who_is_logged_out_can_do_nothing(sandbox: Sandbox, page: Opener) -> None:
    """Every event but those of logging in is refused."""
    nobody = page("nobody")
    assert nobody.login["code"] == 880103
    for event in CALLS.keys() - set(BEFORE_LOGIN):
        assert nobody.refused(event) == NOBODY
