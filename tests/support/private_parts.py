"""
Whether a library still has what is relied on beyond its documentation: parameters, and the names that its code uses.

A part is named as `package.module:Class.method`. Names are what the code of a function, or of a class's constructor,
looks up, sets or calls, with the functions inside it.
"""

import importlib
import inspect
from collections.abc import Mapping
from functools import reduce
from types import CodeType


def changed(parameters: Mapping[str, str], uses: Mapping[str, str]) -> list[str]:
    """
    Return what is no longer as it was, by name.

    Args:
        parameters: the names of each part's parameters, in their order.
        uses: some of the names that each part's code uses.
    """
    return [
        *(
            f"{name}: takes {_parameters(name)}"
            for name, expected in parameters.items()
            if _parameters(name) != expected
        ),
        *(
            f"{name}: has no {missing}"
            for name, expected in uses.items()
            for missing in set(expected.split()) - _names(name)
        ),
    ]


def _part(name: str) -> object:
    module, _, path = name.partition(":")
    try:
        part: object = reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError):
        return None
    return part


def _parameters(name: str) -> str | None:
    part = _part(name)
    return " ".join(inspect.signature(part).parameters) if callable(part) else None


def _names(name: str) -> set[str]:
    part = _part(name)
    function = part.__init__ if inspect.isclass(part) else part
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return set() if code is None else _names_in(code)


def _names_in(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *(name for one in inner for name in _names_in(one))}
