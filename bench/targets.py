"""
What has to hold, as ratios of numbers that come from one run of one part.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results, ratio, value
from bench.servers import BEFORE

EQUAL_WITHIN = 0.05
BATCH = 20  # media ids
GRANIAN, GUNICORN = "authsvc-granian", "authsvc-gunicorn"


@dataclass(frozen=True, slots=True)
class Target:
    """
    One number of a part, or its ratio to another row's, and its bounds.

    Attributes:
        under: the row that it is divided by; None takes the number itself.
        unit: of what is shown, and of the bounds.
        by: what the number is divided by to be in that unit.
        is_strict: whether it has to stay clear of its bounds.
    """

    job: str
    part: str
    number: str
    over: str
    under: str | None = None
    least: float | None = None
    most: float | None = None
    unit: str = "×"
    by: float = 1
    is_strict: bool = False

    def measured(self, results: Results) -> float | None:
        """Return the number or the ratio; None if a part of it was not measured."""
        if self.under is not None:
            return ratio(results, self.part, self.over, self.under, self.number)
        number = value(results, self.part, self.over, self.number)
        return number and number / self.by

    def holds(self, measured: float) -> bool:
        """Return whether it is within its bounds."""
        if self.is_strict:
            return (self.most is None or measured < self.most) and (self.least is None or measured > self.least)
        return (self.most is None or measured <= self.most) and (self.least is None or measured >= self.least)

    def bounds(self) -> str:
        """Return the bounds in words."""
        least, most = self._shown(self.least), self._shown(self.most)
        if self.least is not None and self.most is not None:
            return f"{least} to {most}"
        if self.is_strict:
            return f"under {most}" if self.most is not None else f"over {least}"
        return f"at most {most}" if self.most is not None else f"at least {least}"

    def shown(self, measured: float) -> str:
        """Return a measured number with its unit."""
        return f"{measured:,.2f} {self.unit}" if self.under or measured < 10 else f"{measured:,.0f} {self.unit}"

    def _shown(self, bound: float | None) -> str:
        return "" if bound is None else f"{bound:g} {self.unit}"


def _all() -> Iterator[Target]:
    cpu = "issue on {}, CPU a request, against {}"
    yield Target(cpu.format("granian", "Go net/http"), "issue", "cpu_us", GRANIAN, "go", most=1.2)
    yield Target(cpu.format("granian", "Fastify with its token cache"), "issue", "cpu_us", GRANIAN, "fastify", most=0.6)
    yield Target(cpu.format("granian", "Express (KeyObject)"), "issue", "cpu_us", GRANIAN, "express", most=0.2)
    yield Target(cpu.format("gunicorn", "Express (KeyObject)"), "issue", "cpu_us", GUNICORN, "express", most=1.0)
    yield Target(cpu.format("gunicorn", "Flask on gunicorn"), "issue", "cpu_us", GUNICORN, "flask", most=0.45)
    yield Target("gunicorn, ten runs: slowest against median", "collapse", "slowest_ratio", GUNICORN, least=0.7)
    rate = "issue on granian, two free cores, requests/s against {}"
    yield Target(rate.format("Go net/http"), "cores", "requests_s", GRANIAN, "go", least=1.1)
    yield Target(rate.format("Fastify with its token cache"), "cores", "requests_s", GRANIAN, "fastify", least=1.2)
    for peer, title in (
        ("fastify", "Fastify"),
        ("express", "Express (KeyObject)"),
        ("express-string", "Express (string)"),
    ):
        job = f"issue on granian, p99 at 32 connections, against {title}"
        yield Target(job, "issue", "p99_us", GRANIAN, peer, most=1.0, is_strict=True)
    for state in ("slow", "down"):
        for number, what in (("cpu_us", "CPU a request"), ("requests_s", "requests/s")):
            job = f"issue with Redis {state}, {what} against Redis up"
            yield Target(job, "trouble", number, state, "up", least=1 - EQUAL_WITHIN, most=1 + EQUAL_WITHIN)
    job = "verify on Redis, granian, CPU a request, against Fastify + ioredis"
    yield Target(job, "verify", "cpu_us", GRANIAN, "fastify-redis", most=2.0)
    job = "verify on SQLite, 4 granian workers at full load: worst wait"
    yield Target(job, "sqlite", "max_us", GRANIAN, most=200, unit="ms", by=1000, is_strict=True)
    job = f"issue on granian, CPU a request, against commit {BEFORE}"
    yield Target(job, "before", "cpu_us", GRANIAN, "authsvc-before", most=1.05)
    against = "{}, CPU a request, against {}"
    for name, what, most in (
        ("named", "app named in the body", 1.5),
        ("gateway", "gateway header", 1.5),
        ("bootstrap", "bootstrap without accounts", 1.5),
        ("session", "session cookie, seen within the minute", 1.5),
        ("session-first", "session cookie, at first sight", 3.0),
        ("app", "ask the app, remembered", 1.5),
    ):
        yield Target(against.format(what, "Bearer"), "logins", "cpu_us", name, "bearer", most=most)
    for peer, title, most in (("fastify-session", "Fastify", 0.6), ("express-session", "Express", 0.2)):
        for name, what in (("session", "session cookie, seen"), ("session-first", "session cookie, at first sight")):
            job = against.format(what, f"{title}'s session cookie")
            yield Target(job, "logins", "cpu_us", name, peer, most=most)
    yield Target(against.format("tracing on", "off"), "tracing", "cpu_us", "all", "off", most=1.6)
    job = "media cached, by session cookie, CPU a request, against by Bearer"
    yield Target(job, "media", "cpu_us", f"{GRANIAN}-media-cookie", f"{GRANIAN}-media", most=1.5)
    job = f"batch of {BATCH} cached media, CPU a request, against one"
    yield Target(job, "media", "cpu_us", f"{GRANIAN}-batch", f"{GRANIAN}-media", most=3.0)
    job = "media cached, CPU a request, against issue"
    yield Target(job, "media", "cpu_us", f"{GRANIAN}-media", f"{GRANIAN}-issue", most=1.5)
    yield Target(
        "memory of two granian workers (RSS of all processes)", "issue", "rss_mb", GRANIAN, most=130, unit="MB"
    )
    for peer, title in (
        ("fastify", "Fastify"),
        ("express", "Express (KeyObject)"),
        ("express-string", "Express (string)"),
    ):
        job = f"the same against {title}"
        yield Target(job, "issue", "rss_mb", GRANIAN, peer, most=1.0, is_strict=True)
    for name, title in ((GRANIAN, "granian"), (GUNICORN, "gunicorn")):
        yield Target(f"start-up on {title}", "startup", "start_s", name, most=0.5, unit="s", is_strict=True)


TARGETS = tuple(_all())
