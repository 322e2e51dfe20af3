"""`python -m authsvc` is `authsvc`."""

from authsvc.cli import main

main(prog_name="authsvc")
