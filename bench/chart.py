"""
Bars as an SVG that reads well on a light page and on a dark one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

ROW, BAR, HEAD, PANEL, LABELS = 26, 16, 58, 200, 280
_STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; font-size: 15px; }
    .quiet { fill: #59636e; font-size: 12px; }
    .page { fill: #ffffff; }
    .ours { fill: #0969da; }
    .peer { fill: #afb8c1; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .quiet { fill: #9198a1; }
      .page { fill: #0d1117; }
      .ours { fill: #4493f8; }
      .peer { fill: #656c76; }
    }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One number of every row: a bar for each, the longest as wide as the panel; None draws none."""

    title: str
    values: Sequence[float | None]
    digits: int = 0


def bars(title: str, labels: Sequence[str], ours: Sequence[bool], panels: Sequence[Panel]) -> str:
    """
    Return the chart: a line for each label, and a column of bars for each panel.

    Args:
        ours: which lines to stress.
    """
    width, height = LABELS + PANEL * len(panels) + 16, HEAD + ROW * len(labels) + 12
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"  <style>{_STYLE}  </style>",
        f'  <rect class="page" width="{width}" height="{height}" rx="6"/>',
        f'  <text class="title" x="16" y="24">{escape(title)}</text>',
    ]
    lines += [f'  <text x="16" y="{_middle(number) + 5}">{escape(label)}</text>' for number, label in enumerate(labels)]
    for column, panel in enumerate(panels):
        left = LABELS + PANEL * column
        lines.append(f'  <text class="quiet" x="{left}" y="46">{escape(panel.title)}</text>')
        longest = max((value for value in panel.values if value), default=1)
        for number, value in enumerate(panel.values):
            if value is None:
                continue
            wide = max(1.0, value / longest * (PANEL - 76))
            kind = "ours" if ours[number] else "peer"
            top, middle, beside = _middle(number) - BAR // 2, _middle(number) + 4, left + wide + 6
            lines += [
                f'  <rect class="{kind}" x="{left}" y="{top}" width="{wide:.1f}" height="{BAR}" rx="2"/>',
                f'  <text class="quiet" x="{beside:.1f}" y="{middle}">{value:,.{panel.digits}f}</text>',
            ]
    return "\n".join([*lines, "</svg>\n"])


def _middle(number: int) -> int:
    return HEAD + ROW * number + ROW // 2
