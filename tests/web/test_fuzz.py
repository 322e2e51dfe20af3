"""
Fuzzing in process: requests made from the contract, right and wrong ones, and every answer held to it.

`make fuzz` runs the long form from a random seed, `FUZZ_CASES` cases a test; without it the cases are few and
always the same.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case

from authsvc.app import create_app
from authsvc.payloads import payload
from authsvc.ratelimit.rate import Rate
from authsvc.secret import Secret
from authsvc.settings.model import Settings
from authsvc.stores.store import Store
from tests.support import contract, made_up
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, url_of, vendor_stand_in

if TYPE_CHECKING:
    from schemathesis.specs.openapi.schemas import OpenApiSchema

    from tests.conftest import Clock

VERIFY = "POST /v1/auth-payload/verify"
NOW_MS = 1795456800000  # when the payload in the contract's examples was issued
AGES_MS = (0, 15_000, 600_000, -30_000, -30_001)  # the second from before the store's memory
IS_LONG = "FUZZ_CASES" in os.environ
CASES = int(os.environ.get("FUZZ_CASES", "40"))
fuzz = settings(
    max_examples=CASES,
    derandomize=not IS_LONG,
    deadline=None,
    # One service for all cases of a test is meant: what one case leaves behind must not break the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Service:
    """The service under test, which exists only while a test runs; schemathesis wants it when tests are collected."""

    app: Flask

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self.app(environ, start_response)


def contract_schema() -> "OpenApiSchema":
    """Return the contract as schemathesis has it, with all its checks."""
    schema = schemathesis.openapi.from_path(contract.PATH)
    # A payload can be well formed and not good: its answer is 422, which schemathesis takes for a verdict on the form.
    schema.config.checks.positive_data_acceptance.expected_statuses = ["2xx", "302", "401", "404", "409", "422"]
    return schema


SCHEMA = contract_schema()
SCHEMA.app = Service()


@pytest.fixture
def clock(clock: "Clock") -> "Clock":
    """The app's clock, at the time of the contract's examples."""
    clock.now_ms = NOW_MS
    return clock


def vendor_at(now_s: float) -> Callable[[Asked], Reply]:
    """Return the reply of a vendor that knows media ids that are not of length 7, and registers every user."""

    def reply_to(asked: Asked) -> Reply:
        if asked.method == "POST":
            return Reply.json([{}], status=201)
        is_known = len(dict(asked.query)["mediaId"]) != 7
        return Reply.json({"url": url_of(asked, now_s=now_s)}) if is_known else Reply(404)

    return reply_to


@pytest.fixture(scope="module")
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor in the service's own time."""
    with vendor_stand_in() as stand_in:
        stand_in.reply = vendor_at(NOW_MS / 1000)
        yield stand_in


@pytest.fixture
def service(settings: Settings, store: Store, clock: "Clock", stand_in: VendorStandIn) -> Iterator[Flask]:
    """A service that nobody spends the rate limit of, with a vendor that knows most media and every user."""
    unlimited = Rate(1_000_000_000, 3_600_000)
    changes = {
        "rate_limit": unlimited,
        "vendor_budget": unlimited,
        "vendor_url": stand_in.url,
        "account_key": Secret(made_up.ACCOUNT_KEY),
    }
    app = create_app(settings.model_copy(update=changes), store=store, now_ms=clock)
    SCHEMA.app.app = app
    yield app
    app.extensions["authsvc"].stop()


@SCHEMA.parametrize()
@fuzz
def test_answers_match_the_contract(
    case: Case[Any], service: Flask, bearer: dict[str, str], verifier: dict[str, str]
) -> None:
    """No 5xx; right requests are taken, wrong ones refused; the same request with a bad login or none is refused."""
    if case.operation.label == VERIFY and case.meta and case.meta.generation.mode.is_positive:
        case.body = made_good(case, NOW_MS)
    answer = case.call_and_validate(headers=verifier if case.operation.label == VERIFY else bearer)
    assert not any(canary in answer.text for canary in made_up.CANARIES)


@SCHEMA.include(method="POST").parametrize()
@fuzz
def test_nobody_gets_in_with_a_made_up_login(case: Case[Any], service: Flask) -> None:
    """Tokens, cookies and gateway headers that are only well formed are answered 401, whatever the body."""
    answer = case.call_and_validate()
    assert answer.status_code == 401 or case.method != "POST" or is_of_an_emptied_header(answer)


def is_of_an_emptied_header(answer: Any) -> bool:
    """Return whether an empty Authorization or Cookie header is what was refused; it has to have been one, or odd."""
    if answer.status_code != 400 or "is empty, or contains non-ASCII bytes" not in answer.text:
        return False
    sent = [answer.request.headers.get(name) for name in ("Authorization", "Cookie")]
    texts = [value.decode("latin-1") if isinstance(value, bytes) else value for value in sent if value is not None]
    assert any(not value.strip() or value.strip()[0] in ",;" or not value.isascii() for value in texts), texts
    return True


@pytest.mark.parametrize("path", ["/v1/auth-payload", "/v1/auth-payload/verify"])
@given(
    data=st.binary() | st.text().map(str.encode), content_type=st.sampled_from(["application/json", "text/plain", ""])
)
@fuzz
def test_any_bytes_get_an_answer_of_the_contract(
    path: str, service: Flask, bearer: dict[str, str], verifier: dict[str, str], data: bytes, content_type: str
) -> None:
    """A body that is rarely JSON is refused as in the contract, or counts as none."""
    headers = verifier if path.endswith("verify") else bearer
    answer = service.test_client().post(path, data=data, headers=headers, content_type=content_type)
    contract.check_answer(answer, f"POST {path}")
    assert answer.status_code == 400 or (path == "/v1/auth-payload" and data.strip() in {b"", b"{}"})


@pytest.mark.parametrize("path", ["/v1/auth-payload", "/v1/auth-payload/verify", "/v1/resources"])
@given(
    members=st.dictionaries(
        st.sampled_from(["appkey", "random_str", "signature", "timestamp", "holder", "media_ids"]),
        st.sampled_from([made_up.APPKEY, "r" * 32, "0" * 32, str(NOW_MS), ["a"]])
        | st.text(st.characters(exclude_categories=()))
        | st.lists(st.text(st.characters(exclude_categories=())), max_size=2),
    )
)
@fuzz
def test_any_text_is_no_fault_of_ours(
    path: str, service: Flask, bearer: dict[str, str], verifier: dict[str, str], members: dict[str, object]
) -> None:
    """Members of JSON may hold any character, and what JSON can spell and is none: schemathesis leaves these out."""
    headers = verifier if path.endswith("verify") else bearer
    answer = service.test_client().post(path, json=members, headers=headers)
    contract.check_answer(answer, f"POST {path}")
    assert answer.status_code < 500


def made_good(case: Case[Any], now_ms: int) -> dict[str, Any]:
    """Turn most well-formed payloads into signed ones from around the limits of time, and leave some as they are."""
    body = cast("dict[str, Any]", case.body)
    if "X-Holder" in (case.headers or {}):
        body.pop("holder", None)  # one of both, which no schema can express
    choice = len(body["random_str"]) % (len(AGES_MS) + 1)
    if choice == len(AGES_MS):
        # JSON Schema takes 1.0 for an integer; the service does not take it for a timestamp.
        is_float = isinstance(body["timestamp"], float)
        return body | {"timestamp": int(body["timestamp"])} if is_float else body
    issued = payload.issue(
        appkey=made_up.APPKEY,
        master_secret=made_up.MASTER_SECRET,
        random_str=body["random_str"],
        now_ms=now_ms - AGES_MS[choice],
    )
    return body | issued.to_dict()
