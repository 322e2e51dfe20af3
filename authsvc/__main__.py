"""
The command `authsvc`, which `python -m authsvc` is too.

It imports everything with the garbage collector off: imported objects stay, and to scan them repeatedly would take a
tenth of the start. Frozen, they are not scanned later either.
"""

import gc
import sys

POSIX = frozenset({"fcntl", "resource"})  # modules of Python's own that Windows does not have


def main() -> None:
    """Run the command line. Exits with 2, as for settings that cannot be used, on a system that cannot run it."""
    gc.disable()
    try:
        from authsvc import cli
    except ModuleNotFoundError as exc:
        if exc.name not in POSIX:
            raise
        sys.stderr.write(
            f"authsvc: runs on Linux; this Python has no {exc.name}: on Windows, use WSL 2 or a container\n"
        )
        sys.exit(2)
    gc.freeze()
    gc.enable()
    cli.main(prog_name="authsvc")


if __name__ == "__main__":
    main()
