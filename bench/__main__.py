"""
`python -m bench`, which `make bench` starts: runs the parts, tells how it goes, and keeps the results.
"""

import argparse
import dataclasses
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import machine, report, results
from bench.bench import QUICK, Bench, Scale
from bench.parts import PARTS
from bench.processes import BenchError


def main() -> int:
    """Return 1 if a part failed; what was measured before is kept all the same."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure authsvc beside its peers.")
    parser.add_argument("--only", default="", help=f"parts, comma-separated: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="one short round of each; nothing is kept")
    given = parser.parse_args()
    names = [name for name in given.only.split(",") if name] or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # so that what was started is ended then too
    with tempfile.TemporaryDirectory(prefix="authsvc-bench-") as folder:
        return _run(Bench(Path(folder), QUICK if given.quick else Scale()), names, is_kept=not given.quick)


def _run(bench: Bench, names: list[str], *, is_kept: bool) -> int:
    found = results.read() if is_kept else {}
    described = machine.described()
    failed, measured = [], {}
    for name in names:
        bench.say(f"{name} ({names.index(name) + 1} of {len(names)})")
        try:
            part = PARTS[name](bench)
        except (BenchError, OSError, subprocess.SubprocessError) as exc:
            bench.say(f"{name} failed: {exc}")
            failed.append(name)
            continue
        measured[name] = dataclasses.replace(part, machine=described)
        print(f"\n{part.title}\n{part.about}\n\n{report.table(part)}\n", flush=True)
        if is_kept:
            found = {one: (found | measured)[one] for one in PARTS if one in found | measured}
            results.write(found)
            report.publish(results.read())  # rounded as they are kept
    print(f"What has to hold\n\n{report.verdicts(measured)}\n", flush=True)
    if is_kept:
        bench.say(f"kept in {results.FILE} and {report.FOLDER / 'README.md'}")
    if failed:
        bench.say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
