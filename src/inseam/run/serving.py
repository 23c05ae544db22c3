"""The server of a project: its endpoints, their champions and their online rows, put together in each worker."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.define.endpoint import Endpoint
from inseam.kernel.errors import NotFoundError
from inseam.run.context import Context
from inseam.run.online import endpoint_reader
from inseam.run.settings import read_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from inseam.stages.serve.endpoint import ServedEndpoint
    from inseam.stages.serve.settings import ServeSettings

LOG = "predictions"
"""The directory of the prediction log under the environment's home."""
