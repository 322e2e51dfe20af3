"""
What is measured, as numbers with names, and the file that keeps it.
"""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

Numbers = dict[str, float | None]

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One server, or one way to ask it. `numbers` are medians of `runs`, and what is measured once."""

    name: str
    title: str
    numbers: Numbers
    runs: list[Numbers] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """
    One part of the benchmark, whose numbers all come from one run of it.

    Attributes:
        about: how it is measured, in a sentence or two.
        columns: the numbers to show, in their order.
        machine: what it ran on, versions included; and when.
    """

    name: str
    title: str
    about: str
    columns: list[str]
    rows: list[Row]
    machine: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, told: Mapping[str, object]) -> Self:
        """Return what `asdict` has made a dictionary of."""
        members = dict(told)
        rows = members.pop("rows")
        assert isinstance(rows, list)
        return cls(**members, rows=[Row(**row) for row in rows])  # type: ignore[arg-type] # read from our own file


Results = dict[str, Part]


def read(path: Path = FILE) -> Results:
    """Return what the file keeps, by the parts' names; nothing if there is none."""
    if not path.exists():
        return {}
    return {part["name"]: Part.from_dict(part) for part in json.loads(path.read_text())}


def write(results: Results, path: Path = FILE) -> None:
    """Keep the results in the file."""
    path.write_text(json.dumps([_rounded(asdict(part)) for part in results.values()], indent=1) + "\n")


def value(results: Results, part: str, row: str, number: str) -> float | None:
    """Return one number; None if it was not measured."""
    found = [one for one in results[part].rows if one.name == row] if part in results else []
    return found[0].numbers.get(number) if found else None


def ratio(results: Results, part: str, over: str, under: str, number: str) -> float | None:
    """
    Return how often one row's number is another's: the median of the rounds' ratios, or None if it was not measured.

    What slows the machine for a while slows both in the same round; medians of each row may be of different rounds.
    """
    rows = {row.name: row for row in results[part].rows} if part in results else {}
    if over not in rows or under not in rows:
        return None
    rounds = [*zip(rows[over].runs, rows[under].runs, strict=False), (rows[over].numbers, rows[under].numbers)]
    ratios = [a / b for one, other in rounds if (a := one.get(number)) and (b := other.get(number))]
    return statistics.median(ratios[:-1] or ratios) if ratios else None


def medians(runs: list[Numbers]) -> Numbers:
    """Return the median of each number that every run has."""
    return {
        name: statistics.median(values)
        for name in runs[0]
        if len(values := [number for run in runs if (number := run.get(name)) is not None]) == len(runs)
    }


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_rounded(member) for member in value]
    return round(value, 6 if abs(value) < 10 else 1) if isinstance(value, float) else value
