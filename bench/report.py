"""
The results as tables and a chart: on the terminal, and in README.md between its two marks.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench import chart, servers
from bench.results import Part, Results
from bench.targets import TARGETS

FOLDER = Path(__file__).parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
CHART = "issue.svg"


def _divided(by: float, digits: int) -> Callable[[float], str]:
    return lambda number: f"{number / by:,.{digits}f}"


_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "cpu_us": ("CPU µs", _divided(1, 1)),
    "first_cpu_us": ("first, CPU µs", _divided(1, 1)),
    "kernel_us": ("kernel", _divided(1, 1)),
    "granian_us": ("granian", _divided(1, 1)),
    "python_us": ("Python", _divided(1, 1)),
    "libc_us": ("C library", _divided(1, 1)),
    "crypto_us": ("crypto", _divided(1, 1)),
    "spans_share": ("spans", _divided(1, 2)),
    "requests": ("requests", _divided(1, 0)),
    "seen": ("seen", _divided(1, 0)),
    "requests_s": ("requests/s", _divided(1, 0)),
    "slowest_s": ("slowest, requests/s", _divided(1, 0)),
    "slowest_ratio": ("slowest / median", _divided(1, 2)),
    "p50_us": ("p50 ms", _divided(1000, 2)),
    "p99_us": ("p99 ms", _divided(1000, 2)),
    "p999_us": ("p99.9 ms", _divided(1000, 2)),
    "max_us": ("worst ms", _divided(1000, 1)),
    "all_ms": ("all served, ms", _divided(1, 0)),
    "worst_ms": ("worst wait, ms", _divided(1, 0)),
    "first_ms": ("first, ms", _divided(1, 0)),
    "start_s": ("start, s", _divided(1, 2)),
    "rss_mb": ("RSS MB", _divided(1, 0)),
    "pss_mb": ("PSS MB", _divided(1, 0)),
    "processes": ("processes", _divided(1, 0)),
}


def table(part: Part) -> str:
    """Return a part's rows as a Markdown table, ours stressed."""
    heads = ["", *(_COLUMNS[column][0] for column in part.columns)]
    rows = [
        [
            f"**{row.title}**" if row.name in servers.OURS else row.title,
            *(_cell(column, row.numbers.get(column)) for column in part.columns),
        ]
        for row in part.rows
    ]
    return _markdown(heads, rows)


def verdicts(results: Results) -> str:
    """Return what has to hold, what was measured, and whether it does; only of what was measured."""
    rows = []
    for target in TARGETS:
        measured = target.measured(results)
        if measured is not None:
            holds = "yes" if target.holds(measured) else "**no**"
            rows.append([target.job, target.bounds(), target.shown(measured), holds])
    return _markdown(["job", "target", "measured", "holds"], rows)


def drawn(part: Part) -> str:
    """Return the chart of issuing."""
    rows = sorted(part.rows, key=lambda row: row.numbers.get("cpu_us") or 0)

    def of(name: str, by: float = 1) -> list[float | None]:
        numbers = [row.numbers.get(name) for row in rows]
        return [None if number is None else number / by for number in numbers]

    return chart.bars(
        "Issue a payload: verify the JWT, sign, answer",
        [row.title for row in rows],
        [row.name in servers.OURS for row in rows],
        [
            chart.Panel("CPU µs a request", of("cpu_us"), 1),
            chart.Panel("requests/s on one core", of("requests_s")),
            chart.Panel("p99, ms, 32 connections", of("p99_us", 1000), 1),
            chart.Panel("memory, MB (RSS)", of("rss_mb")),
        ],
    )


def chapters(results: Results) -> str:
    """Return everything that is known, as the generated part of README.md."""
    texts = [f"## What has to hold\n\n{verdicts(results)}"]
    for part in results.values():
        picture = f"![Bars of the table below]({CHART})\n\n" if part.name == "issue" else ""
        measured = (
            f"Measured {part.machine.get('when', '')}, authsvc/ as of commit {part.machine.get('commit', '')}, with a "
            f"load average of {part.machine.get('load average before', '?')} before."
        )
        texts.append(f"## {part.title}\n\n{part.about} {measured}\n\n{picture}{table(part)}")
    machine = [part.machine for part in results.values()][-1:] or [{}]
    told = ("when", "commit", "load average before")  # with each part
    known = [[name, version] for name, version in machine[0].items() if name not in told]
    texts.append(f"## Machine and versions\n\n{_markdown(['', ''], known)}")
    return "\n\n".join(texts)


def publish(results: Results, folder: Path = FOLDER) -> None:
    """Put the tables into the folder's README.md and the chart beside it."""
    readme = folder / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n\n{chapters(results)}\n\n{END}{after}")
    if "issue" in results:
        (folder / CHART).write_text(drawn(results["issue"]))


def _cell(column: str, number: float | None) -> str:
    return "" if number is None else _COLUMNS[column][1](number)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---" if number == 0 or heads[-1] == "" else "---:" for number in range(len(heads))]
    lines = [heads, aligned, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
