"""
The little of systemd that the set-up in docs/deploy.md asks for, on units under a folder and with real processes.

`python systemctl.py ROOT VERB NAME…`, with the verbs daemon-reload, enable --now, disable --now, restart, and reload
for nginx. A unit's environment, its credentials and its start, with `%i` and `%d`, are as its file says, and its
notification is waited for; of its sandbox only MemoryDenyWriteExecute is made. What is started is noted in
ROOT/run/NAME.pid.
"""

import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
READY_S, STOP_S = 60, 60


def unit(root: Path, name: str) -> list[tuple[str, str]]:
    """Return the assignments of a unit's file, in order, with `%i` and `%d` in them replaced."""
    template, _, instance = name.removesuffix(".service").partition("@")
    units = root / "etc/systemd/system"
    files = [units / f"{template}@.service", *sorted(units.glob(f"{template}@.service.d/*.conf"))]
    text = "".join(file.read_text() for file in files)
    pairs = [line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")]
    credentials = root / "run" / "credentials" / name
    return [(key, value.replace("%i", instance).replace("%d", str(credentials))) for key, value in pairs]


def environment(root: Path, name: str) -> dict[str, str]:
    """Return what the unit's process has in its environment; its credentials are copied meanwhile."""
    variables = {"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(root / "var/lib/authsvc")}
    Path(variables["STATE_DIRECTORY"]).mkdir(parents=True, exist_ok=True)
    for key, value in unit(root, name):
        if key == "Environment":
            variables |= dict([value.split("=", 1)])
        elif key == "EnvironmentFile":
            lines = Path(value).read_text().splitlines()
            variables |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        elif key == "LoadCredential":
            credential, _, path = value.partition(":")
            copy = root / "run" / "credentials" / name / credential
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(Path(path).read_bytes())
    return variables


def deny_write_execute() -> None:
    """As MemoryDenyWriteExecute=yes; on a kernel that does not know it, the start fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")


def start(root: Path, name: str) -> None:
    """Start a unit and wait until it has told that it is ready."""
    settings = dict(unit(root, name))
    assert settings["Type"] == "notify"
    assert settings["MemoryDenyWriteExecute"] == "yes"
    run = root / "run"
    run.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        address = run / f"{name}.notify"
        address.unlink(missing_ok=True)
        told.bind(str(address))
        told.settimeout(READY_S)
        with (run / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                shlex.split(settings["ExecStart"]),
                env=environment(root, name) | {"NOTIFY_SOCKET": str(address)},
                stdout=log,
                stderr=log,
                preexec_fn=deny_write_execute,
                start_new_session=True,
            )
        assert told.recv(4096).startswith(b"READY=1")
    (run / f"{name}.pid").write_text(str(process.pid))


def stop(root: Path, name: str) -> None:
    """End a unit by SIGTERM to its main process, and wait for it."""
    pid = int((root / "run" / f"{name}.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while (
        Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def main(root: Path, verb: str, *arguments: str) -> None:
    names = [argument for argument in arguments if not argument.startswith("-")]
    for name in names:
        if name == "nginx":
            subprocess.run(["nginx", "-s", verb], check=True)
            continue
        if verb in {"disable", "restart"}:
            stop(root, name)
        if verb != "disable":
            start(root, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
