"""
The parts of the benchmark, in the order in which they run. Each is a function of a `Bench` that returns a `Part`.
"""

from collections.abc import Callable

from bench.bench import Bench
from bench.parts import growth, issue, logins, media, memory, profile, starting, storm, tracing, trouble, verify
from bench.results import Part

PARTS: dict[str, Callable[[Bench], Part]] = {
    "issue": issue.on_one_core,
    "before": issue.against_before,
    "logins": logins.of_each,
    "tracing": tracing.of_each_share,
    "cores": issue.on_two_cores,
    "profile": profile.of_each,
    "collapse": issue.ten_times,
    "trouble": trouble.of_redis,
    "verify": verify.against_fastify,
    "sqlite": verify.on_sqlite,
    "media": media.cached,
    "storm": storm.of_pages,
    "startup": starting.of_each,
    "memory": memory.by_what_is_loaded,
    "workers": growth.of_workers,
    "apps": growth.of_apps,
    "users": growth.of_users,
}
