"""The sandbox's own API: what a test plants, pushes, breaks and asks."""

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import openapi_spec_validator
import pytest
import yaml

from authsvc.sandbox import behaviour, control, seeds
from authsvc.sandbox.control import CONTRACT
from tests.sandbox.conftest import Sandbox
from tests.sandbox.pages import PASSWORD, Page

Opener = Callable[..., Page]
SEED = {
    "users": [
        {"username": "kate", "password": PASSWORD, "nickname": "Kate"},
        {"username": "boss", "password": PASSWORD, "is_admin": True},
    ],
    "friends": [["kate", "ming"]],
    "groups": [
        {"owner": "kate", "name": "weekend", "desc": "talk", "members": ["ming", "omar"]},
        {"owner": "kate", "name": "open", "is_public": True},
    ],
    "rooms": [{"name": "lobby"}],
    "messages": [
        {"from": "kate", "to": "ming", "text": "long ago", "ago_ms": 86_400_000},
        {"from": "kate", "group": "weekend", "text": "to all"},
        {"from": "ming", "to": "kate", "content": {"msg_type": "custom", "msg_body": {"any": "thing"}}},
    ],
}


def events(sandbox: Sandbox, **query: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.ask("GET", "/sandbox/events", params=query).json()["events"]
    return found


def test_seed(sandbox: Sandbox, page: Opener) -> None:
    """Users, friends, groups, rooms and what was said before, as if pages had done it."""
    told = sandbox.behave(seed=SEED)
    assert (told["users"], told["groups"], told["rooms"], told["messages"]) == (6, 2, 1, 3)
    ming = page("ming", flag=1)
    assert ming.do("get_friend_list")["friend_list"][0]["nickname"] == "Kate"
    assert [group["name"] for group in ming.do("get_groups_list")["group_list"]] == ["weekend"]
    ming.do("sync_check", sync_key=0, sync_type=1)
    group, single = ming.heard("sync_conversation")["messages"]
    assert [one["content"]["msg_type"] for one in single["msgs"]] == ["text", "custom"]
    assert single["msgs"][1]["ctime_ms"] - single["msgs"][0]["ctime_ms"] >= 86_400_000
    assert group["msgs"][0]["content"]["msg_body"] == {"text": "to all"}
    assert ming.all() == []
    assert sandbox.ask("GET", "/v1/admins").json()["users"][0]["username"] == "boss"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"seed": 7}, "seed: must be an object"),
        ({"seed": {"user": []}}, "seed.user: is unknown; known are friends, groups, messages, rooms, users"),
        ({"seed": {"users": 7}}, "seed.users: must be a list of at most 20000"),
        ({"seed": {"users": [{"username": "kate"}]}}, "password: must be a string"),
        ({"seed": {"users": [{"username": "ming", "password": "x"}]}}, "seed.users: there is a user ming"),
        ({"seed": {"users": [{"username": "k", "password": "x"}]}}, "username: must be 4 to 128"),
        ({"seed": {"friends": [["ming"]]}}, "seed.friends: each must be a pair of usernames"),
        ({"seed": {"friends": [["ming", "kate"]]}}, "username: there is no user kate"),
        ({"seed": {"groups": [{"owner": "ming", "name": "x" * 65}]}}, "length of group name exceed limit"),
        ({"seed": {"rooms": [{"name": ""}]}}, "name: must be 1 to 128 bytes"),
        ({"seed": {"rooms": [{"name": "x", "description": "x" * 251}]}}, "description: must be at most 250 bytes"),
        (
            {"seed": {"messages": [{"from": "ming", "group": "x", "text": "x"}]}},
            "seed.messages.group: must be the name",
        ),
        ({"seed": {"messages": [{"from": "ming", "to": "omar"}]}}, "msg_body.text: must be a string"),
        ({"seed": {"messages": [{"from": "ming", "to": "omar", "text": "x", "ago_ms": -1}]}}, "seed.messages.ago_ms:"),
        ({"ids": 7}, "ids: 1000000004 is given already; reset first"),
        ({"ids": True}, "ids: must be a whole number, 1 or more"),
        ({"clock": {"now_ms": "x"}}, "clock.now_ms: must be a whole number"),
        ({"clock": {"frozen": 1}}, "clock.frozen: must be true or false"),
        ({"clock": {"speed": 1}}, "clock.speed: is unknown; known are advance_ms, frozen, now_ms"),
        ({"refuse": {"login": "x"}}, "refuse.login: must be a whole number, 1 or more"),
        ({"refuse": {"login": [1] * 101}}, "refuse: at most 100 codes"),
        ({"push": [{"to": "ming", "event": 7, "data": {}}]}, "push.event: must be a string"),
        (
            {"push": [{"to": "ming", "event": "event_notification", "data": {}}]},
            "push.data.event_type: must be a whole",
        ),
        ({"kick": {"username": "kate"}}, "username: there is no user kate"),
        ({"set_password": {"username": "ming", "password": "x"}}, "password: must be 4 to 128 bytes"),
        ({"reset": 1}, "reset: must be true or false"),
    ],
)
def test_nonsense(sandbox: Sandbox, asked: dict[str, object], reason: str) -> None:
    """The refusal names the member and the rule."""
    answer = sandbox.ask("POST", "/sandbox", json=asked)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]


def test_rooms_are_bounded(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """As all else is."""
    monkeypatch.setattr("authsvc.sandbox.rest.rooms.MAX_ROOMS", 1)
    answer = sandbox.ask("POST", "/sandbox", json={"seed": {"rooms": [{"name": "one"}, {"name": "two"}]}})
    assert answer.json()["error"]["message"] == "name: the sandbox keeps 1 chatrooms"


def test_numbers_are_the_same_in_every_run(sandbox: Sandbox, page: Opener) -> None:
    """Of users, groups, messages, events and files."""
    seen = []
    for _ in range(2):
        sandbox.behave(
            reset=True,
            ids=5_000,
            seed=SEED
            | {
                "friends": [],
                "messages": [],
                "groups": [],
                "users": [{"username": name, "password": PASSWORD} for name in ("ming", "omar")],
            },
        )
        ming = page("ming")
        gid = ming.do("create_group", group_name="weekend")["gid"]
        media_id = sandbox.ask("POST", "/v1/resource?type=file", files={"f": ("a", b"x")}).json()["media_id"]
        seen.append((gid, ming.says("hello", single="omar"), ming.notified(8)["event_id"], media_id))
    assert seen[0][0] == seen[1][0] > 5_000
    assert seen[0][1]["msg_id"] == seen[1][1]["msg_id"]
    assert seen[0][2:] == seen[1][2:]


def test_reset(sandbox: Sandbox, ming: Page) -> None:
    """Nothing is left, nobody is connected, nothing misbehaves."""
    sandbox.behave(rest="slow", gateway="full", refuse={"login": 880111}, clock={"frozen": True, "now_ms": 5})
    assert sandbox.told()["now_ms"] == 5
    told = sandbox.behave(reset=True, delay_s=1)
    assert (told["rest"], told["gateway"], told["delay_s"], told["is_frozen"]) == ("ok", "ok", 1, False)
    assert (told["connections"], told["online"], told["users"]) == (0, [], 0)
    assert told["now_ms"] > 1_700_000_000_000
    assert ming.hear() is None
    assert events(sandbox) == []
    assert sandbox.behave(reset=False)["users"] == 0


def test_clock(sandbox: Sandbox, ming: Page) -> None:
    """It stands, moves and goes on from where it is."""
    sandbox.behave(clock={"frozen": True, "now_ms": 1_750_000_000_000})
    assert ming.says("one", single="omar")["ctime_ms"] == 1_750_000_000_000
    sandbox.behave(clock={"advance_ms": 60_000})
    assert ming.says("two", single="omar")["ctime_ms"] == 1_750_000_060_000
    sandbox.behave(clock={"frozen": False})
    assert 0 <= ming.says("three", single="omar")["ctime_ms"] - 1_750_000_060_000 < 60_000


def test_refuse(sandbox: Sandbox, ming: Page, page: Opener) -> None:
    """The next event of a name is refused by the code that a test wants, several in a row, and then no more."""
    sandbox.behave(refuse={"get_conversations": 882005, "c_init": [880106], "get_groups_list": [882001, 880001]})
    assert ming.refused("get_conversations") == 882005
    ming.do("get_conversations")
    assert [ming.refused("get_groups_list") for _ in range(2)] == [882001, 880001]
    words = {
        880109: "repetitive operation",
        880209: "beyond the frequency limit",
        880402: "not permitted to create group",
        880606: "member not permitted added to group",
        880609: "amount of group exceed member limit",
        882003: "invalid parameter",
    }
    sandbox.behave(
        refuse={"create_group": list(words)}
    )  # in the vendor's words also where the sandbox never refuses so
    for code, text in words.items():
        assert ming.request("create_group", group_name="x") == {"code": code, "message": text}
    ming.do("get_groups_list")
    with pytest.raises(AssertionError, match="880106"):
        page("omar")
    page("omar")


def test_refusals_are_bounded(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that invents names does not fill the memory."""
    monkeypatch.setattr(control, "MAX_REFUSALS", 1)
    sandbox.behave(refuse={"one": 1, "two": 1})
    assert sandbox.ask("POST", "/sandbox", json={"refuse": {"three": 1}}).status_code == 400


def test_push(sandbox: Sandbox, ming: Page, omar: Page) -> None:
    """Any event, to one user; a notification has all members that a page may look at, and waits for who is away."""
    sandbox.behave(push=[{"to": "ming", "event": "receipt_change", "data": {"type": 3}}])
    assert ming.heard("receipt_change") == {"type": 3}
    notice = {"event_type": 40, "description": "changed", "from_username": "omar"}
    sandbox.behave(push=[{"to": name, "event": "event_notification", "data": notice} for name in ("ming", "anna")])
    event = ming.notified(40)
    assert (event["description"], event["from_username"], event["to_usernames"]) == ("changed", "omar", [])
    assert omar.all() == []
    assert sandbox.core.find(event["from_appkey"], "anna") is None
    assert [user.events for user in sandbox.core.state.users.values() if user.username == "anna"] != [[]]


@pytest.mark.parametrize("closes", [False, True])
def test_kick(sandbox: Sandbox, ming: Page, omar: Page, closes: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """By the event, with and without the end of the connection; others stay."""
    sandbox.behave(kick={"username": "ming", "extra": 1, "close": closes})
    assert ming.notified(1)["extra"] == 1
    if closes:
        assert ming.hear() is None
    else:
        assert ming.refused("get_conversations") == 882004
    assert sandbox.told()["online"] == ["omar"]
    omar.do("get_conversations")


def test_password_and_deletion(sandbox: Sandbox, ming: Page, omar: Page, page: Opener) -> None:
    """What a back end could do to an account, without its masterSecret."""
    sandbox.behave(set_password={"username": "ming", "password": "another word"})
    ming.notified(2)
    assert page("ming").login["code"] == 880104
    sandbox.behave(delete={"username": "omar"})
    assert omar.notified(1)["extra"] == 2
    assert page("omar").login["code"] == 880103


def test_record(sandbox: Sandbox, ming: Page, omar: Page) -> None:
    """What each connection has sent, with its answer's code; passwords and signatures are not in it."""
    ming.says("hello", single="omar")
    ming.refused("get_group_info", gid=7)
    everything = events(sandbox)
    assert [one["event"] for one in everything] == ["c_init", "login"] * 2 + ["s_across_single_text", "get_group_info"]
    assert everything[0]["data"]["signature"] == "***"
    assert everything[1]["data"] == {"username": "ming", "password": "***", "is_md5": True}
    assert (everything[1]["username"], everything[0]["username"]) == ("ming", None)
    assert everything[-1]["data"] == {"gid": 7}
    assert everything[-1]["code"] == 880204
    sent = events(sandbox, username="ming", event="s_across_single_text")
    assert [one["data"]["content"]["msg_body"]["text"] for one in sent] == ["hello"]
    assert events(sandbox, since=everything[-1]["number"]) == []
    assert len(events(sandbox, connection=everything[0]["connection"])) == 4
    ming.refused("get_resource", media_id="x" * 20_000)
    assert events(sandbox, event="get_resource")[0]["data"] == {}


@pytest.mark.parametrize("query", [{"since": "x"}, {"since": "-1"}, {"since": "9" * 20}, {"user": "ming"}])
def test_queries_that_are_none(sandbox: Sandbox, query: dict[str, str]) -> None:
    """A query that would be passed over is a mistake."""
    assert sandbox.ask("GET", "/sandbox/events", params=query).status_code == 400


def test_the_contract_is_served(sandbox: Sandbox) -> None:
    """As it is in the repository."""
    answer = sandbox.ask("GET", "/sandbox/openapi.yaml")
    assert answer.text == CONTRACT.read_text()


def test_the_contract_has_what_there_is(sandbox: Sandbox) -> None:
    """Its routes, the members of a change and of a seed, the modes, and the answers; its examples can be done."""
    contract = yaml.safe_load(CONTRACT.read_text())
    openapi_spec_validator.validate(contract)
    routes = {
        (route.method, route.resource.canonical)
        for route in sandbox.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/sandbox")
    }
    described = {(method.upper(), path) for path, methods in contract["paths"].items() for method in methods}
    assert {route for route in routes if route[0] != "HEAD"} == described
    schemas = contract["components"]["schemas"]
    known = sandbox.ask("POST", "/sandbox", json={"x": 1}).json()["error"]["message"].partition("known are ")[2]
    assert set(schemas["Change"]["properties"]) == set(known.split(", "))
    assert set(schemas["Seed"]["properties"]) == set(seeds.PARTS)
    assert set(schemas["Told"]["properties"]) == set(schemas["Told"]["required"]) == sandbox.told().keys()
    for name, words in (("Rest", behaviour.REST), ("Gateway", behaviour.GATEWAY), ("Devices", behaviour.DEVICES)):
        assert schemas[name]["enum"] == list(words)
    examples = contract["paths"]["/sandbox"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    change = validator(contract, "Change")
    for name in ("two users who know each other", *examples):
        change.validate(examples[name]["value"])
        sandbox.behave(**examples[name]["value"])


def test_the_record_is_as_the_contract_has_it(sandbox: Sandbox, ming: Page) -> None:
    """Each event of it."""
    event = validator(yaml.safe_load(CONTRACT.read_text()), "Event")
    found = events(sandbox)
    assert len(found) == 2
    for one in found:
        event.validate(one)


def validator(contract: dict[str, Any], name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": contract["components"]}
    )
