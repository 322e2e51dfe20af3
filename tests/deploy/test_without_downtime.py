"""
Everything that an operator does and all that goes wrong, under load through nginx: no request fails but what a killed
worker was answering, and no payload is signed by a secret that was not in force.

`DUTIES_S` makes the long form: so many seconds, at 200 requests a second.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy import gateway as gateways
from tests.deploy.gateway import Gateway
from tests.deploy.load import Issued, Load
from tests.support import made_up
from tests.support.running import Service, wait_until
from tests.support.vendor_stand_in import Asked, Reply, VendorStandIn, url_of, vendor_stand_in

LASTS_S = int(os.environ.get("DUTIES_S", "30"))
PER_S = 200 if "DUTIES_S" in os.environ else 80
SECRETS = (made_up.MASTER_SECRET, made_up.OTHER_MASTER_SECRET, "made-up-secret-third-01", "made-up-secret-fourth-1")


@dataclass(frozen=True, slots=True)
class Swap:
    """A masterSecret, from before it was put in place until every worker has it, Unix milliseconds."""

    master_secret: str
    begun_ms: int
    seen_ms: int


class Operator:
    """Does to the two instances what operators do, and notes when."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self.secret = Path(site.instances[0].variables["AUTHSVC_MASTER_SECRET_FILE"])
        self.swaps = [Swap(SECRETS[0], 0, 0)]
        self.done: list[tuple[float, str]] = []
        self._kills: list[tuple[float, float]] = []  # from before to after each

    def _note(self, what: str) -> None:
        self.done.append((time.monotonic(), what))

    def kill_a_worker(self, service: Service) -> None:
        """End a worker at once, and wait for the next."""
        victim = min(service.workers())
        self._note(f"kill {victim}")
        begun_s = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        self._kills.append((begun_s, time.monotonic()))
        wait_until(lambda: victim not in service.workers(), what=service.log)
        service.wait_for_workers(2)

    def had_killed(self, one: Issued) -> bool:
        """
        Return whether a request was in a killed worker's hands: its answer had begun, and broke off at that time.

        All others are asked again by nginx, so that no client hears of them.
        """
        over_s = one.asked_s + one.took_s
        is_then = any(one.asked_s <= done_s and begun_s <= over_s for begun_s, done_s in self._kills)
        return is_then and one.failed.startswith("IncompleteReadError")

    def reload(self) -> None:
        self._note("HUP")
        for service in self._site.instances:
            service.signal(signal.SIGHUP)

    def restart(self, service: Service) -> None:
        """Stop it as systemd does and start it again. It says first that it drains, and still serves."""
        self._note("TERM")
        service.signal(signal.SIGTERM)
        wait_until(lambda: drains(service), what=service.log)
        assert service.process is not None
        assert service.process.wait(60) == 0, service.log()
        self._note("start")
        service.start("--workers", "2")
        service.wait_for_workers(2)
        self._note("started")

    def swap_by_rename(self) -> None:
        """Write the new secret beside the old one, and put it in its place."""
        new = self.secret.with_name("new")
        new.write_text(f"{SECRETS[len(self.swaps)]}\n")
        self._swap(lambda: new.rename(self.secret))

    def swap_by_symlink(self) -> None:
        """As Kubernetes does: the file is a link through a folder that is itself a link to the latest."""
        latest = self.secret.with_name(f"..{len(self.swaps)}")
        latest.mkdir()
        (latest / "secret").write_text(f"{SECRETS[len(self.swaps)]}\n")
        data, link = self.secret.with_name("..data"), self.secret.with_name("..new")
        link.symlink_to(latest.name)
        if self.secret.is_symlink():
            self._swap(lambda: link.rename(data))
            return
        link.rename(data)
        link.symlink_to("..data/secret")
        self._swap(lambda: link.rename(self.secret))

    def _swap(self, put: Callable[[], object]) -> None:
        self._note("swap")
        before, begun_ms = self._site.uses(), now_ms()
        put()
        wait_until(lambda: self._site.uses() >= before + 4)
        self.swaps.append(Swap(SECRETS[len(self.swaps)], begun_ms, now_ms()))

    def spoil_and_heal(self) -> None:
        """Put something in the secret's place that cannot be used; the next swap heals it."""
        for number, content in enumerate((b"", b"\xef\xbb\xbfsecret\n", b"half\r\nwritten\r\n")):
            self._note(f"spoil {content!r}")
            before = self._site.refusals()
            bad = self.secret.with_name(f"bad-{number}")
            bad.write_bytes(content)
            bad.rename(self.secret)
            wait_until(lambda before=before: self._site.refusals() >= before + 4)  # type: ignore[misc]


def drains(service: Service) -> bool:
    """Return whether it says that it drains; or has drained, while this machine stood still."""
    try:
        return service.ask("GET", "/readyz").status == 503
    except OSError:
        return True


class Site:
    """The gateway with two instances behind it, the app, and the vendor, who accepts one secret at a time."""

    def __init__(self, gateway: Gateway, instances: tuple[Service, Service], vendor: VendorStandIn) -> None:
        self.gateway, self.instances, self.vendor = gateway, instances, vendor
        self.accepted = SECRETS[0]
        vendor.reply = self._tell

    def _tell(self, asked: Asked) -> Reply:
        if asked.credentials != f"{made_up.APPKEY}:{self.accepted}":
            return Reply.json({"error": {"code": 899008, "message": "basic authentication failed"}}, status=401)
        return Reply.json({"url": url_of(asked)})

    def media(self, media_id: str) -> int:
        """Ask for a picture that nobody has asked for before."""
        return self.gateway.ask("GET", f"/v1/resource?media_id={media_id}", headers={"Cookie": "session=ming"}).status

    def uses(self) -> int:
        return sum(service.log().count("changed settings are in use") for service in self.instances)

    def refusals(self) -> int:
        return sum(service.log().count("changed settings are not used") for service in self.instances)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """All of it, running, each instance with two workers."""
    with ExitStack() as stack:
        app = stack.enter_context(gateways.login_app())
        vendor = stack.enter_context(vendor_stand_in())
        instances = stack.enter_context(
            gateways.pair(
                tmp_path,
                AUTHSVC_RATE_LIMIT="1000000/minute",
                AUTHSVC_DRAIN_DELAY_S="1",
                AUTHSVC_VENDOR_URL=vendor.url,
                COVERAGE_PROCESS_START="",  # not traced: that would take most of the time
                COVERAGE_PROCESS_CONFIG="",
            )
        )
        for service in instances:
            service.start("--workers", "2")
            service.wait_for_workers(2)
        gateway = Gateway(tmp_path, (instances[0].port, instances[1].port), app)
        stack.callback(gateway.stop)
        gateway.start()
        yield Site(gateway, instances, vendor)
        for service in instances:
            assert "Traceback" not in service.log()
            assert not any(secret in service.log() for secret in SECRETS)


def wrongly_signed(issued: list[Issued], swaps: list[Swap]) -> list[str]:
    """Return the payloads whose secret was not in force at their own timestamp: two are, until a new one is seen."""
    wrong = []
    for one in issued:
        in_force = [
            swap.master_secret
            for swap, after in zip(swaps, [*swaps[1:], None], strict=True)
            if swap.begun_ms <= one.timestamp_ms and (after is None or one.timestamp_ms <= after.seen_ms)
        ]
        assert 1 <= len(in_force) <= 2
        if not any(one.is_signed_by(secret) for secret in in_force):
            wrong.append(f"{one.payload} at {one.asked_s:.1f}")
    return wrong


def test_duties_under_load(site: Site) -> None:
    """
    Workers are killed with -9 one by one, both instances are reloaded five times and restarted one after the other, the
    secret is swapped three times, spoiled in between, and at the last swap the vendor refuses the old one at once.
    """
    operator = Operator(site)
    first, second = site.instances
    steps: list[Callable[[], None]] = [
        operator.swap_by_rename,
        operator.reload,
        lambda: operator.kill_a_worker(first),
        lambda: operator.kill_a_worker(second),
        operator.reload,
        lambda: operator.restart(first),
        lambda: operator.restart(second),
        operator.swap_by_symlink,
        lambda: operator.kill_a_worker(second),
        operator.reload,
        lambda: operator.kill_a_worker(first),
        operator.spoil_and_heal,
        operator.reload,
        lambda: cut_over(site, operator),
        lambda: operator.kill_a_worker(first),
        operator.reload,
        lambda: operator.kill_a_worker(second),
    ]
    load = Load(site.gateway, per_s=PER_S)
    began_s = time.monotonic()
    load.start()
    try:
        for number, step in enumerate(steps):
            wait_for(began_s + 1 + (LASTS_S - 4) * number / len(steps))
            step()
        wait_for(began_s + LASTS_S)
    finally:
        load.stop()
    events = "\n".join(f"{at_s - began_s:.2f} {what}" for at_s, what in operator.done)
    lost = [one for one in load.issued if one.failed and not operator.had_killed(one)]
    assert [f"{one.asked_s - began_s:.2f} +{one.took_s:.2f} {one.failed}" for one in lost] == [], events
    issued = [one for one in load.issued if not one.failed]
    assert len(load.issued) - len(issued) <= 6, "more than one broken off by each kill"
    assert len(load.issued) > 0.7 * PER_S * LASTS_S
    assert wrongly_signed(issued, operator.swaps) == [], events
    assert len(operator.swaps) == 4
    assert all(any(one.is_signed_by(secret) for one in issued) for secret in SECRETS)
    assert max(one.took_s for one in load.issued) < 15


def cut_over(site: Site, operator: Operator) -> None:
    """The vendor takes another secret at one instant, and so does the file; the service follows by itself."""
    site.accepted = operator.swaps[-1].master_secret
    assert site.media("before") == 200
    site.accepted = SECRETS[len(operator.swaps)]
    assert site.media("between") == 502
    operator.swap_by_symlink()
    assert {site.media(f"after-{number}") for number in range(6)} == {200}


def wait_for(at_s: float) -> None:
    while (left_s := at_s - time.monotonic()) > 0:
        time.sleep(left_s)
