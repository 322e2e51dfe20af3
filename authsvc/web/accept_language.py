"""
Which language an answer is in: the one that Accept-Language prefers, English if it names none that there is.

Imports `english` and `chinese`.
"""

import re
from functools import lru_cache

from werkzeug.http import parse_accept_header

from authsvc.web.chinese import CHINESE
from authsvc.web.english import ENGLISH
from authsvc.web.language import Language

LANGUAGES = (ENGLISH, CHINESE)
MAX_READ = 512  # characters of the header; no browser sends as many

_BY_PRIMARY_SUBTAG = {language.tag.partition("-")[0]: language for language in LANGUAGES}


def preferred(header: str | None) -> Language:
    """Return the language for a value of Accept-Language, such as `zh-TW,zh;q=0.9,en;q=0.8`, or for its absence."""
    return _parsed(header[:MAX_READ]) if header else ENGLISH


@lru_cache(256)
def _parsed(header: str) -> Language:
    # Werkzeug's LanguageAccept.best_match would take `en` for `zh-TW, en;q=0.5`: an exact match of any quality comes
    # first there.
    for tag, quality in parse_accept_header(header):
        language = _BY_PRIMARY_SUBTAG.get(re.split("[-_]", tag.lower())[0])
        if language is not None and quality:
            return language
    return ENGLISH
