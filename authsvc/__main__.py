"""
The command `authsvc`, which `python -m authsvc` is too.

It loads everything with the garbage collector at rest: what is imported stays, and to look through it again and again
while it comes would take a tenth of the start. Frozen, it is not looked through later either.
"""

import gc


def main() -> None:
    """Run the command line."""
    gc.disable()
    from authsvc import cli

    gc.freeze()
    gc.enable()
    cli.main(prog_name="authsvc")


if __name__ == "__main__":
    main()
