"""Tests of the Chinese details: every refusal, wherever it is raised, has its Chinese, of the same facts."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

from authsvc import errors
from authsvc.message import Message
from authsvc.outbound.http_client import NoAnswer
from authsvc.web.chinese_details import DETAILS

PACKAGE = Path(errors.__file__).parent
DEFINING = {"authsvc.errors", "authsvc.outbound.http_client"}  # where a kind hands on what others have written
# Punctuation, and what is to be sent as it stands.
WITHOUT_WORDS = {"{field}: {rule}", "{one}, or {other}", "the cookie {cookie}", "Authorization: Bearer <token>"}
CHINESE = re.compile("[\u4e00-\u9fff]")


def kinds(root: type[object]) -> Iterator[type[object]]:
    """Yield a class and all below it."""
    yield root
    for child in root.__subclasses__():
        yield from kinds(child)


def place_of_template(kind: type) -> int | None:
    """Return which argument of a kind is the template; None if the kind has its own."""
    names = [name for name, parameter in inspect.signature(kind).parameters.items() if parameter.annotation is str]
    return next((place for place, name in enumerate(names) if name in {"template", "rule", "what"}), None)


PLACES = {
    kind.__name__: place_of_template(kind)
    for root in (errors.Refusal, NoAnswer, Message)
    for kind in kinds(root)
    if kind.__module__.startswith("authsvc.")
}
PLACES["self._refusal"] = 0  # of a bulkhead or a circuit breaker: one of two kinds


def facts(template: str) -> set[tuple[str | None, str | None, str | None]]:
    """Return the names of the facts in a template, and how each is written."""
    return {parsed[1:] for parsed in Formatter().parse(template) if parsed[1] is not None}


def templates(source: str, module: str) -> Iterator[str]:
    """Yield the templates in a module's source. Fails on one that is no constant of the code, or lacks a fact."""
    defining = module in DEFINING
    for node in ast.walk(ast.parse(source)):
        callee = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        is_super = defining and callee == "super().__init__"
        place = 0 if is_super else PLACES.get(callee, PLACES.get(callee.rpartition(".")[2]))
        if not isinstance(node, ast.Call) or place is None or len(node.args) <= place:
            continue
        argument, given = node.args[place], {keyword.arg for keyword in node.keywords}
        for one in (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,):
            text = getattr(import_module(module), one.id, None) if isinstance(one, ast.Name) else None
            text = one.value if isinstance(one, ast.Constant) else text
            handed_on = (defining and isinstance(one, ast.Name)) or is_super
            if text is not None or not handed_on:
                assert isinstance(text, str), f"{module}:{node.lineno}: {ast.unparse(one)} is no constant"
                missing = {name for name, *_ in facts(text)} - given
                assert not missing, f"{module}:{node.lineno}: no {missing} for {text}"
                yield text


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py") if "sandbox" not in path.parts}
# Those of a default argument stand in no call.
RAISED = {inspect.signature(errors.KeysUnavailable).parameters["what"].default}.union(
    *(templates(path.read_text(), module) for module, path in MODULES.items())
)


def is_in_words(template: str) -> bool:
    return re.search("[a-z]{2}", re.sub(r"\{[^}]*\}", "", template)) is not None


def test_every_refusal_has_its_chinese() -> None:
    """Where it is raised stand the English words, which are its name here; one without words may have others."""
    assert {template for template in RAISED if is_in_words(template)} <= DETAILS.keys()
    assert DETAILS.keys() <= RAISED, "words that nothing raises"


@pytest.mark.parametrize(("english", "chinese"), DETAILS.items(), ids=lambda text: text[:40])
def test_the_same_facts(english: str, chinese: str) -> None:
    """The Chinese has the facts of the English, each written the same way, and no end that would double another's."""
    assert facts(chinese) == facts(english)
    assert CHINESE.search(chinese) or english in WITHOUT_WORDS
    assert not chinese.endswith(("。", "，", "；"))


@pytest.mark.parametrize(
    "source",
    [
        "raise NotLoggedIn(f'the token has no {claim}')",
        "InvalidRequest('body', rule)",
        "Message('a' + user)",
        "self._refusal(x)",
    ],
)
def test_a_template_that_is_no_constant_would_be_found(source: str) -> None:
    """The test above would not see it, and what somebody has sent could be taken for a template."""
    with pytest.raises(AssertionError, match="is no constant"):
        list(templates(source, "authsvc.web.answer"))


def test_a_fact_that_is_not_given_would_be_found() -> None:
    """The refusal would end in a KeyError where it is put in words."""
    with pytest.raises(AssertionError, match=r"no {'claim'}"):
        list(templates("raise errors.NotLoggedIn('the token has no {claim}', name=name)", "authsvc.web.answer"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("raise NotLoggedIn('no', x=x) from exc", ["no"]),
        ("raise InvalidRequest(name, 'is missing' if name else 'is empty')", ["is missing", "is empty"]),
        ("raise StoreUnavailable(remedy)", []),
        ("raise VendorSlow", []),
    ],
)
def test_what_a_template_is(source: str, found: list[str]) -> None:
    """The sentence, and neither the field before it nor a hint for the operator."""
    assert list(templates(source, "authsvc.web.answer")) == found
