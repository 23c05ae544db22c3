# ruff: noqa: FBT001 - compiled loops take their arguments by position
"""Compiled answers by rank over windows: the nth newest row, the most frequent values, and the least hashes.

Rows are counted in as they join a window and out as they leave it, in a Fenwick tree or value by value.
"""

import numpy as np

from inseam.adapters.duckdb.sweep_kernels import MAX, rank
from inseam.adapters.duckdb.sweep_layout import Array, Layout, is_idle, kernel, line_up, longest_run
from inseam.adapters.duckdb.sweep_quantile import at, count_in, rank_cells


@kernel
def _walk_newest(
    layout: Layout, key: int, w: int, nth: int, tree: Array, joining: Array, leaving: Array, out: Array
) -> None:
    """Answer one key's windows of one length; -1 where they hold fewer rows."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    first = layout.event_start[key]
    size = layout.event_start[key + 1] - first
    tree[: size + 1] = 0
    held = joined = gone = 0
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        for i in range(joined, entered[s] - first):
            if joining[i] >= 0:
                count_in(tree, size, joining[i] - first, 1)
                held += 1
        joined = entered[s] - first
        for i in range(gone, begin[w, s] - first):
            if leaving[i] >= 0:
                count_in(tree, size, leaving[i] - first, -1)
                held -= 1
        gone = begin[w, s] - first
        out[spine_row[s]] = first + at(tree, size, held - nth) if held >= nth else -1


@kernel
def newest(c0: int, c1: int, layout: Layout, windows: Array, nth: int, passing: Array, out: Array) -> None:
    """Position of the nth newest passing row of each window, -1 for none, into out int32[len(windows), m]."""
    longest = longest_run(layout, c0, c1)
    tree, lines = np.empty(longest + 1, np.int32), np.empty((2, longest), np.int32)
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        for k in range(windows.size):
            line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
            leaving = lines[1 if layout.is_late[key] else 0]
            _walk_newest(layout, key, windows[k], nth, tree, lines[0], leaving, out[k])


@kernel
def _number(first: int, last: int, cells: Array, is_float: bool, ranked: Array, codes: Array, example: Array) -> int:
    """Number the key's different values 0, 1, ... in their order, each with a row that has it; returns how many."""
    rank_cells(first, last, cells, is_float, ranked, codes)
    different = 0
    before = 0
    for i in range(last - first):
        value = rank(MAX, is_float, first + ranked[i], cells)
        if i == 0 or value != before:
            example[different] = first + ranked[i]
            different += 1
        before = value
        codes[ranked[i]] = different - 1
    return different


@kernel
def _lead(held: Array, different: int, lead: Array) -> None:
    """The codes of the most frequent values, of equally frequent ones the least first; -1 where there are no more."""
    lead[:] = -1
    for code in range(different):
        j = lead.size
        while j > 0 and held[code] > 0 and (lead[j - 1] < 0 or held[lead[j - 1]] < held[code]):
            j -= 1
            if j + 1 < lead.size:
                lead[j + 1] = lead[j]
        if j < lead.size:
            lead[j] = code


@kernel
def _walk_frequent(
    layout: Layout, key: int, w: int, codes: Array, example: Array, different: int, held: Array, lead: Array,
    joining: Array, leaving: Array, out: Array,
) -> None:  # fmt: skip
    """Answer one key's windows of one length."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    first = layout.event_start[key]
    held[:different] = 0
    joined = gone = 0
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        for i in range(joined, entered[s] - first):
            if joining[i] >= 0:
                held[codes[joining[i] - first]] += 1
        joined = entered[s] - first
        for i in range(gone, begin[w, s] - first):
            if leaving[i] >= 0:
                held[codes[leaving[i] - first]] -= 1
        gone = begin[w, s] - first
        _lead(held, different, lead)
        for j in range(lead.size):
            out[j, spine_row[s]] = example[lead[j]] if lead[j] >= 0 else -1


@kernel
def frequent(c0: int, c1: int, layout: Layout, windows: Array, cells: Array, passing: Array, out: Array) -> None:
    """Positions of rows that have the most frequent cells, -1 where there are fewer, into out int32[W, n, m]."""
    longest = longest_run(layout, c0, c1)
    ranked, codes = np.empty(longest, np.int64), np.empty(longest, np.int32)
    example, held = np.empty(longest, np.int32), np.empty(longest, np.int32)
    lines, lead = np.empty((2, longest), np.int32), np.empty(out.shape[1], np.int32)
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        different = _number(layout.event_start[key], layout.event_start[key + 1], cells, False, ranked, codes, example)
        for k in range(windows.size):
            line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
            leaving = lines[1 if layout.is_late[key] else 0]
            _walk_frequent(layout, key, windows[k], codes, example, different, held, lead, lines[0], leaving, out[k])


@kernel
def _walk_hashes(
    layout: Layout, key: int, w: int, most: int, codes: Array, different: int, held: Array, tree: Array,
    joining: Array, leaving: Array, count: Array, last: Array,
) -> None:  # fmt: skip
    """Answer one key's windows of one length: how many hashes are kept, and the code of the greatest of them."""
    begin, entered, spine_row = layout.begin, layout.entered, layout.spine_row
    first = layout.event_start[key]
    held[:different] = 0
    tree[: different + 1] = 0
    kinds = joined = gone = 0
    for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
        for i in range(joined, entered[s] - first):
            if joining[i] >= 0:
                code = codes[joining[i] - first]
                if held[code] == 0:
                    count_in(tree, different, code, 1)
                    kinds += 1
                held[code] += 1
        joined = entered[s] - first
        for i in range(gone, begin[w, s] - first):
            if leaving[i] >= 0:
                code = codes[leaving[i] - first]
                held[code] -= 1
                if held[code] == 0:
                    count_in(tree, different, code, -1)
                    kinds -= 1
        gone = begin[w, s] - first
        kept = min(kinds, most)
        count[spine_row[s]] = kept
        last[spine_row[s]] = at(tree, different, kept - 1) if kept else -1


@kernel
def hashes(
    c0: int,
    c1: int,
    layout: Layout,
    windows: Array,
    most: int,
    cells: Array,
    passing: Array,
    count: Array,
    greatest: Array,
) -> None:
    """How many of the ``most`` least cells each window has, each once, and the greatest of them: int64[W, m]."""
    longest = longest_run(layout, c0, c1)
    ranked, codes = np.empty(longest, np.int64), np.empty(longest, np.int32)
    example, held = np.empty(longest, np.int32), np.empty(longest, np.int32)
    lines, tree = np.empty((2, longest), np.int32), np.empty(longest + 1, np.int32)
    for key in range(c0, c1):
        if is_idle(layout, key):
            continue
        different = _number(layout.event_start[key], layout.event_start[key + 1], cells, False, ranked, codes, example)
        for k in range(windows.size):
            line_up(layout, key, layout.over[windows[k]], passing, lines[0], lines[1])
            leaving = lines[1 if layout.is_late[key] else 0]
            _walk_hashes(
                layout, key, windows[k], most, codes, different, held, tree, lines[0], leaving, count[k], greatest[k]
            )
            for s in range(layout.spine_start[key], layout.spine_start[key + 1]):
                row = layout.spine_row[s]
                greatest[k, row] = cells[example[greatest[k, row]]] if greatest[k, row] >= 0 else 0
