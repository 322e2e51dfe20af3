"""
Where the time goes: what a request costs in the servers alone, and a profile of ours by the kernel's samples.
"""

import re
import shutil
import subprocess
from contextlib import ExitStack

from bench import loading, servers, traffic
from bench.bench import Bench
from bench.loading import Loaded
from bench.processes import LOAD_CORES, SERVER_CORES, BenchError, Process
from bench.results import Numbers, Part
from bench.servers import Stage
from bench.traffic import Traffic

SAMPLES_S = 1_999
# A part of each program and library's name, in the order in which they are looked for.
PLACES = (
    ("kernel_us", ("[kernel", "[vdso", "[guest")),
    ("granian_us", ("_granian",)),
    ("python_us", ("libpython", "python3", "orjson", "_hashlib", "_socket", "_struct", "_json", "_queue", "select")),
    ("libc_us", ("libc.so", "libpthread", "ld-linux")),
    ("crypto_us", ("libcrypto", "_rust")),
)


def of_each(bench: Bench) -> Part:
    """Ours, their servers with next to nothing to do, and the fastest peer; each is profiled after it was measured."""
    names = bench.those_here(*servers.OURS, *servers.BARE, "go")
    if shutil.which("perf") is None:
        bench.say("  without a profile: no perf (Debian's linux-perf)")
    with bench.stage() as folder, ExitStack() as stack:
        stage = Stage(folder, cores=SERVER_CORES, load_cores=LOAD_CORES)
        asked = traffic.issue(folder)
        processes = {name: bench.started(stack, name, stage) for name in names}
        runs = loading.alternate(
            {name: Loaded(process, lambda: asked) for name, process in processes.items()},
            rounds=bench.scale.rounds,
            seconds=bench.scale.growth_s,
            load_cores=LOAD_CORES,
            say=bench.say,
            warm_s=bench.scale.warm_s,
        )
        rows = [loading.row(name, servers.TITLES[name], runs[name]) for name in names]
        for row in rows:
            row.numbers.update(_profile(bench, processes[row.name], asked, row.numbers["cpu_us"] or 0))
    return Part(
        "profile",
        "Where the time goes",
        "Two workers on one core. The bare apps look at nothing; one of them signs. The last columns share the CPU "
        "time out by where perf's samples of the processes fell: in the kernel (sockets, and changing from thread to "
        "thread), in granian's Rust, in Python (its interpreter and modules), in the C library, in cryptography.",
        ["cpu_us", "requests_s", *(place for place, _ in PLACES)],
        rows,
    )


def _profile(bench: Bench, process: Process, asked: Traffic, cpu_us: float) -> Numbers:
    """Return by place what of the CPU time was spent there; nothing where there is no perf."""
    if shutil.which("perf") is None:
        return {}
    data = bench.folder / "perf.data"
    pids = ",".join(map(str, process.pids()))
    watching = ["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", str(SAMPLES_S), "--output", str(data)]
    with subprocess.Popen([*watching, "--pid", pids], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as perf:
        try:
            loading.load(process, asked, seconds=bench.scale.seconds, cores=LOAD_CORES)
        finally:
            perf.terminate()
    told = ["perf", "report", "--quiet", "--stdio", "--sort", "dso", "--input", str(data)]
    done = subprocess.run(told, capture_output=True, text=True, check=False)
    shares = [(float(share), name) for share, name in re.findall(r"^ *([\d.]+)% +(\S+)", done.stdout, re.MULTILINE)]
    if not shares:
        raise BenchError(f"perf: {done.stderr}")
    return {place: cpu_us * sum(share for share, name in shares if _place(name) == place) / 100 for place, _ in PLACES}


def _place(name: str) -> str | None:
    return next((place for place, parts in PLACES if any(part in name for part in parts)), None)
