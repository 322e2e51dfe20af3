"""Tests of `problems`: each refusal has its row: name, status, code and retry."""

from collections.abc import Callable
from typing import NoReturn

import pytest
from flask import Flask, abort

from authsvc import errors
from authsvc.errors import Refusal
from authsvc.message import Message
from authsvc.web import problems
from authsvc.web.problems import Problem

# refusal, name, status, code, retry, whether it has the server's time
ROWS: list[tuple[type[Refusal], str, int, int, str, bool]] = [
    (errors.InvalidRequest, "invalid-request", 400, 880002, "never", False),
    (errors.InvalidRandomStr, "invalid-random-str", 400, 880003, "never", False),
    (errors.NotLoggedIn, "not-logged-in", 401, 882004, "never", False),
    (errors.NotLoggedInYet, "not-logged-in-yet", 401, 882004, "after", True),
    (errors.CrossSite, "cross-site", 403, 889005, "never", False),
    (errors.UnknownAppkey, "unknown-appkey", 404, 880101, "never", False),
    (errors.InvalidMediaId, "invalid-media-id", 400, 880003, "never", False),
    (errors.UnknownMedia, "unknown-media", 404, 880005, "never", False),
    (errors.AccountTaken, "account-taken", 409, 889006, "never", False),
    (errors.VendorRefused, "vendor-refused", 502, 889004, "never", False),
    (errors.VendorBusy, "vendor-busy", 503, 882005, "after", False),
    (errors.VendorSlow, "vendor-slow", 504, 882005, "after", False),
    (errors.Replayed, "replayed", 409, 889001, "now", False),
    (errors.BadSignature, "bad-signature", 422, 880102, "now", False),
    (errors.Expired, "expired", 422, 880106, "now", True),
    (errors.NotYetValid, "not-yet-valid", 422, 889002, "now", True),
    (errors.TooManyRequests, "too-many-requests", 429, 889003, "after", False),
    (errors.StoreUnavailable, "temporarily-unavailable", 503, 882005, "after", False),
    (errors.KeysUnavailable, "temporarily-unavailable", 503, 882005, "after", False),
    (errors.LoginUnavailable, "temporarily-unavailable", 503, 882005, "after", False),
]
# name, status, code, retry of what Flask refuses by itself, and of /readyz
OTHER_ROWS = [
    ("no-such-route", 404, 880002, "never"),
    ("method-not-allowed", 405, 880002, "never"),
    ("body-too-large", 413, 880002, "never"),
    ("internal-error", 500, 882001, "after"),
    ("not-ready", 503, 882005, "after"),
]
RAISED: dict[type[Refusal], Callable[[], Refusal]] = {
    errors.InvalidRequest: lambda: errors.InvalidRequest("appkey", "must be a string"),
    errors.UnknownAppkey: errors.UnknownAppkey,
    errors.InvalidMediaId: errors.InvalidMediaId,
    errors.UnknownMedia: errors.UnknownMedia,
    errors.VendorBusy: lambda: errors.VendorBusy("the vendor is unavailable"),
    errors.VendorSlow: errors.VendorSlow,
    errors.AccountTaken: errors.AccountTaken,
    errors.BadSignature: errors.BadSignature,
    errors.TooManyRequests: lambda: errors.TooManyRequests(limit=60, window_ms=60_000, retry_after_s=42),
    errors.StoreUnavailable: errors.StoreUnavailable,
    errors.KeysUnavailable: errors.KeysUnavailable,
    errors.LoginUnavailable: lambda: errors.LoginUnavailable("the app is unavailable"),
    errors.NotLoggedInYet: lambda: errors.NotLoggedInYet(Message("the token is not valid yet"), ahead_s=7.0),
}
NAMES = sorted({name for _, name, *_ in ROWS} | {name for name, *_ in OTHER_ROWS})


def leaves(root: type[Refusal]) -> set[type[Refusal]]:
    below = [child for child in root.__subclasses__() if child.__module__.startswith("authsvc")]
    return {leaf for child in below for leaf in leaves(child)} or {root}


def test_every_refusal_has_its_problem() -> None:
    """Each leaf of Refusal is in the table, and nothing else is: a root would hide a leaf that was forgotten."""
    assert problems.BY_REFUSAL.keys() == leaves(Refusal)
    assert [row[0] for row in ROWS] == list(problems.BY_REFUSAL)


@pytest.mark.parametrize(("refusal", "name", "status", "code", "retry", "timed"), ROWS, ids=lambda value: str(value))
def test_a_refusal_has_the_shape_of_the_design(
    refusal: type[Refusal], name: str, status: int, code: int, retry: str, *, timed: bool
) -> None:
    """Names, statuses, codes and what may be tried next are promises to clients."""
    problem = problems.BY_REFUSAL[refusal]
    assert (problem.name, problem.status, problem.code, problem.retry, problem.timed) == (
        name,
        status,
        code,
        retry,
        timed,
    )


def test_the_other_refusals_have_the_shape_of_the_design() -> None:
    """What Flask refuses by itself and what /readyz answers are in the same shape."""
    others = [*problems.BY_STATUS.values(), problems.NOT_READY]
    assert [(problem.name, problem.status, problem.code, problem.retry) for problem in others] == OTHER_ROWS
    assert [problem.status for problem in problems.BY_STATUS.values()] == list(problems.BY_STATUS)
    assert not any(problem.timed for problem in others)


def test_no_two_problems_share_a_name() -> None:
    """A name is an address: two problems under one would share a help page."""
    every = {*problems.BY_REFUSAL.values(), *problems.BY_STATUS.values(), problems.NOT_READY}
    assert sorted(problem.name for problem in every) == NAMES
    assert {problem.name: problem for problem in every} == problems.BY_NAME


@pytest.mark.parametrize("timed", [False, True])
def test_the_body_has_the_members_of_rfc_9457_and_ours(*, timed: bool) -> None:
    """`message` repeats `detail` for SDK-style handlers; only problems about time have the server's."""
    problem = Problem("some-name", 418, 889999, retry="now", timed=timed)
    assert problems.to_dict(problem, title="Title", detail="why", request_id="r1", now_ms=1795456800000) == {
        "type": "/problems/some-name",
        "title": "Title",
        "status": 418,
        "detail": "why",
        "request_id": "r1",
        "retry": "now",
        "code": 889999,
        "message": "why",
        **({"server_time_ms": 1795456800000} if timed else {}),
    }


@pytest.mark.parametrize("refusal", [row[0] for row in ROWS])
def test_retry_after_comes_with_retry_after(app: Flask, refusal: type[Refusal]) -> None:
    """Retry-After is present exactly where `retry` is "after"."""
    raised = RAISED.get(refusal, lambda: refusal("some reason"))()

    def refuse() -> NoReturn:
        raise raised

    app.add_url_rule("/refuse", view_func=refuse)
    answer = app.test_client().get("/refuse")
    assert answer.status_code == problems.BY_REFUSAL[refusal].status
    assert answer.get_json()["detail"] == raised.detail
    seconds = answer.headers.get("Retry-After", type=int)
    assert seconds == raised.retry_after_s
    assert (answer.get_json()["retry"] == "after") is (seconds is not None)


@pytest.mark.parametrize("status", sorted(problems.BY_STATUS))
def test_a_refusal_of_flask_comes_with_retry_after_too(app: Flask, status: int) -> None:
    """The same holds for statuses that Flask raises by itself."""
    problem = problems.BY_STATUS[status]

    def refuse() -> NoReturn:
        abort(status)

    app.add_url_rule("/refuse", view_func=refuse)
    answer = app.test_client().get("/refuse")
    assert (answer.status_code, answer.get_json()["type"]) == (status, f"/problems/{problem.name}")
    assert (problem.retry == "after") is ("Retry-After" in answer.headers)
