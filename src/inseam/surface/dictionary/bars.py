"""Histograms as SVG: a sparkline for lists, a figure with labels for pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from inseam.ir.histogram import Bar

_WIDE, _HIGH = 480, 120


def sparkline(bars: Sequence[Bar], width: int = 96, height: int = 22) -> str:
    """Bars without words; each says what it is when pointed at."""
    if not bars:
        return ""
    return f'<svg class="bars" width="{width}" height="{height}" role="img">{_bars(bars, width, height)}</svg>'


def figure(bars: Sequence[Bar]) -> str:
    """Bars with their ends named below, and the greatest share above."""
    if not bars:
        return ""
    top = max(bar.share for bar in bars)
    first, last = bars[0].label.partition(" to ")[0], bars[-1].label.rpartition(" to ")[2]
    ends = f'<text x="0" y="{_HIGH + 34}">{escape(first)}</text>'
    if len(bars) > 1:
        ends += f'<text x="{_WIDE}" y="{_HIGH + 34}" text-anchor="end">{escape(last)}</text>'
    return (
        f'<svg class="bars" width="{_WIDE}" height="{_HIGH + 40}" viewBox="0 0 {_WIDE} {_HIGH + 40}" role="img">'
        f'<text x="0" y="10">{top:.0%}</text><g transform="translate(0 16)">{_bars(bars, _WIDE, _HIGH)}</g>{ends}</svg>'
    )


def _bars(bars: Sequence[Bar], width: int, height: int) -> str:
    top, step = max(bar.share for bar in bars) or 1.0, min(width / len(bars), width / 6)
    made = []
    for number, bar in enumerate(bars):
        tall = max(bar.share / top * height, 1.5 if bar.share else 0.5)
        place = f'x="{number * step:.2f}" y="{height - tall:.2f}" width="{step * 0.86:.2f}" height="{tall:.2f}"'
        made.append(f'<rect {place} rx="1"><title>{escape(bar.label)}: {bar.share:.1%}</title></rect>')
    return "".join(made)
