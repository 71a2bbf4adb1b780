"""Plots as SVG: bars that are compared with 1, and lines over time. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

FONT = 'font-family="ui-monospace,monospace" font-size="12"'
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")
MET, MISSED = "#2ca02c", "#d62728"
LABEL, WIDTH, ROW, MOST = 470, 420, 20, 2.0
HEIGHT, MARGIN = 160, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """value, low, high: parts of the goal. text: shown beside the bar."""

    label: str
    value: float
    low: float
    high: float
    text: str


def render_bars(title: str, bars: Sequence[Bar]) -> str:
    """Returns a horizontal bar for each value, with a line at 1. Values above MOST are cut."""
    height = ROW * (len(bars) + 2)
    parts = [_text(10, 14, title)]
    for row, bar in enumerate(bars, start=1):
        top, color = ROW * row, MET if bar.value <= 1 else MISSED
        parts.append(_text(10, top + 14, bar.label))
        parts.append(f'<rect x="{LABEL}" y="{top + 3}" width="{_scaled(bar.value):.0f}" height="14" fill="{color}"/>')
        parts.append(_line(LABEL + _scaled(bar.low), top + 10, LABEL + _scaled(bar.high), top + 10, "#000000"))
        parts.append(_text(LABEL + WIDTH + 10, top + 14, bar.text))
    parts.append(_line(LABEL + _scaled(1), ROW, LABEL + _scaled(1), height - ROW, "#000000"))
    return _svg(LABEL + WIDTH + 200, height, parts)


def render_lines(title: str, seconds: Sequence[float], series: Mapping[str, Sequence[float]]) -> str:
    """Returns a panel for each series over the same seconds. Each panel begins at 0."""
    width, height = LABEL + WIDTH, (HEIGHT + MARGIN) * len(series) + ROW
    parts, last = [_text(10, 14, title)], max(seconds, default=0) or 1
    for number, (name, values) in enumerate(series.items()):
        top, most = ROW + (HEIGHT + MARGIN) * number + 20, max(values, default=0) or 1
        points = " ".join(
            f"{60 + (width - 80) * at / last:.1f},{top + HEIGHT * (1 - value / most):.1f}"
            for at, value in zip(seconds, values, strict=True)
        )
        parts += [_text(10, top - 6, name), _text(10, top + 10, f"{most:.4g}"), _text(10, top + HEIGHT, "0")]
        parts.append(f'<rect x="60" y="{top}" width="{width - 80}" height="{HEIGHT}" fill="none" stroke="#999999"/>')
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLORS[number % len(COLORS)]}" stroke-width="1.5"/>'
        )
        parts.append(_text(width - 90, top + HEIGHT + 15, f"{last:.0f} s"))
    return _svg(width, height, parts)


def _scaled(value: float) -> float:
    return min(value, MOST) / MOST * WIDTH


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {FONT}>{escape(text)}</text>'


def _line(left: float, top: float, right: float, bottom: float, color: str) -> str:
    return (
        f'<line x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}" stroke="{color}" stroke-width="1.5"/>'
    )


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>", ""])
