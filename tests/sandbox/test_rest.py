"""The REST side: by plain HTTP, by our own client of the vendor, and by the vendor's."""

import io
from typing import Any

import pytest
import requests

from authsvc.errors import UnknownMedia, VendorBusy, VendorRefused, VendorSlow
from authsvc.outbound.circuit_breaker import CircuitBreaker
from authsvc.ratelimit.rate import Rate
from authsvc.sandbox.chat.users import md5_of
from authsvc.sandbox.files import MAX_BYTES, PICTURE_ID, picture
from authsvc.sandbox.rest.calls import QUOTA
from authsvc.stores.store import Store
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import Credentials, Vendor
from tests.conftest import Clock
from tests.sandbox.conftest import Line, Sandbox
from tests.support import made_up
from tests.support.running import PATIENCE_S

OURS = Credentials(made_up.APPKEY, made_up.MASTER_SECRET)


@pytest.fixture
def vendor(sandbox: Sandbox, store: Store, clock: Clock) -> Vendor:
    """The service's own client, pointed at the sandbox."""
    return Vendor(
        sandbox.url,
        budget=Budget(Rate.parse("1000/minute"), store),
        breaker=CircuitBreaker(),
        now_ms=clock,
        total_s=PATIENCE_S,
    )


def problem(answer: requests.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["error"]["code"]


def upload(sandbox: Sandbox, content: bytes, *, kind: str = "image", name: str = "a.png", **kwargs: Any) -> Any:
    return sandbox.ask("POST", f"/v1/resource?type={kind}", files={"filename": (name, io.BytesIO(content))}, **kwargs)


def test_our_client_and_the_sandbox(sandbox: Sandbox, vendor: Vendor) -> None:
    """Every call that the service makes of the vendor works here as there."""
    assert vendor.register(OURS, "ming", "password")
    assert not vendor.register(OURS, "ming", "password")
    vendor.set_password(OURS, "ming", "another password")
    with pytest.raises(VendorRefused, match="899002"):
        vendor.set_password(OURS, "nobody", "another password")
    assert sandbox.ask("GET", vendor.resource_url(OURS, PICTURE_ID).removeprefix(sandbox.url)).content == picture()
    with pytest.raises(UnknownMedia):
        vendor.resource_url(OURS, "qiniu/none")
    with pytest.raises(VendorRefused, match="credentials"):
        vendor.clock_ms(Credentials(made_up.APPKEY, "another"))
    vendor.close()


@pytest.mark.parametrize(
    ("mode", "refusal"),
    [
        ("slow", VendorSlow),
        ("wrong", VendorRefused),
        ("full", VendorBusy),
        ("refuse", VendorRefused),
        ("failing", VendorBusy),
        ("gone", VendorBusy),
    ],
)
def test_misbehaving(sandbox: Sandbox, vendor: Vendor, mode: str, refusal: type[Exception]) -> None:
    """Each way to misbehave is what the service takes it for."""
    sandbox.behave(rest=mode, delay_s=3600)
    if mode == "slow":
        vendor.total_s = 0.2
    with pytest.raises(refusal):
        vendor.resource_url(OURS, PICTURE_ID)
    sandbox.behave(rest="ok")
    vendor.close()


def test_one_request_alone(sandbox: Sandbox) -> None:
    """The header misbehaves for its own request, and nonsense in it is named."""
    path = f"/v1/resource?mediaId={PICTURE_ID}"
    assert problem(sandbox.ask("GET", path, headers={"X-Sandbox": "failing"})) == (500, 899000)
    assert sandbox.ask("GET", path).status_code == 200
    told = sandbox.ask("GET", path, headers={"X-Sandbox": "deaf"}).json()["error"]["message"]
    assert told.startswith("X-Sandbox: must be one of ok, slow")


@pytest.mark.parametrize(
    "auth",
    [None, (made_up.APPKEY, "another"), ("another", made_up.MASTER_SECRET), ("", ""), (made_up.APPKEY, "")],
)
def test_credentials(sandbox: Sandbox, auth: tuple[str, str] | None) -> None:
    """Only an app's own masterSecret opens."""
    answer = requests.get(f"{sandbox.url}/v1/resource?mediaId={PICTURE_ID}", auth=auth, timeout=PATIENCE_S)
    assert problem(answer) == (401, 899008)


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic /w==", "Bearer eDp5"])
def test_no_credentials_at_all(sandbox: Sandbox, header: str) -> None:
    """What is no Basic is nobody."""
    answer = requests.get(f"{sandbox.url}/v1/resource", headers={"Authorization": header}, timeout=PATIENCE_S)
    assert problem(answer) == (401, 899008)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_slash_at_the_end(sandbox: Sandbox, slash: str) -> None:
    """The vendor's own clients do not agree on it, so both forms are the same route."""
    asked = [{"username": "ming", "password": "word"}]
    assert sandbox.ask("POST", f"/v1/users{slash}", json=asked).status_code == 201
    new = {"new_password": "another word"}
    assert sandbox.ask("PUT", f"/v1/users/ming/password{slash}", json=new).status_code == 204
    assert sandbox.ask("GET", f"/v1/resource{slash}", params={"mediaId": PICTURE_ID}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("GET", "/v1/nothing/"),
        ("DELETE", "/v1/resource"),
        ("POST", "/v2/nothing/more"),
        ("PUT", "/v1"),
        ("PATCH", "/v1/users/"),
    ],
)
def test_a_call_that_is_not_served(sandbox: Sandbox, method: str, path: str) -> None:
    """It is refused by its name, in the vendor's shape; without credentials it is 401 as every call."""
    answer = sandbox.ask(method, path)
    assert problem(answer) == (501, 899000)
    assert answer.json()["error"]["message"] == f"the sandbox does not serve {method} {path}"
    assert answer.headers["X-Rate-Limit-Quota"] == str(QUOTA)
    assert problem(sandbox.ask(method, path, auth=None)) == (401, 899008)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/nothing"), ("PUT", "/resource"), ("DELETE", "/"), ("GET", "/")]
)
def test_a_path_that_is_no_call(sandbox: Sandbox, method: str, path: str) -> None:
    """Outside the API too an error has the vendor's shape."""
    answer = sandbox.ask(method, path)
    assert problem(answer) == (404, 899003)
    assert answer.json()["error"]["message"] == f"parameter invalid: there is no {method} {path}"


def test_the_rate_limit(sandbox: Sandbox, clock: Clock) -> None:
    """The 600th call of a minute is the last; the headers count down, and the next minute is a new one."""
    clock.now_ms -= clock.now_ms % 60_000
    with requests.Session() as session:
        session.auth = (made_up.APPKEY, made_up.MASTER_SECRET)
        url = f"{sandbox.url}/v1/resource?mediaId={PICTURE_ID}"
        first = session.get(url, timeout=PATIENCE_S)
        assert (first.headers["X-Rate-Limit-Quota"], first.headers["X-Rate-Limit-Remaining"]) == ("600", "599")
        assert first.headers["X-Rate-Limit-Reset"] == "60"
        answers = [session.get(url, timeout=PATIENCE_S) for _ in range(QUOTA - 1)]
        assert {answer.status_code for answer in answers} == {200}
        clock.now_ms += 59_999
        over = session.get(url, timeout=PATIENCE_S)
        assert problem(over) == (429, 2002)
        assert (over.headers["X-Rate-Limit-Remaining"], over.headers["X-Rate-Limit-Reset"]) == ("0", "1")
        clock.now_ms += 1
        assert session.get(url, timeout=PATIENCE_S).headers["X-Rate-Limit-Remaining"] == "599"


def test_registering_several(sandbox: Sandbox) -> None:
    """Each of them has its own result; all failed is a failure."""
    asked: list[object] = [
        {"username": "ming", "password": "word"},
        {"username": "ming", "password": "word"},
        {"username": "m", "password": "word"},
        {"username": "omar", "password": "wor"},
        {"username": 7, "password": "word"},
        "ana",
    ]
    answer = sandbox.ask("POST", "/v1/users/", json=asked)
    assert answer.status_code == 201
    codes = [one.get("error", {}).get("code") for one in answer.json()]
    assert codes == [None, 899001, 899003, 899003, 899003, 899003]
    assert sandbox.ask("POST", "/v1/users/", json=asked[:1]).status_code == 403


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"\xff", b"[" + b"{}," * 500 + b"{}]", b"[" * 100_000])
def test_registering_nonsense(sandbox: Sandbox, body: bytes) -> None:
    """A list of 1 to 500, or nothing."""
    assert problem(sandbox.ask("POST", "/v1/users/", data=body)) == (400, 899003)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"new_password": 7}', b'{"new_password": "abc"}'])
def test_a_new_password_that_is_none(sandbox: Sandbox, body: bytes) -> None:
    """4 to 128 bytes, or the old one stays."""
    assert problem(sandbox.ask("PUT", "/v1/users/ming/password", data=body)) == (400, 899003)


def test_upload(sandbox: Sandbox) -> None:
    """What was uploaded is served at the URL of its media_id."""
    media_id = upload(sandbox, picture(8)).json()["media_id"]
    url = sandbox.ask("GET", "/v1/resource", params={"mediaId": media_id}).json()["url"]
    assert sandbox.ask("GET", url.removeprefix(sandbox.url)).content == picture(8)
    media_id = upload(sandbox, b"text", kind="file", name="a.txt").json()["media_id"]
    url = sandbox.ask("GET", "/v1/resource", params={"mediaId": media_id}).json()["url"]
    answer = sandbox.ask("GET", url.removeprefix(sandbox.url))
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("path", "kwargs"),
    [
        ("/v1/resource?type=image", {"files": {"filename": ("a.png", b"no picture")}}),
        ("/v1/resource?type=film", {"files": {"filename": ("a.png", b"")}}),
        ("/v1/resource?type=file", {"data": b"bare"}),
        ("/v1/resource?type=file", {"data": b"", "headers": {"Content-Type": "multipart/form-data"}}),
        ("/v1/resource?type=file", {"files": {"field": (None, "no file")}}),
        ("/v1/resource?type=file", {"files": {"filename": ("a.bin", b"x" * (MAX_BYTES + 1))}}),
    ],
)
def test_uploads_that_are_none(sandbox: Sandbox, path: str, kwargs: dict[str, Any]) -> None:
    """A kind that the vendor knows, a file, a picture if it says so, not more than 8 MB."""
    assert problem(sandbox.ask("POST", path, **kwargs)) == (400, 899003)


def test_the_largest_upload(sandbox: Sandbox) -> None:
    """8 MB to the byte."""
    assert upload(sandbox, b"x" * MAX_BYTES, kind="file").json()["fsize"] == MAX_BYTES


def test_urls_expire(sandbox: Sandbox, clock: Clock) -> None:
    """The URL lives as long as it was told to; a made-up one never does, and what nobody has is not found."""
    sandbox.behave(url_lives_s=60)
    path = sandbox.ask("GET", f"/v1/resource?mediaId={PICTURE_ID}").json()["url"].removeprefix(sandbox.url)
    assert sandbox.ask("GET", path).status_code == 200
    clock.now_ms += 60_000
    assert sandbox.ask("GET", path).status_code == 401
    assert sandbox.ask("GET", f"/{PICTURE_ID}").status_code == 401


def test_a_file_that_had_to_make_room(sandbox: Sandbox) -> None:
    """Its URL outlives it."""
    path = sandbox.ask("GET", f"/v1/resource?mediaId={PICTURE_ID}").json()["url"].removeprefix(sandbox.url)
    with requests.Session() as session:
        session.auth = (made_up.APPKEY, made_up.MASTER_SECRET)
        for _ in range(200):
            session.post(f"{sandbox.url}/v1/resource?type=file", files={"f": ("a", b"")}, timeout=PATIENCE_S)
    assert sandbox.ask("GET", path).status_code == 404


def test_upload_through_the_sdk(sandbox: Sandbox, line: Line, client: Any, bearer: dict[str, str]) -> None:
    """The SDK asks for a token and posts from a page of another origin."""
    line.ask("c_init", client.post("/v1/auth-payload", headers=bearer).get_json())
    account = {"username": "ming", "password": md5_of("word")}
    line.ask("register", account)
    line.ask("login", account)
    token = line.ask("get_upload_token", {})["uptoken"]
    headers = {"X-App-Key": made_up.APPKEY, "jm-channel": "w", "Origin": "http://app.example"}

    def post(content: bytes, *, user: str = "ming", given: str = token) -> requests.Response:
        return sandbox.ask(
            "POST", "/resource?type=image", headers=headers, auth=(user, given), files={"file": ("a.png", content)}
        )

    preflight = sandbox.ask("OPTIONS", "/resource", headers={"Origin": "http://app.example"})
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization, x-app-key, jm-channel"
    kept = post(picture(8))
    assert kept.json()["format"] == "png"
    assert kept.headers["Access-Control-Allow-Origin"] == "http://app.example"
    assert problem(post(b"x" * (MAX_BYTES + 1))) == (400, 898061)
    assert problem(post(picture(8), user="ana")) == (401, 898008)
    assert problem(post(picture(8), given="another")) == (401, 898008)
