"""The workspace: what a user holds to run a project. Every verb of the command line is a method here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from inseam.define.endpoint import Endpoint
from inseam.define.model import Model
from inseam.define.project import Project
from inseam.kernel.errors import Problem
from inseam.plan.diff import Plan
from inseam.ports.progress import Progress, silent
from inseam.run.context import Context
from inseam.run.settings import Settings, find_root, read_settings

if TYPE_CHECKING:
    from inseam.ir.records import (
        AliasRecord,
        LoadRecord,
        MaterializationRecord,
        RunRecord,
        TrainingSetRecord,
    )
    from inseam.plan.catalogue import Match
    from inseam.run.apply import Applied
    from inseam.run.compacting import Compaction
    from inseam.run.consuming import Told as Heard
    from inseam.run.describe import Description
    from inseam.run.erasure_record import AskedKey
    from inseam.run.examples import ExampleResult
    from inseam.run.forgetting import Erasure
    from inseam.run.freshening import Told
    from inseam.run.learning import Trained
    from inseam.run.lineage import Lineage
    from inseam.run.receipt import Receipt, Replay
    from inseam.run.status import Status
    from inseam.stages.features.fetched import FeatureRows
    from inseam.stages.observe.audited import Audited
    from inseam.stages.observe.compared import Compared
    from inseam.stages.score.scoring import ScoreResult


class Workspace:
    """A project in one environment. Use `open`, or give settings and declarations by hand.

    Instants are ISO 8601 texts or UTC microseconds where a method takes ``as_of``, ``at`` or ``watermark`` as integers.
    Long verbs take ``progress``, a callable ``(what, done, total)``.

    >>> from pathlib import Path
    >>> from inseam import Entity, Project
    >>> from inseam.run.settings import Settings
    >>> customer = Entity("customer", key="customer_id")
    >>> with Workspace(Settings(Path(), "shop", "shop"), Project.of("shop", [customer])) as workspace:
    ...     workspace.project.name
    'shop'
    """

    def __init__(self, settings: Settings, project: Project | None = None) -> None:
        self.settings = settings
        self.context = Context(settings, project)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was opened; leaving a `with` block does so too."""
        self.context.close()

    @property
    def project(self) -> Project:
        """The declarations, loaded at first use."""
        return self.context.project

    def check(self) -> list[Problem]:
        """Every mistake in the definitions."""
        return self.context.problems()

    def warnings(self, *names: str) -> tuple[Problem, ...]:
        """Uses of what is deprecated: everywhere, or by these declarations and what they are made from."""
        from inseam.plan.deprecation import warnings

        return warnings(self.project, *(self.context.declaration(name) for name in names))

    def test(self, *names: str) -> tuple[ExampleResult, ...]:
        """Run the examples with these names, or of declarations with these names (default: all)."""
        from inseam.run.examples import Examples

        with Examples(self.context) as examples:
            return tuple(examples.run(example) for example in examples.chosen(names))

    def plan(self) -> Plan:
        """What applying would change, what lies downstream of it, and what must be recomputed."""
        from inseam.run.apply import make_plan

        return make_plan(self.context)

    def apply(
        self,
        *,
        expected: str | None = None,
        can_destroy: bool = False,
        as_of: int | None = None,
        progress: Progress = silent,
    ) -> Applied:
        """Record the definitions and recompute what they changed; new online rows are those at ``as_of``."""
        from inseam.run.apply import apply

        return apply(self.context, expected=expected, can_destroy=can_destroy, as_of=as_of, progress=progress)

    def ingest(
        self,
        *sources: str,
        is_history: bool = False,
        watermark: int | None = None,
        progress: Progress = silent,
        loads: dict[str, LoadRecord | None] | None = None,
    ) -> dict[str, LoadRecord | None]:
        """Load what is new of these sources (default: of all). None for a source with nothing new.

        A source that fails keeps no other from being loaded: failures are raised together at the end, when ``loads``, a
        mapping to fill, holds what was loaded.
        """
        from inseam.run.ingesting import ingest_all

        loads = {} if loads is None else loads
        ingest_all(self.context, sources, loads, is_history=is_history, watermark=watermark, progress=progress)
        return loads

    def push(
        self,
        source: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        ids: Iterable[str] | None = None,
        key: str = "",
        progress: Progress = silent,
    ) -> int:
        """Put rows into a stream's log, durably; how many. An id, or a key and a place in it, is taken once."""
        from inseam.run.streaming import push

        return push(self.context, source, rows, ids=ids, key=key, progress=progress)

    def consume(
        self, source: str, *, is_until_idle: bool = False, told: Heard | None = None, progress: Progress = silent
    ) -> int:
        """Put what Kafka or Redis Streams publish for a source into its log, until interrupted; how many messages."""
        from inseam.run.consuming import consume

        return consume(self.context, source, is_until_idle=is_until_idle, told=told, progress=progress)

    def build(self, training_set: str, *, progress: Progress = silent) -> TrainingSetRecord:
        """Write a training set once under its fingerprint."""
        from inseam.run.learning import build_training_set

        return build_training_set(self.context, training_set, progress=progress)

    def train(
        self,
        model: str,
        *,
        params: Mapping[str, Any] | None = None,
        can_promote: bool = True,
        progress: Progress = silent,
    ) -> Trained:
        """Training set, fit, evaluation, registry, gates; promotes a version that passes."""
        from inseam.run.learning import train

        return train(self.context, model, params=params, can_promote=can_promote, progress=progress)

    def promote(self, model: str, version: int | None = None, *, is_forced: bool = False) -> AliasRecord:
        """Make a version (default: the newest) champion."""
        from inseam.run.learning import promote

        return promote(self.context, model, version, is_forced=is_forced)

    def roll_back(self, model: str) -> AliasRecord:
        """Make the champion before the present one champion again."""
        from inseam.run.learning import roll_back

        return roll_back(self.context, model)

    def materialize(
        self, *views: str, as_of: int | None = None, progress: Progress = silent
    ) -> dict[str, MaterializationRecord]:
        """Write online rows of these views (default: of all that are served) at the newest boundary."""
        from inseam.run.online import materialize_view

        names = views or tuple(view.name for view in self.context.online_views())
        return {name: materialize_view(self.context, name, as_of=as_of, progress=progress) for name in names}

    def freshen(self, *views: str, is_once: bool = False, told: Told | None = None) -> None:
        """Keep these views over streams (default: all that are served) fresh until interrupted, or for one step."""
        from inseam.run.freshening import freshen

        freshen(self.context, views, is_once=is_once, told=told)

    def fetch(
        self, views: Sequence[str], entities: Sequence[Mapping[str, Any]], *, at: int | None = None
    ) -> FeatureRows:
        """Online values of views for entities, each with its boundary."""
        from inseam.run.online import fetch

        return fetch(self.context, views, entities, at=at)

    def score(
        self,
        model: str,
        *,
        out: Path | None = None,
        as_of: int | None = None,
        spine: Path | None = None,
        version: int | None = None,
        progress: Progress = silent,
    ) -> ScoreResult:
        """Batch inference of all entities at an instant, or of the rows of a ``spine`` file."""
        from inseam.run.scoring import score

        return score(self.context, model, out=out, as_of=as_of, spine=spine, version=version, progress=progress)

    def serve(self, *, is_open_allowed: bool = False, **told: Any) -> None:
        """Serve every endpoint over HTTP until interrupted; ``is_open_allowed``: beyond this machine without tokens.

        ``told``: settings of the environment's table ``serve`` to override, such as ``port=8080, durability="disk"``.
        """
        from inseam.run.serving import serve

        serve(self.context, is_open_allowed=is_open_allowed, **told)

    def compact(self, *tables: str, progress: Progress = silent) -> Compaction:
        """Move the prediction log's sealed segments into its tables, and merge small files where a table has many.

        With the names of tables (``sources/orders``): merge all small files of just these.
        """
        from inseam.run.compacting import compact

        return compact(self.context, tables, progress=progress)

    def forget(self, entity: str, key: AskedKey, *, is_dry_run: bool = False, progress: Progress = silent) -> Erasure:
        """Erase an entity from everything that is kept, for good; rows of it that come later are dropped."""
        from inseam.run.forgetting import forget

        return forget(self.context, entity, key, is_dry_run=is_dry_run, progress=progress)

    def receipt(self, prediction: str) -> Receipt:
        """Everything that a served prediction was made from."""
        from inseam.run.receipt import receipt

        return receipt(self.context, prediction)

    def replay(self, prediction: str) -> Replay:
        """Compute a served prediction again from its recorded data, code and model, and compare bit for bit."""
        from inseam.run.receipt import replay

        return replay(self.context, prediction)

    def audit(
        self, name: str | None = None, *, sample: int = 1_000, since: int | None = None, is_online: bool = False
    ) -> tuple[Audited, ...]:
        """Draw what an endpoint served since an instant, or what is online, and compute each value again offline."""
        from inseam.run.audit import audit

        return audit(self.context, name, sample=sample, since=since, is_online=is_online)

    def compare(
        self, view: str, *, against: str | None = None, as_of: int | None = None, sample: int = 10_000
    ) -> Compared:
        """Compute a changed view as it is declared and as it was, for a sample of entities at one instant."""
        from inseam.run.comparing import compare

        return compare(self.context, view, against=against, as_of=as_of, sample=sample)

    def lineage(self, name: str) -> Lineage:
        """What a declaration, a model version or a prediction was made from, and what is made from it."""
        from inseam.run.lineage import lineage

        return lineage(self.context, name)

    def search(self, text: str) -> tuple[Match, ...]:
        """Declarations and features by words of their names, tags, columns, owners and descriptions, best first."""
        from inseam.plan.catalogue import search
        from inseam.run.describe import Describer

        return search(Describer(self.context).entries, text)

    def describe(self, name: str) -> Description:
        """Everything known of a declaration or a feature (``spend.orders_30d``): meaning, freshness, users, values."""
        from inseam.run.describe import Describer

        return Describer(self.context).describe(name)

    def status(self) -> Status:
        """What is loaded, built, promoted and online now."""
        from inseam.run.status import status

        return status(self.context)

    def runs(self, *, limit: int = 20) -> list[RunRecord]:
        """The newest runs, newest first; those whose processes were killed are found to have failed."""
        from inseam.ir.records import RunRecord
        from inseam.run.runs import close_killed

        close_killed(self.context.ledger)
        return self.context.ledger.select(RunRecord)[::-1][:limit]

    def models(self) -> tuple[str, ...]:
        """The names of the declared models."""
        return tuple(item.name for item in self.project.all(Model))

    def endpoints(self) -> tuple[str, ...]:
        """The names of the declared endpoints."""
        return tuple(item.name for item in self.project.all(Endpoint))


def open(path: Path | str = ".", *, environment: str | None = None) -> Workspace:
    """Open the project at or above ``path`` in an environment of its inseam.toml.

    `NotFoundError` when there is none, `SettingError` for a setting that is wrong.

    >>> import inseam
    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> directory = TemporaryDirectory()
    >>> _ = Path(directory.name, "inseam.toml").write_text('[project]\\nname = "shop"')
    >>> _ = Path(directory.name, "shop.py").write_text('from inseam import Entity\\nEntity("customer", key="id")')
    >>> with inseam.open(directory.name) as workspace:
    ...     [str(item.ref) for item in workspace.project.declarations], workspace.check()
    (['entity:customer'], [])
    >>> directory.cleanup()
    """
    return Workspace(read_settings(find_root(Path(path)), environment))
