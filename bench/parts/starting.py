"""
Starting: from the command to the first answer.
"""

from bench import servers
from bench.bench import Bench
from bench.results import Numbers, Part, Row, medians
from bench.servers import Stage


def of_each(bench: Bench) -> Part:
    """Every server in turn, again and again."""
    names = bench.those_here(*servers.OURS, *servers.ISSUING)
    runs: dict[str, list[Numbers]] = {name: [] for name in names}
    with bench.stage() as folder:
        for number in range(bench.scale.rounds):
            for name in names:
                process = servers.server(name, Stage(folder, cores=None))
                try:
                    start_s = process.start()
                finally:
                    process.stop()
                runs[name].append({"start_s": start_s})
                bench.say(f"  {number + 1}/{bench.scale.rounds} {name:26} {start_s:6.3f} s")
    return Part(
        "startup",
        "Start-up",
        "Two workers on two free cores; from the command until the first request is answered.",
        ["start_s"],
        [Row(name, servers.TITLES[name], medians(runs[name]), runs[name]) for name in names],
    )
