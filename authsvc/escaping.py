"""
Escapes foreign text for a line of a log, a terminal or a fault.

Imports nothing of the project.
"""

NAME = 100  # characters of a name


def escaped(text: str, *, most: int = NAME) -> str:
    """Return the text on one line, cut, without control characters of terminals or of the reading direction."""
    printable = text if text.isprintable() else "".join(map(_escaped, text[: most + 1]))
    return printable if len(printable) <= most else f"{printable[:most]}…"


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()
