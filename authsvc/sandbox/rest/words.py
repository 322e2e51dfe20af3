"""
Sensitive words: texts that pages may not send.

Source: the vendor's REST API, "sensitive words". Whether a word counts in another case, and what a word that is not
there is refused with, is unknown: here it counts as it is written, and is 899003.
"""

from authsvc.sandbox.rest.asked import DONE, Answer, Asked, invalid, time_of
from authsvc.sandbox.rest.users import ON_OR_OFF
from authsvc.sandbox.state import SensitiveWords

MAX_WORDS, MAX_LENGTH = 100, 10
MAX_PAGE = 2_000


def add(asked: Asked) -> Answer:
    words = _of(asked).words
    if not isinstance(asked.body, list) or not asked.body or len({*words, *map(_checked, asked.body)}) > MAX_WORDS:
        raise invalid(f"a list of words, {MAX_WORDS} in all")
    for word in asked.body:
        words.setdefault(word, asked.core.clock())
    return DONE


def change(asked: Asked) -> Answer:
    words, old, new = _of(asked).words, asked.text("old_word"), _checked(asked.text("new_word"))
    _remove(words, old)
    words[new] = asked.core.clock()
    return DONE


def remove(asked: Asked) -> Answer:
    _remove(_of(asked).words, asked.text("word"))
    return DONE


def listed(asked: Asked) -> Answer:
    words = list(_of(asked).words.items())
    return asked.page("words", words, lambda word: {"name": word[0], "itime": time_of(word[1])}, MAX_PAGE)


def status(asked: Asked) -> Answer:
    return 200, {"status": int(_of(asked).is_on)}


def set_status(asked: Asked) -> Answer:
    _of(asked).is_on = asked.choice("status", ON_OR_OFF)
    return DONE


def _of(asked: Asked) -> SensitiveWords:
    return asked.core.state.sensitive.setdefault(asked.appkey, SensitiveWords())


def _checked(word: object) -> str:
    if not isinstance(word, str) or not 1 <= len(word) <= MAX_LENGTH:
        raise invalid(f"a word has 1 to {MAX_LENGTH} characters")
    return word


def _remove(words: dict[str, int], word: str) -> None:
    if words.pop(word, None) is None:
        raise invalid("there is no such word")


CALLS = {
    ("POST", "/v1/sensitiveword"): add,
    ("PUT", "/v1/sensitiveword"): change,
    ("DELETE", "/v1/sensitiveword"): remove,
    ("GET", "/v1/sensitiveword"): listed,
    ("GET", "/v1/sensitiveword/status"): status,
    ("PUT", "/v1/sensitiveword/status"): set_status,
}
