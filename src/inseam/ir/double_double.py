"""Arithmetic on unevaluated pairs (high, low) of about 106 bits: sums whose order can't be told.

`two_sum` and `two_product` take numbers or arrays, and may be compiled: they are nothing but additions and products.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

Numbers = TypeVar("Numbers", float, np.ndarray)

_SPLIT = 134217729.0  # 2**27 + 1: Dekker's constant


def two_sum(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers]:
    """(s, e) with s = a + b rounded and s + e = a + b exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def two_product(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers]:
    """(p, e) with p = a * b rounded and p + e = a * b exactly, for sizes between 1e-145 and 1e145 (Dekker)."""
    p = a * b
    t = _SPLIT * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLIT * b
    b_high = t - (t - b)
    b_low = b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def add(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The sum of pairs. What is not finite is told by ``high`` alone."""
    high, error = two_sum(a[0], b[0])
    high, low = two_sum(high, error + (a[1] + b[1]))
    is_odd = ~np.isfinite(high)
    if is_odd.any():
        high = np.where(is_odd, a[0] + b[0], high)
        low = np.where(is_odd, 0.0, low)
    return high, low
