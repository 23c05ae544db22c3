"""A lineage graph as SVG: layers from left to right, each thing behind what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 176, 34
_GAP_X, _GAP_Y, _MARGIN = 64, 14, 8
_ROUNDS = 6
_LETTERS = 23
_LEAST = 0.75
"""How far a wide graph shrinks to fit before it is scrolled."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """``parents``: references of what it is made from; those that are not in the graph are passed over."""

    ref: str
    parents: tuple[str, ...]


def lineage_svg(nodes: Sequence[GraphNode], link: Callable[[str], str], current: str = "") -> str:
    """The graph; ``link`` gives the address of a node's page, ``current`` is marked."""
    if not nodes:
        return ""
    known = {node.ref: node for node in nodes}
    parents = _nearest({node.ref: [ref for ref in node.parents if ref in known] for node in nodes})
    layers = _ordered(_layers(parents), parents)
    tallest = max(len(layer) for layer in layers)
    place: dict[str, tuple[float, float]] = {}
    for column, layer in enumerate(layers):
        top = (tallest - len(layer)) * (HEIGHT + _GAP_Y) / 2
        for row, ref in enumerate(layer):
            place[ref] = (_MARGIN + column * (WIDTH + _GAP_X), _MARGIN + top + row * (HEIGHT + _GAP_Y))
    width = 2 * _MARGIN + len(layers) * (WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + tallest * (HEIGHT + _GAP_Y) - _GAP_Y
    edges = [_edge(place[parent], place[ref]) for ref, found in parents.items() for parent in found]
    boxes = [_box(ref, *place[ref], link(ref), is_current=ref == current) for layer in layers for ref in layer]
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" style="min-width: {width * _LEAST:.0f}px"'
    return f'<svg class="lineage" role="img" aria-label="lineage" {size}>{"".join(edges)}{"".join(boxes)}</svg>'


def _nearest(parents: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Without the parents that another parent is made from: the way through it shows as much."""
    above: dict[str, set[str]] = {}

    def ancestors(ref: str) -> set[str]:
        if ref not in above:
            above[ref] = set(parents[ref]).union(*(ancestors(parent) for parent in parents[ref]))
        return above[ref]

    return {
        ref: [one for one in dict.fromkeys(found) if not any(one in ancestors(other) for other in found)]
        for ref, found in parents.items()
    }


def _layers(parents: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Each node one layer behind the last of its parents."""
    depth: dict[str, int] = {}

    def deep(ref: str) -> int:
        if ref not in depth:
            depth[ref] = 1 + max((deep(parent) for parent in parents[ref]), default=-1)
        return depth[ref]

    layers: list[list[str]] = []
    for ref in parents:
        while len(layers) <= deep(ref):
            layers.append([])
        layers[deep(ref)].append(ref)
    return layers


def _ordered(layers: list[list[str]], parents: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Layers sorted by the middle of each node's neighbours, forth and back, so that few edges cross."""
    children: dict[str, list[str]] = {ref: [] for ref in parents}
    for ref, found in parents.items():
        for parent in found:
            children[parent].append(ref)
    for number in range(_ROUNDS):
        neighbours = children if number % 2 else parents
        at = {ref: row / len(layer) for layer in layers for row, ref in enumerate(layer)}
        layers = [sorted(layer, key=lambda ref: _middle(ref, neighbours, at)) for layer in layers]
    return layers


def _middle(ref: str, neighbours: Mapping[str, Sequence[str]], at: Mapping[str, float]) -> float:
    near = neighbours[ref]
    return sum(at[one] for one in near) / len(near) if near else at[ref]


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT / 2, end[0], end[1] + HEIGHT / 2
    bend = max((x2 - x1) / 2, _GAP_X / 2)
    return f'<path class="edge" d="M{x1:g},{y1:g} C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2:g},{y2:g}"/>'


def _box(ref: str, x: float, y: float, link: str, *, is_current: bool) -> str:
    kind, _, name = ref.partition(":")
    shown = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
    marked = " current" if is_current else ""
    return (
        f'<a href="{escape(link)}" class="node {escape(kind)}{marked}"><title>{escape(ref)}</title>'
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="7"/>'
        f'<circle cx="{x + 14:g}" cy="{y + HEIGHT / 2:g}" r="4"/>'
        f'<text x="{x + 25:g}" y="{y + HEIGHT / 2 + 4:g}">{escape(shown)}</text></a>'
    )
