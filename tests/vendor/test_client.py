"""The vendor's REST API: what is sent, and what each of its answers and failures becomes."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from authsvc.errors import Refusal, UnknownMedia, VendorBusy, VendorRefused, VendorSlow
from authsvc.outbound.circuit_breaker import FAILURES, CircuitBreaker
from authsvc.ratelimit.rate import Rate
from authsvc.stores import open_store
from authsvc.vendor import client
from authsvc.vendor.budget import Budget
from authsvc.vendor.client import BACKOFF_S, MAX_BYTES, TOTAL_S, TRY_S, Credentials, Vendor
from tests.support.made_up import APPKEY, MASTER_SECRET
from tests.support.running import free_port, wait_until
from tests.support.vendor_stand_in import UNKNOWN, Asked, Reply, VendorStandIn, vendor_stand_in

OURS = Credentials(APPKEY, MASTER_SECRET)
NOW_MS = 1_750_000_000_000


class Clock:
    """The clock of the budget."""

    now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def stand_in() -> Iterator[VendorStandIn]:
    """A vendor on loopback."""
    with vendor_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def clock() -> Clock:
    """A clock that a test can move."""
    return Clock()


@pytest.fixture
def budget(tmp_path: Path, clock: Clock) -> Iterator[Budget]:
    """A hundred calls a minute."""
    store = open_store(f"sqlite://{tmp_path}/store.db", now_ms=clock)
    yield Budget(Rate.parse("100/minute"), store)
    store.close()


@pytest.fixture
def vendor(stand_in: VendorStandIn, budget: Budget, clock: Clock) -> Iterator[Vendor]:
    """A client of it."""
    vendor = Vendor(stand_in.url, budget=budget, breaker=CircuitBreaker(), now_ms=clock)
    yield vendor
    vendor.close()


def test_the_media_id_and_the_credentials_arrive_as_they_are(vendor: Vendor, stand_in: VendorStandIn) -> None:
    """One GET with the encoded mediaId and HTTP Basic of the app; the URL comes back unmodified."""
    url = "http://dl.im.jiguang.cn/a/b.png?e=1517798242&token=yQ:B3/+~|="
    stand_in.reply = lambda _: Reply.json({"url": url})
    assert vendor.resource_url(OURS, "qiniu/image/j/a-b_c.png") == url
    assert stand_in.asked == [
        Asked(
            "GET",
            "/v1/resource",
            (("mediaId", "qiniu/image/j/a-b_c.png"),),
            f"{APPKEY}:{MASTER_SECRET}",
            None,
        )
    ]


@pytest.mark.parametrize(
    "reply",
    [
        Reply.json({"error": {"code": 899003, "message": "parameter invalid"}}, status=400),
        Reply.json({"code": 899003, "message": "parameter invalid"}, status=400),
        Reply(status=404),
        Reply.json({"error": {"code": 899016, "message": "?"}}, status=404),
    ],
)
def test_media_that_the_vendor_does_not_know(vendor: Vendor, stand_in: VendorStandIn, reply: Reply) -> None:
    """Its 404, and its parameter error in both shapes, mean that there is no such media."""
    stand_in.reply = lambda _: reply
    with pytest.raises(UnknownMedia):
        vendor.resource_url(OURS, "a/b")


@pytest.mark.parametrize(
    "reply",
    [
        Reply.json({"error": {"code": 899008, "message": "Basic authentication failed"}}, status=401),
        Reply(status=401),
        Reply(status=403),
        Reply.json({"error": {"code": 899009, "message": "Appkey not exit"}}, status=400),
    ],
)
def test_refused_credentials_are_our_trouble_and_not_the_users(
    vendor: Vendor, stand_in: VendorStandIn, reply: Reply
) -> None:
    """The vendor's 401 becomes VendorRefused at once, in every form, and the secret is not shown."""
    stand_in.reply = lambda _: reply
    with pytest.raises(VendorRefused, match="credentials") as refused:
        vendor.resource_url(OURS, "a/b")
    assert len(stand_in.asked) == 1
    assert MASTER_SECRET not in str(refused.value) + repr(refused.value) + repr(OURS)
    assert not vendor.is_unavailable()


@pytest.mark.parametrize(
    "reply",
    [
        Reply.json({}),
        Reply.json({"url": 7}),
        Reply.json(["url"]),
        Reply.json([]),
        Reply.json([{"error": 7}]),
        Reply.json({"error": {"code": "899030"}}),
        Reply(body=b"<html>welcome</html>"),
        Reply(body=b""),
        Reply(body=b"["),
        Reply(body=b"[" * 60_000),
        Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        Reply(status=204),
        Reply(status=400),
        Reply(body=b'{"url": "' + b"x" * MAX_BYTES + b'"}'),
        Reply(body=b"x" * 10_000_000),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(vendor: Vendor, stand_in: VendorStandIn, reply: Reply) -> None:
    """Wrong types, HTML, nothing, a redirect, ten megabytes: none is followed, kept or tried again."""
    stand_in.reply = lambda _: reply
    with pytest.raises(VendorRefused):
        vendor.resource_url(OURS, "a/b")
    assert len(stand_in.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=503, body=b"<html>"),
        Reply.json({"error": {"code": 899030, "message": "Server response time out"}}, status=400),
        Reply(body=b'{"url":"x"}', cut=True),
    ],
)
def test_the_vendors_own_trouble_is_tried_once_more(vendor: Vendor, stand_in: VendorStandIn, reply: Reply) -> None:
    """A failing vendor is asked twice and no more; if the second answer is good, nobody notices."""
    answers = [reply, reply, reply, Reply.json({"url": "http://dl.im.jiguang.cn/x"})]
    stand_in.reply = lambda _: answers.pop(0)
    with pytest.raises(VendorBusy):
        vendor.resource_url(OURS, "a/b")
    assert len(stand_in.asked) == 2
    assert vendor.resource_url(OURS, "a/b") == "http://dl.im.jiguang.cn/x"


@pytest.mark.parametrize(
    ("reply", "retry_after_s"),
    [
        (Reply.json({"error": {"code": 2002}}, status=429, X_Rate_Limit_Limit="600", X_Rate_Limit_Reset="7"), 7),
        (Reply.json({"error": {"code": 2002}}, status=429, X_Rate_Limit_Quota="600", X_Rate_Limit_Reset="7"), 7),
        (Reply(status=429), 60),
        (Reply.json({"error": {"code": 2002}}, status=400, X_Rate_Limit_Reset="soon"), 60),
    ],
)
def test_a_spent_limit_is_waited_out(
    vendor: Vendor, stand_in: VendorStandIn, clock: Clock, reply: Reply, retry_after_s: int
) -> None:
    """A 429 is not tried again; until the vendor's reset nothing more is asked for that app."""
    answers = [reply, Reply.json({"url": "http://dl.im.jiguang.cn/x"})]
    stand_in.reply = lambda _: answers.pop(0)
    for _ in range(2):
        with pytest.raises(VendorBusy) as busy:
            vendor.resource_url(OURS, "a/b")
        assert busy.value.retry_after_s == retry_after_s
    assert len(stand_in.asked) == 1
    clock.now_ms += 1000 * retry_after_s
    assert vendor.resource_url(OURS, "a/b") == "http://dl.im.jiguang.cn/x"
    assert not vendor.is_unavailable()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {"url": "http://dl.im.jiguang.cn/x"}), (401, {"error": {"code": 1004}}), (404, {"error": {"code": 899002}})],
)
def test_the_last_call_of_a_window_is_the_last(
    vendor: Vendor, stand_in: VendorStandIn, status: int, body: Mapping[str, object]
) -> None:
    """Whatever the answer with nothing remaining is, the next call waits for the reset, unasked."""
    stand_in.reply = lambda _: Reply.json(body, status=status, X_Rate_Limit_Remaining="0", X_Rate_Limit_Reset="9")
    with suppress(VendorRefused, UnknownMedia):
        vendor.resource_url(OURS, "a/b")
    with pytest.raises(VendorBusy, match="rate limit is exhausted; try again in 9 s"):
        vendor.resource_url(OURS, "a/b")
    assert len(stand_in.asked) == 1


def test_a_vendor_that_never_answers_is_given_up(
    vendor: Vendor, stand_in: VendorStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen, it is asked once more after the time of a try."""
    monkeypatch.setattr(client, "TRY_S", 0.5)
    stand_in.freeze()
    with pytest.raises(VendorSlow):
        vendor.resource_url(OURS, "a/b")
    wait_until(lambda: len(stand_in.asked) == 2)


def test_a_vendor_that_never_answers_costs_a_bounded_time(vendor: Vendor, stand_in: VendorStandIn) -> None:
    """Frozen, it is given up at the end of the total time-out, which leaves none for another try."""
    vendor.total_s = 0.5
    stand_in.freeze()
    with pytest.raises(VendorSlow):
        vendor.resource_url(OURS, "a/b")
    assert len(stand_in.asked) <= 1


def test_an_answer_that_trickles_in_costs_a_bounded_time(vendor: Vendor, stand_in: VendorStandIn) -> None:
    """Each byte comes in time, the whole does not."""
    vendor.total_s = 0.5
    stand_in.reply = lambda _: Reply(body=b"x" * 10_000, piece_s=0.2)
    with pytest.raises(VendorSlow):
        vendor.resource_url(OURS, "a/b")


def test_all_tries_fit_into_the_total_time() -> None:
    """As shipped, a second try has a second at least."""
    assert TRY_S + BACKOFF_S < TOTAL_S - 0.5


def test_a_vendor_that_is_not_there(budget: Budget, clock: Clock) -> None:
    """After repeated failures the breaker opens, and rejects at once, without a call."""
    vendor = Vendor(f"http://127.0.0.1:{free_port()}", budget=budget, breaker=CircuitBreaker(), now_ms=clock)
    for _ in range(FAILURES):
        with pytest.raises(VendorBusy):
            vendor.register(OURS, "ming", "made-up-password")
    assert vendor.is_unavailable()
    with pytest.raises(VendorBusy, match="the vendor is unavailable"):
        vendor.resource_url(OURS, "a/b")
    vendor.close()


@pytest.mark.parametrize(
    ("reply", "is_new"),
    [
        (Reply.json([{"username": "ming"}], status=201), True),
        (Reply.json([{"username": "ming", "error": {"code": 899001, "message": "User exist"}}], status=201), False),
        (Reply.json({"error": {"code": 899001, "message": "User exist"}}, status=403), False),
    ],
)
def test_a_user_is_registered_or_there_already(
    vendor: Vendor, stand_in: VendorStandIn, reply: Reply, *, is_new: bool
) -> None:
    """One user in the list that the API takes; 899001 in either place means that the name exists."""
    stand_in.reply = lambda _: reply
    assert vendor.register(OURS, "ming", "made-up-password") is is_new
    (asked,) = stand_in.asked
    assert (asked.method, asked.path) == ("POST", "/v1/users/")
    assert asked.body == [{"username": "ming", "password": "made-up-password"}]


@pytest.mark.parametrize("reply", [Reply.json([{"error": {"code": 899003}}], status=201), Reply(status=200)])
def test_a_user_who_cannot_be_registered(vendor: Vendor, stand_in: VendorStandIn, reply: Reply) -> None:
    """Any other answer is refused, and never tried again: registering is no idempotent call."""
    stand_in.reply = lambda _: reply
    with pytest.raises(VendorRefused, match="did not register"):
        vendor.register(OURS, "ming", "made-up-password")


def test_registering_is_not_tried_again(vendor: Vendor, stand_in: VendorStandIn) -> None:
    """A POST that failed may have been done."""
    stand_in.reply = lambda _: Reply(status=500)
    with pytest.raises(VendorBusy):
        vendor.register(OURS, "ming", "made-up-password")
    assert len(stand_in.asked) == 1


def test_a_password_is_set(vendor: Vendor, stand_in: VendorStandIn) -> None:
    """PUT with the encoded username and the new password alone; 204 is the only good answer."""
    stand_in.reply = lambda _: Reply(status=204)
    vendor.set_password(OURS, "a@b", "made-up-password")
    (asked,) = stand_in.asked
    assert (asked.method, asked.path) == ("PUT", "/v1/users/a%40b/password")
    assert asked.body == {"new_password": "made-up-password"}
    stand_in.reply = lambda _: Reply.json({"error": {"code": 899002, "message": "No such user"}}, status=400)
    with pytest.raises(VendorRefused, match="code 899002"):
        vendor.set_password(OURS, "a@b", "made-up-password")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply.json({"status": 1}), True),
        (Reply.json({"status": 0}), False),
        (Reply.json({"status": "1"}), None),
        (Reply.json({"status": 2}), None),
        (Reply.json([1]), None),
        (Reply.json({"status": 1}, status=404), None),
        (Reply(status=204), None),
    ],
)
def test_whether_the_sdk_registers(
    vendor: Vendor, stand_in: VendorStandIn, reply: Reply, *, expected: bool | None
) -> None:
    """The vendor's switch, if the answer has it."""
    stand_in.reply = lambda _: reply
    assert vendor.is_sdk_registering(OURS) is expected
    assert [asked.path for asked in stand_in.asked] == ["/v1/sdkregister/status"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (replace(UNKNOWN, headers={"Date": "Sun, 15 Jun 2025 15:06:40 GMT"}), NOW_MS + 500),
        (replace(UNKNOWN, headers={"Date": "yesterday"}), None),
        (Reply.json({"url": "http://dl.im.jiguang.cn/x"}), None),
        (Reply.json({"code": 899003, "message": "parameter invalid"}, status=404), None),
    ],
)
def test_the_vendors_clock(vendor: Vendor, stand_in: VendorStandIn, reply: Reply, expected: int | None) -> None:
    """By its Date header, whatever it answers to the media_id."""
    stand_in.reply = lambda _: reply
    assert vendor.clock_ms(OURS) == expected


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401),
        Reply.json({"error": {"code": 1004, "message": "basic authentication failed"}}, status=401),
        Reply.json({"error": {"code": 899016, "message": "No authority"}}, status=403),
        Reply.json({"error": {"code": 899008, "message": "Basic authentication failed"}}),
    ],
)
def test_credentials_are_proven_by_a_call(vendor: Vendor, stand_in: VendorStandIn, reply: Reply) -> None:
    """The probe that asks for the clock is refused as any call is, and by any code of a 401 or 403."""
    stand_in.reply = lambda _: reply
    with pytest.raises(VendorRefused, match="refuses this service's credentials"):
        vendor.clock_ms(OURS)


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 405])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome to the hotel</html>",
        b"{}",
        b'{"url": 7}',
        b'{"status": 404, "error": "Not Found", "path": "/v1/resource"}',
        b'{"error": {"code": 404}}',
        b'{"code": "404", "message": "not found"}',
    ],
)
def test_what_is_not_the_vendor_proves_nothing(
    vendor: Vendor, stand_in: VendorStandIn, status: int, body: bytes
) -> None:
    """A captive portal, a proxy or another JSON service is no vendor that accepts credentials, whatever its status."""
    stand_in.reply = lambda _: Reply(status, b"" if status == 204 else body, {"Content-Type": "text/html"})
    with pytest.raises(
        VendorRefused, match=rf"the answer is not from the vendor's API \(status {status}, 'text/html'\)"
    ):
        vendor.clock_ms(OURS)


def test_unavailability_is_logged_once(
    vendor: Vendor, stand_in: VendorStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """With its first cause when it is unavailable, and when it is available again; single failures are not logged."""
    stand_in.reply = lambda _: Reply(status=503)
    with pytest.raises(VendorBusy):
        vendor.resource_url(OURS, "a")
    assert logged(caplog) == []
    for _ in range(FAILURES):
        with pytest.raises(VendorBusy):
            vendor.resource_url(OURS, "a")
    (line,) = logged(caplog)
    assert line == (
        "the vendor is unavailable: the vendor reports an error of its own (status 503, code None);"
        " see AUTHSVC_VENDOR_URL"
    )
    stand_in.reply = lambda _: UNKNOWN
    breaker = vendor._breaker
    breaker._probe_at_s = 0.0  # its pause is over
    with pytest.raises(UnknownMedia):
        vendor.resource_url(OURS, "a")
    assert logged(caplog) == [line, "the vendor is available again"]


def test_refused_credentials_are_logged_once(
    vendor: Vendor, stand_in: VendorStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """For each app: when they are refused first, and when they are accepted again."""
    for _ in range(2):
        for reply, refusal in ((Reply(status=401), VendorRefused), (UNKNOWN, UnknownMedia)):
            stand_in.reply = lambda _, reply=reply: reply  # type: ignore[misc] # a default binds it
            for _ in range(2):
                with pytest.raises(refusal):
                    vendor.resource_url(OURS, "a")
    refused = (
        f"the vendor refuses this service's credentials for appkey {APPKEY} (status 401, code None);"
        " compare the masterSecret with the vendor's console"
    )
    assert logged(caplog) == [refused, f"the vendor accepts the credentials for appkey {APPKEY} again"] * 2


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("authsvc.")]


def test_every_failure_is_a_refusal(vendor: Vendor, stand_in: VendorStandIn) -> None:
    """A server that speaks no HTTP, or too many headers, is no exception of urllib3's to anybody."""
    for headers in ({"X-Long": "x" * 70_000}, {f"X-{n}": "x" for n in range(200)}):
        stand_in.reply = lambda _, headers=headers: Reply(headers=headers)  # type: ignore[misc] # a default binds it
        with pytest.raises(Refusal):
            vendor.register(OURS, "ming", "made-up-password")


def test_calls_are_reported(stand_in: VendorStandIn, budget: Budget, clock: Clock) -> None:
    """Each request sent, with how it ended and how long it took; and the vendor's clock is seen by the way."""
    calls: list[tuple[str, str, float]] = []
    vendor = Vendor(
        stand_in.url, budget=budget, breaker=CircuitBreaker(), now_ms=clock, on_call=lambda *call: calls.append(call)
    )
    assert vendor.offset_ms is None
    stand_in.reply = lambda _: Reply(status=404, headers={"Date": "Sun, 15 Jun 2025 15:06:30 GMT"})
    with pytest.raises(UnknownMedia):
        vendor.resource_url(OURS, "a")
    assert vendor.offset_ms == 9_500
    stand_in.reply = lambda _: Reply(status=503)
    with pytest.raises(VendorBusy):
        vendor.resource_url(OURS, "a")
    assert [call[:2] for call in calls] == [("GET", "404"), ("GET", "VendorBusy"), ("GET", "VendorBusy")]
    assert all(took_s > 0 for _, _, took_s in calls)
    vendor.close()
