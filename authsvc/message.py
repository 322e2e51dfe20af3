"""
A sentence whose facts are kept apart from its words, so that it can be put in other words too.

Imports nothing of the project.
"""

from collections.abc import Mapping
from types import MappingProxyType

_AS_IT_IS: Mapping[str, str] = MappingProxyType({})


class Message:
    """
    A template and the facts in it.

    The template is a constant of the code and never anybody's text. A fact may be a message itself.
    """

    __slots__ = ("facts", "template")

    def __init__(self, template: str, /, **facts: object) -> None:
        self.template = template
        self.facts = facts

    def __str__(self) -> str:
        """Return the sentence."""
        return self.text()

    def text(self, templates: Mapping[str, str] = _AS_IT_IS) -> str:
        """Return the sentence, by another template where `templates` has one for it."""
        facts = {name: fact.text(templates) if isinstance(fact, Message) else fact for name, fact in self.facts.items()}
        return templates.get(self.template, self.template).format_map(facts)
