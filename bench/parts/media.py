"""
The rest that a page asks for: media whose URL is remembered, twenty of them at once, and bootstrap.
"""

import json
import time
from contextlib import ExitStack
from functools import partial

from bench import asking, loading, servers, traffic
from bench.bench import Bench
from bench.loading import Loaded
from bench.processes import BenchError
from bench.results import Part, Row
from bench.servers import Stage
from bench.targets import BATCH

TITLES = {
    "issue": "issue",
    "media": "media, cached",
    "media-cookie": "media, cached, by session cookie",
    "batch": f"media, batch of {BATCH}, cached",
    "bootstrap": "bootstrap",
}


def cached(bench: Bench) -> Part:
    """Each job on the same servers in turn, issuing among them."""
    rows: list[Row] = []
    for name in servers.OURS:
        with bench.stage() as folder, ExitStack() as stack:
            sandbox = stack.enter_context(servers.sandbox(Stage(folder), "http://127.0.0.1:9"))
            settings = {"VENDOR_URL": sandbox.url, "MEDIA_HOSTS": "127.0.0.1"}
            process = bench.started(stack, name, Stage(folder, settings=settings))
            media_ids = asking.upload(sandbox.port, BATCH)
            first_ms = _first_batch_ms(process.port, media_ids)
            bench.say(f"  the first batch of {BATCH} took {first_ms:.0f} ms")
            asked = {
                "issue": traffic.issue(folder),
                "media": traffic.media(folder, media_ids),
                "media-cookie": traffic.media_by(
                    folder, "media-cookie", traffic.COOKIE, media_ids, traffic.session_cookies()
                ),
                "batch": traffic.media_batch(folder, media_ids),
                "bootstrap": traffic.bootstrap(folder),
            }
            jobs = {job: Loaded(process, partial(asked.__getitem__, job)) for job in asked}
            runs = loading.alternate(
                jobs,
                rounds=bench.scale.rounds,
                seconds=bench.scale.growth_s,
                load_cores=Stage(folder).load_cores,
                say=bench.say,
                warm_s=1,
            )
            for job, title in TITLES.items():
                others = {"first_ms": first_ms} if job == "batch" else {}
                rows.append(loading.row(f"{name}-{job}", f"{servers.TITLES[name]}: {title}", runs[job], **others))
    return Part(
        "media",
        "Media and bootstrap",
        "Two workers on one core. The vendor is `authsvc sandbox`; “first” is a batch of which nothing is remembered.",
        ["cpu_us", "requests_s", "p50_us", "p99_us", "first_ms"],
        rows,
    )


def _first_batch_ms(port: int, media_ids: list[str]) -> float:
    body = json.dumps({"media_ids": media_ids})
    began_s = time.monotonic()
    answer = asking.as_user(port, "POST", "/v1/resources", body)
    took_ms = (time.monotonic() - began_s) * 1000
    if answer.status != 200 or any(found["code"] for found in json.loads(answer.body)["results"].values()):
        raise BenchError(f"media: {answer.status} {answer.body.decode()}")
    return took_ms
