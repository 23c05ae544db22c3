"""What an audit says of one view or on-demand feature: how much agrees, and of what differs, what and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from inseam.ir.records import AuditRecord
from inseam.kernel.errors import ExtraMissingError

SHOWN = 10
"""Of how many reads that differ the report gives the values."""
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that was read and is not what the definition gives. Cells are plain data; NULL is None."""

    entity: Mapping[str, Any]
    feature: str
    boundary: str | None
    """ISO 8601; None for on-demand features, which have none."""
    read: Any
    recomputed: Any
    cause: str


@dataclass(frozen=True, slots=True)
class Audited:
    """A sample of the reads of one view, or of the calls of one on-demand feature, against its recomputation.

    ``low`` and ``high`` are a 95 % interval (Clopper and Pearson) of the share that agrees among all that there were.
    """

    subject: str
    """``feature_view:NAME`` or ``on_demand:NAME``."""
    endpoint: str
    """Whose predictions were drawn; empty: entities, read from the online store now."""
    fingerprint: str
    population: int
    """How many predictions, or entities, there were to draw from."""
    stale: int = 0
    """Reads for which a newer boundary was due."""
    missing: int = 0
    """Reads that found no row. They are compared where it is known up to which boundary there was none."""
    outdated: int = 0
    """Reads under another definition, or of another function, than the present one: not compared."""
    behind_seconds: float | None = None
    """The greatest age of a boundary when it was read."""
    rows: int = 0
    """Reads that were compared."""
    equal: int = 0
    """Those whose every value agrees."""
    low: float = 0.0
    high: float = 1.0
    causes: Mapping[str, int] = field(default_factory=dict)
    """Reads that differ, by why they are likely to."""
    differences: tuple[Difference, ...] = ()
    """The first ones."""

    @property
    def agreement(self) -> float | None:
        """None when there was nothing to compare."""
        return self.equal / self.rows if self.rows else None

    def compared(self, causes: Sequence[str | None], differences: Sequence[Difference]) -> Audited:
        """With the outcome. ``causes``: an item a read that was compared, None where nothing differs."""
        found = Counter(str(cause) for cause in causes if cause is not None)
        rows = len(causes)
        equal = rows - found.total()
        low, high = interval(equal, rows)
        told = dict(found.most_common())
        return replace(self, rows=rows, equal=equal, low=low, high=high, causes=told, differences=tuple(differences))

    def record(self, audited_at: int) -> AuditRecord:
        """What the ledger keeps: no entity, no value."""
        names = ("low", "high", "population", "stale", "missing", "outdated", "behind_seconds", "causes")
        facts = {name: getattr(self, name) for name in names}
        return AuditRecord(self.subject, self.endpoint, self.fingerprint, audited_at, self.rows, self.equal, facts)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"agreement": self.agreement}


def interval(equal: int, rows: int) -> tuple[float, float]:
    """The 95 % interval of Clopper and Pearson for a share, of which ``equal`` of ``rows`` draws were."""
    try:
        from scipy.stats import binomtest
    except ImportError:
        raise ExtraMissingError.for_library("scipy", "ml") from None
    if rows == 0:
        return 0.0, 1.0
    found = binomtest(equal, rows).proportion_ci(_CONFIDENCE, method="exact")
    return float(found.low), float(found.high)
