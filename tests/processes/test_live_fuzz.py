"""
Fuzzing over real sockets: the requests of `test_fuzz` to `authsvc serve`, by both servers.

What lies between a client and a handler is in it: the servers' own parsers, the vendor's HTTP, the store's file.
`FUZZ_CASES` makes the long form: an eighth of so many cases for each operation and service, and the boundary values
that schemathesis derives from the contract.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from schemathesis import Case

from tests.support import made_up
from tests.support.running import Service
from tests.support.vendor_stand_in import vendor_stand_in
from tests.web.test_fuzz import (
    CASES,
    IS_LONG,
    VERIFY,
    contract_schema,
    fuzz,
    is_of_an_emptied_header,
    made_good,
    vendor_at,
)

SCHEMA = contract_schema()
SCHEMA.config.checks.max_response_time.enabled = True
SCHEMA.config.checks.max_response_time.limit = 10
SCHEMA.config.phases.coverage.enabled = IS_LONG
few = settings(fuzz, max_examples=CASES // 8 if IS_LONG else 3)


@pytest.fixture(scope="module", params=["gunicorn", "granian"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with a vendor and a store of its own, without a limit that counts; nothing may make it complain."""
    service = Service(tmp_path_factory.mktemp("live"))
    with vendor_stand_in() as vendor:
        vendor.reply = vendor_at(time.time())
        service.variables |= {
            "AUTHSVC_RATE_LIMIT": "999999999/hour",
            "AUTHSVC_VENDOR_BUDGET": "999999999/hour",
            "AUTHSVC_VENDOR_URL": vendor.url,
            "AUTHSVC_ACCOUNT_KEY_FILE": str(service.secret_file("account-key", made_up.ACCOUNT_KEY)),
            "AUTHSVC_SESSION_KEY_FILE": str(service.secret_file("session-key", made_up.SESSION_KEY)),
            "AUTHSVC_SIGNATURE_ROUTE": "true",
        }
        service.start("--server", request.param, "--workers", "1")
        yield service
        assert service.stop() == 0
    assert "Traceback" not in service.log()
    assert not any(canary in service.log() for canary in made_up.CANARIES)


@pytest.fixture
def calling(live: Service, bearer: dict[str, str], verifier: dict[str, str]) -> dict[str, Any]:
    """How to call an operation, a verifier's and any other."""
    base_url = f"http://127.0.0.1:{live.port}"
    return {VERIFY: {"base_url": base_url, "headers": verifier}, "": {"base_url": base_url, "headers": bearer}}


def is_ordinary(name: str | bytes, value: str | bytes) -> bool:
    """Return whether every HTTP server takes this header: no underscore in its name, no control character."""
    told = [part.encode("latin-1") if isinstance(part, str) else part for part in (name, value)]
    return bool(re.fullmatch(rb"[A-Za-z0-9-]+", told[0])) and not re.search(rb"[\0-\x08\n-\x1f\x7f]", told[1])


def is_the_servers_own(answer: Any) -> bool:
    """Return whether the HTTP server has refused a request by itself, which it may if a header is odd; else fail."""
    assert not any(canary in answer.text for canary in made_up.CANARIES)
    if "x-request-id" in answer.headers:
        return False
    assert answer.status_code == 400, answer.text
    assert not all(map(is_ordinary, *zip(*answer.request.headers.items(), strict=True))), answer.request.headers
    return True


@SCHEMA.parametrize()
@few
def test_a_real_server_keeps_the_contract(case: Case[Any], calling: dict[str, Any]) -> None:
    """No 5xx; right requests are taken, wrong ones refused; the same request with a bad login or none is refused."""
    if case.operation.label == VERIFY and case.meta and case.meta.generation.mode.is_positive:
        case.body = made_good(case, time.time_ns() // 1_000_000)
    how = calling.get(case.operation.label, calling[""])
    answer = case.call(**how)
    if not is_the_servers_own(answer) and not is_of_an_emptied_header(answer):
        case.validate_response(answer, headers=how["headers"], transport_kwargs=how)
