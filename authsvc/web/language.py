"""
A language in which authsvc answers: the words of each refusal and of its help page.

Pure; imports nothing of the project. `english` and `chinese` are the two, `accept_language` chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProblemText:
    """One refusal in words: its title, what it means, and what to do."""

    title: str
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class PageWords:
    """What stands on every help page; `retry` has a sentence for each value of a refusal's `retry`."""

    meaning: str
    remedy: str
    code: str
    retry: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Language:
    """
    One language.

    Attributes:
        tag: its name for machines (BCP 47).
        name: its name for its readers.
        problems: the words of each refusal, by the refusal's name.
        details: the templates of its details, by the English ones of `errors`, which stand where they are raised.
    """

    tag: str
    name: str
    page: PageWords
    problems: Mapping[str, ProblemText]
    details: Mapping[str, str]
