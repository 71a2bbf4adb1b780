"""The elements of an SVG picture. All texts are escaped, and control characters are replaced. PURE."""

import html

from gpunode.topo.layout import Rect
from node_core.domain.text import to_printable

MAX_LETTERS = 37


def draw_rotated(x: float, y: float, text: str, style: str) -> str:
    where = f'transform="translate({x:g} {y:g}) rotate(-90)" text-anchor="middle"'
    return f'<text {where} class="{style}">{escape(text)}</text>'


def draw_rect(rect: Rect, style: str, *, radius: float = 0) -> str:
    where = f'x="{rect.x:g}" y="{rect.y:g}" width="{rect.width:g}" height="{rect.height:g}" rx="{radius:g}"'
    return f'<rect class="{style}" {where}/>'


def draw_text(x: float, y: float, text: str, style: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def shorten(text: str) -> str:
    """Returns a text that fits into a box next to the counts of NVLinks."""
    return text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…"


def escape(text: str) -> str:
    return html.escape(to_printable(text))
