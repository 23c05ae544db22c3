"""Follows a model's champion alias in the ledger: opens and warms a promoted bundle beside the old one, then swaps."""

from __future__ import annotations

import threading
from collections.abc import Callable

from inseam.ir.records import AliasRecord, ModelVersionRecord
from inseam.ir.training import EndpointSpec
from inseam.kernel.errors import DataError, InseamError, NotFoundError
from inseam.ports.artifacts import Artifacts
from inseam.ports.bundle import Bundle, BundleManifest, open_kept
from inseam.ports.ledger import Ledger
from inseam.stages.serve.endpoint import Champion, FeatureReading, MemberReading
from inseam.stages.serve.predict import null_columns

ALIAS = "champion"
ServedAs = Callable[[BundleManifest], tuple[EndpointSpec, FeatureReading | None, MemberReading | None]]
"""The endpoint as a model needs it: with the views as they were when it was trained, what reads their rows, and what
reads the members of its wildcard."""


class ChampionWatch:
    """Polls every ``poll_seconds`` on a thread of its own. What cannot be opened leaves the old champion in place.

    ``models`` is where the ledger's bundle paths lie. ``served_as`` finds what a bundle is to be
    asked with, which is swapped together with it; a bundle that needs what there is not is refused.
    """

    def __init__(
        self,
        ledger: Ledger,
        model: str,
        models: Artifacts,
        *,
        served_as: ServedAs,
        poll_seconds: float = 1.0,
        opener: Callable[[Artifacts, str, str], Bundle] = open_kept,
    ) -> None:
        self.current: Champion | None = None
        self.problem: str | None = f"no version of {model} has been promoted to {ALIAS}"
        self._ledger = ledger
        self._model = model
        self._models = models
        self._served_as = served_as
        self._poll_seconds = poll_seconds
        self._open = opener
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look once, so that a server that can be ready is, then follow in the background."""
        if self._thread is not None:
            return
        self.look()
        self._thread = threading.Thread(target=self._follow, name=f"champion-{self._model}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def look(self) -> None:
        """One look at the ledger. Never raises: what went wrong is in ``problem``, and the next look tries again."""
        try:
            self._swap()
        except InseamError as error:
            self.problem = error.problems[0].found if error.problems else str(error)
        except Exception as error:  # noqa: BLE001 - an adapter's own failure must not end the watch
            self.problem = f"the promotion could not be read: {type(error).__name__}"

    def _follow(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.look()

    def _swap(self) -> None:
        alias = self._ledger.get(AliasRecord, self._model, ALIAS)
        if alias is None:
            if self.current is None:
                self.problem = f"no version of {self._model} has been promoted to {ALIAS}"
            return
        if self.current is not None and self.current.version == alias.version:
            self.problem = None
            return
        record = self._ledger.get(ModelVersionRecord, self._model, alias.version)
        if record is None:
            raise NotFoundError(f"model:{self._model}", f"version {alias.version} is promoted and not in the ledger")
        bundle = self._open(self._models, record.path, record.digest)
        spec, reader, members = self._served_as(bundle.manifest)
        check_fit(bundle, spec)
        warm(bundle)
        self.current = Champion(bundle, alias.version, spec, reader, members)
        self.problem = None


def check_fit(bundle: Bundle, spec: EndpointSpec) -> None:
    """`DataError` when the bundle needs a column that the endpoint does not bring in that type."""
    brought = {field.name: field.type for view in spec.views for field in view.schema}
    brought |= {field.name: field.type for field in spec.inputs}
    manifest = bundle.manifest
    needed = [*(field for use in manifest.views for field in use.features), *manifest.inputs]
    wrong = [field.name for field in needed if brought.get(field.name) is not field.type]
    if wrong:
        raise DataError(
            f"endpoint:{spec.name}",
            f"the promoted model needs {', '.join(wrong)}, which this endpoint does not bring in that type",
            mend="restart the server with the applied definitions",
        )


def warm(bundle: Bundle) -> None:
    """Ask the bundle a few times with NULLs, so that the first request does not pay for lazy set-up."""
    for _ in range(3):
        bundle.predict(null_columns(bundle.manifest))
