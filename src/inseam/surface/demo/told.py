"""What the steps have to tell, in words and as plain data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inseam.define.model import Model
from inseam.ir.records import AliasRecord, ModelVersionRecord, VerdictRecord
from inseam.kernel.clock import format_instant
from inseam.ports.progress import Progress
from inseam.surface.demo.prepare import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inseam.plan.diff import Plan
    from inseam.run.learning import Trained
    from inseam.run.receipt import Replay
    from inseam.run.workspace import Workspace

METRIC = "roc_auc"
NOTHING_TO_DO = "nothing to do: what is stored matches what is declared"


def shop(made: Shop) -> str:
    rows = made.rows
    return (
        f"{rows['orders']:,} order lines, {rows['returns']:,} returns and {rows['web_sessions']:,} web sessions of "
        f"{rows['customers']:,} customers, {format_instant(made.start)[:10]} to {format_instant(made.end - 1)[:10]}"
    )


def plan(made: Plan) -> Iterator[str]:
    """How many definitions change, and the widest blast radius of a source."""
    changed = [change for change in made.changes if change.change != "unchanged"]
    if not changed:
        yield NOTHING_TO_DO
        return
    counts = Counter(change.change.value for change in changed)
    yield ", ".join(f"{number} definitions {change}" for change, number in counts.items())
    sources = [change for change in changed if change.ref.startswith("source:")]
    if sources:
        widest = max(sources, key=lambda change: len(change.reaches))
        ends = [ref for ref in widest.reaches if ref.startswith(("model:", "endpoint:"))]
        yield f"a change of {widest.ref} would reach {len(widest.reaches)} of them, among them {', '.join(ends)}"


def quarantine(workspace: Workspace, source: str, count: int) -> list[str]:
    """The first row in quarantine for each of some reasons: file, line, why."""
    import pyarrow.dataset as ds

    tables, table = workspace.context.tables, f"quarantine/{source}"
    if table not in tables.list():
        return []
    told = ("file", "line", "reason")
    files = list(tables.snapshot(table).files)
    rows = ds.dataset(files, filesystem=tables.files).to_table(columns=[*told, "check"])
    firsts = rows.group_by("check", use_threads=False).aggregate([(name, "first") for name in told])
    return [f"{Path(row['file_first']).name}:{row['line_first']} {row['reason_first']}" for row in firsts.to_pylist()][
        :count
    ]


def trained_before(workspace: Workspace, name: str, progress: Progress) -> Trained | None:
    """The version that the same definitions made of the same rows earlier, if there is one and it was judged."""
    from inseam.run.learning import CHAMPION, Trained

    context = workspace.context
    declared = workspace.project.get(Model, name)
    rows = workspace.build(declared.training_set.name, progress=progress)
    spec = context.model(name, context.checked())
    versions = context.ledger.select(
        ModelVersionRecord, model=name, fingerprint=spec.fingerprint, training_set=rows.fingerprint
    )
    if not versions:
        return None
    verdicts = context.ledger.select(VerdictRecord, model=name, version=versions[-1].version)
    if not verdicts:
        return None
    return Trained(rows, versions[-1], verdicts[-1], context.ledger.get(AliasRecord, name, CHAMPION))


def training(trained: Trained) -> Iterator[str]:
    """The training set, the metric on rows that training never saw, and what the gates said."""
    rows, version, facts = trained.training_set, trained.version, model(trained)
    counts = rows.counts
    yield (
        f"{rows.name}: {rows.rows:,} rows, {counts['positive_rate']:.1%} positive: {counts['train']:,} to train on, "
        f"{counts['test']:,} to test; {counts['purged']:,} purged, {counts['unripe']:,} not ripe"
    )
    yield f"{version.model}@{version.version}: {interval(facts)}, digest {version.digest[:16]}"
    yield "gates: " + ", ".join(f"{name} {'passed' if ok else 'FAILED'}" for name, ok in facts["gates"].items())


def training_set(trained: Trained) -> dict[str, Any]:
    made = trained.training_set
    return {"rows": made.rows, "digest": made.digest, **made.counts}


def model(trained: Trained) -> dict[str, Any]:
    """The version, its metric on the test rows, and the verdict of each gate."""
    return {
        "version": trained.version.version,
        "digest": trained.version.digest,
        "metric": METRIC,
        **trained.version.metrics["test"][METRIC],
        "gates": {name: bool(gate["passed"]) for name, gate in trained.verdict.gates.items()},
    }


def interval(facts: dict[str, Any]) -> str:
    return f"{facts['metric']} {facts['value']:.4f} [{facts['low']:.4f}, {facts['high']:.4f}]"


def prediction(reply: dict[str, Any]) -> str:
    asked = ", ".join(f"{name} {value}" for name, value in reply["asked"].items())
    return f"{reply['endpoint']}@{reply['model_version']}: {reply['predictions'][0]['probability']:.6f} for {asked}"


def staleness(reply: dict[str, Any]) -> str:
    """Why the rows are marked stale, when they are."""
    one = reply["predictions"][0]
    boundaries = sorted({one["boundaries"][name] for name in one["stale"]})
    return f"marked stale: the shop's time stands at {', '.join(boundaries)}, the server's clock does not"


def verdict(replayed: Replay) -> str:
    if replayed.is_equal:
        return f"equal, {replayed.compared} values"
    differing = ", ".join(difference.what for difference in replayed.differences)
    return f"DIFFERENT in {differing} of {replayed.compared} values"


def receipt(replayed: Replay) -> dict[str, Any]:
    """The receipt of a prediction in short."""
    made = replayed.receipt
    return {
        "prediction": made.prediction.id,
        "at": format_instant(made.prediction.at),
        "model": f"{made.model.model}@{made.model.version}",
        "model_digest": made.prediction.model_digest,
        "training_set_digest": made.model.training_set_digest,
        "commit": made.model.provenance["commit"],
        "features": made.prediction.features | made.prediction.derived,
        "views": {
            name: {
                "boundary": None if read.boundary is None else format_instant(read.boundary),
                "snapshot": read.version,
            }
            for name, read in made.prediction.views.items()
        },
        "replay": verdict(replayed),
    }


def score_of(path: Path, customer: int) -> float | None:
    """The batch's score of one customer; None when it is not among the rows."""
    import pyarrow.parquet as parquet

    rows = parquet.read_table(path, filters=[("customer_id", "=", customer)]).to_pylist()
    return rows[0]["probability"] if rows else None
