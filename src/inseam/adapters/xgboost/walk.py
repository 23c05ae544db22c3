"""Walks boosted trees that are laid out as one array: the inner loop of prediction."""

from __future__ import annotations

import math

import numba
import numpy as np

IDENTITY, SIGMOID, EXPONENTIAL, SOFTMAX = range(4)
LEFT, RIGHT, MISSING, FEATURE, VALUE, MEMBERS, COUNT = range(7)
BLOCK = 64
"""Rows that are walked through one tree while its nodes are in the nearest cache."""
NODE_WIDTH = 8
"""Of the int32 array of nodes: 32 bytes a node, so that a step of a walk touches one cache line.

``LEFT``, ``RIGHT``, ``MISSING``: the next node below the threshold, from it on, and for NaN; ``LEFT`` is -1 for a leaf.
``VALUE``: float32 bits of the threshold, or of the leaf's value. ``MEMBERS``, ``COUNT``: of a split by category, where
its members start (those go right) and how many codes they cover; -1 otherwise.
"""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk(
    matrix: np.ndarray,
    roots: np.ndarray,
    groups: np.ndarray,
    nodes: np.ndarray,
    members: np.ndarray,
    base: np.ndarray,
    link: int,
) -> np.ndarray:
    """float64 (rows, outputs) from float32 (rows, columns).

    Additions are float32 in the order of the trees, as XGBoost adds, whatever other rows are asked beside a row.
    """
    rows, outputs = matrix.shape[0], base.shape[0]
    floats = nodes.view(np.float32)
    result = np.empty((rows, outputs), np.float64)
    sums = np.empty((min(rows, BLOCK), outputs), np.float32)
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        for place in range(count):
            for output in range(outputs):
                sums[place, output] = base[output]
        for tree in range(roots.shape[0]):
            for place in range(count):
                leaf = _leaf(matrix[first + place], roots[tree], nodes, floats, members)
                sums[place, groups[tree]] += floats[leaf, VALUE]
        for place in range(count):
            _finish(sums[place], link, result[first + place])
    return result


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _leaf(values: np.ndarray, node: int, nodes: np.ndarray, floats: np.ndarray, members: np.ndarray) -> int:
    """The leaf in which one row ends, from the root ``node``."""
    while nodes[node, LEFT] >= 0:
        value = values[nodes[node, FEATURE]]
        if nodes[node, MEMBERS] >= 0 and not math.isnan(value):
            code = int(value) if value >= 0 else -1
            is_right = 0 <= code < nodes[node, COUNT] and members[nodes[node, MEMBERS] + code]
            node = nodes[node, RIGHT] if is_right else nodes[node, LEFT]
        else:
            # Arithmetic instead of branches, which a processor would guess wrong half the time.
            node = nodes[node, int(not value < floats[node, VALUE]) + int(math.isnan(value))]
    return node


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _finish(sums: np.ndarray, link: int, result: np.ndarray) -> None:
    if link == SOFTMAX:
        greatest = sums.max()
        total = 0.0
        for output in range(sums.shape[0]):
            result[output] = math.exp(float(sums[output]) - float(greatest))
            total += result[output]
        for output in range(sums.shape[0]):
            result[output] /= total
        return
    for output in range(sums.shape[0]):
        margin = float(sums[output])
        if link == SIGMOID:
            result[output] = 1.0 / (1.0 + math.exp(-margin))
        elif link == EXPONENTIAL:
            result[output] = math.exp(margin)
        else:
            result[output] = margin
