"""
A Dockerfile, read: its instructions, stage by stage, and done by hand in a folder that stands for the root.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.docs import ROOT
from tests.support.running import clean_environment


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name, its options such as `from` and `interval`, and the rest of its line."""

    name: str
    options: dict[str, str]
    rest: str

    def words(self) -> list[str]:
        return self.rest.split()

    def arguments(self) -> list[str]:
        """Return the arguments of the exec form; raises ValueError for any other."""
        found = json.loads(self.rest.removeprefix("CMD "))
        assert isinstance(found, list)
        return [str(argument) for argument in found]


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands between one FROM and the next."""

    image: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]


def read(path: Path) -> list[Stage]:
    """Read a Dockerfile's stages."""
    text = re.sub(r"^[ \t]*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in filter(str.strip, text.splitlines()):
        name, rest = line.split(None, 1)
        options = dict(re.findall(r"--([a-z-]+)=(\S+)", rest.partition("CMD")[0]))
        instruction = Instruction(name, options, re.sub(r"^(--[a-z-]+=\S+\s+)+", "", rest).strip())
        if name == "FROM":
            image, _, alias = instruction.rest.partition(" AS ")
            stages.append(Stage(image, alias))
        else:
            stages[-1].instructions.append(instruction)
    return stages


def build(stages: list[Stage], root: Path) -> None:
    """Do every step by hand: what is copied and run in the image is copied and run under `root`."""
    (root / "opt").mkdir()
    for stage in stages:
        folder = root
        for step in stage.instructions:
            if step.name == "WORKDIR":
                folder = inside(root, step.rest)
                folder.mkdir(parents=True, exist_ok=True)
            elif step.name == "COPY" and "from" not in step.options:  # else it is under the root already
                *sources, target = step.words()
                for source in sources:
                    copy(ROOT / source, folder / target / source if target == "./" else folder / target)
            elif step.name == "RUN":
                command = rooted(root, step.rest)
                subprocess.run(["sh", "-euc", command], cwd=folder, env=clean_environment(), check=True)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def rooted(root: Path, command: str) -> str:
    """Return a command as it is here: its paths under the root, and its Python the one that runs this."""
    command = re.sub(r"(?<![\w.])/(?=(opt|var|src)/)", f"{root}/", command)
    return re.sub(r"^python\b", sys.executable, command)


def inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
