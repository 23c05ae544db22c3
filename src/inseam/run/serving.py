"""The server of a project: its endpoints, their champions and their online rows, put together in each worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:

    pass

LOG = "predictions"
"""The directory of the prediction log under the environment's home."""
