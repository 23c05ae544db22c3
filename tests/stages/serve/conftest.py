import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fastapi.testclient import TestClient

from inseam.stages.serve.app import create_app
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.settings import ServeSettings


@pytest.fixture
def serve(tmp_path):
    """Serves endpoints in this process: a context manager that gives a client. The log is in ``tmp_path/log``."""

    @contextmanager
    def serving(*endpoints, **settings) -> Iterator[TestClient]:
        told = ServeSettings(**settings)
        app = create_app(endpoints, log=PredictionLog(tmp_path / "log", told), settings=told)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client

    return serving
