"""
The help page of a refusal, HTML.

Imports `problems`, `language` and `accept_language`.
"""

import re
from html import escape

from authsvc.web.accept_language import LANGUAGES
from authsvc.web.language import Language
from authsvc.web.problems import Problem

_CODE = re.compile(r"`([^`]+)`")
_STYLE = """
:root { color-scheme: light dark; --soft: #566178; --line: #d5dbe6; --link: #2453d4; --code: #eef1f7; }
@media (prefers-color-scheme: dark) { :root { --soft: #a3aec2; --line: #333d50; --link: #8fb0ff; --code: #262d3a; } }
body {
  margin: 0 auto; padding: 1.25rem; max-width: 44rem; overflow-wrap: anywhere;
  font: 1rem/1.6 system-ui, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
nav { display: flex; justify-content: space-between; padding-bottom: .75rem; border-bottom: 1px solid var(--line); }
h1 { margin: 1.75rem 0 .25rem; font-size: 1.75rem; line-height: 1.25; }
h2 { margin: 1.75rem 0 .25rem; font-size: 1.1rem; }
p { margin: .5rem 0; }
a { color: var(--link); }
code { padding: .1em .3em; border-radius: 4px; background: var(--code); font-size: .9em; }
.facts { display: flex; flex-wrap: wrap; gap: 0 1.25rem; color: var(--soft); }
"""


def render(problem: Problem, language: Language) -> str:
    """Return the page of a refusal in a language, with links to it in the others."""
    text, words = language.problems[problem.name], language.page
    facts = (f"HTTP {problem.status}", f"{words.code} {problem.code}", f"/problems/{problem.name}")
    others = " ".join(
        f'<a href="?lang={other.tag}" hreflang="{other.tag}" lang="{other.tag}">{escape(other.name)}</a>'
        for other in LANGUAGES
        if other is not language
    )
    return f"""<!doctype html>
<html lang="{language.tag}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(text.title)} · authsvc</title>
<style>{_STYLE}</style>
<nav><span>authsvc</span> {others}</nav>
<h1>{escape(text.title)}</h1>
<p class="facts">{" ".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>
<h2>{escape(words.meaning)}</h2>
<p>{_html(text.meaning)}</p>
<h2>{escape(words.remedy)}</h2>
<p>{_html(words.retry[problem.retry])}</p>
<p>{_html(text.remedy)}</p>
</html>
"""


def _html(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))
