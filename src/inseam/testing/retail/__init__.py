"""A clothing retailer, simulated: customers, orders, returns, promotions and web sessions with known behaviour.

>>> retail = simulate(Path("shop"), scale=0.1)
>>> retail.rows["orders"], retail.shift_at
"""

from inseam.testing.retail.simulation import Retail, simulate

__all__ = ["Retail", "simulate"]
