"""One opened environment of one project: its declarations, and the adapters that its settings name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from inseam.define.declaration import Declaration
from inseam.define.endpoint import Endpoint
from inseam.define.feature_view import FeatureView
from inseam.define.model import Model
from inseam.define.project import Project, load
from inseam.define.source import Source
from inseam.define.training_set import TrainingSet
from inseam.ir.checks import SourceSpec
from inseam.ir.records import SourceSchemaRecord
from inseam.ir.spine import WildcardSpine
from inseam.ir.training import EndpointSpec, ModelSpec, TrainingSetSpec
from inseam.ir.windows import WindowedAggregate
from inseam.kernel.errors import NotFoundError, Problem, SettingError
from inseam.kernel.types import DataType, Field, Schema
from inseam.plan import lower
from inseam.plan.check import check, require
from inseam.plan.meaning import lineage
from inseam.plan.schemas import Schemas, find_schemas, table_of
from inseam.plan.views import view_spec
from inseam.ports.artifacts import Artifacts, SharedArtifacts
from inseam.ports.bundle import ViewUse
from inseam.ports.discover import adapter
from inseam.run.files import columns_of, digest_of, sources_without_files
from inseam.run.settings import Settings

if TYPE_CHECKING:
    from inseam.ports.consumer import Consumer
    from inseam.ports.engine import Engine
    from inseam.ports.ledger import Ledger
    from inseam.ports.online import OnlineStore
    from inseam.ports.stream_log import StreamLog
    from inseam.ports.tables import Tables
    from inseam.ports.tracker import Tracker


class Context:
    """Everything is opened on first use, so that a verb pays only for what it touches."""

    def __init__(self, settings: Settings, project: Project | None = None) -> None:
        self.settings = settings
        self._project = project

    @cached_property
    def declared(self) -> Project:
        """What could be loaded, with the mistakes in it."""
        if self._project is not None:
            return self._project
        return load(self.settings.project, self.settings.definitions, self.settings.root)

    @property
    def project(self) -> Project:
        """The project, all of whose declarations could be made; `DefinitionError` with every mistake otherwise."""
        if self.declared.mistakes:
            require(self.declared, self.schemas())
        return self.declared

    @cached_property
    def ledger(self) -> Ledger:
        self.path(".")
        opened: Ledger = self._adapter("ledger", "sql")(self.settings.ledger_url)
        return opened

    @cached_property
    def tables(self) -> Tables:
        return self.new_tables(self.settings.tables_url or self.path("tables"))

    def new_tables(self, place: str | Path) -> Tables:
        """Tables of this environment's kind in a directory, or an object store, of their own."""
        opened: Tables = self._adapter("tables", self.settings.tables)(place)
        return opened

    @cached_property
    def models(self) -> Artifacts:
        """Where bundles are kept, under the paths of their records."""
        return self._artifacts("models", "model_copies")

    @cached_property
    def training_sets(self) -> Artifacts:
        return self._artifacts("training_sets", "training_set_drafts")

    def _artifacts(self, name: str, beside: str) -> Artifacts:
        """In the environment's object store, with a place of their own on this machine; else here."""
        url = self.settings.artifacts_url
        return SharedArtifacts(self.path(beside), f"{url.rstrip('/')}/{name}") if url else Artifacts(self.path(name))

    @cached_property
    def engine(self) -> Engine:
        return self.new_engine(self.tables, self.path("spill"))

    def new_engine(self, tables: Tables, directory: Path) -> Engine:
        """An engine of this environment's kind that reads these tables and spills into ``directory``."""
        settings = self.settings
        elsewhere = {"url": settings.engine_url, "staging": settings.staging}
        opened: Engine = self._adapter("engine", settings.engine)(
            tables,
            directory=directory,
            memory_limit=settings.memory,
            threads=settings.threads or None,
            **{option: value for option, value in elsewhere.items() if value},
        )
        return opened

    @cached_property
    def online(self) -> OnlineStore:
        settings = self.settings
        opened: OnlineStore
        if not settings.online_url:
            opened = self._adapter("online", settings.online)(self.path("online"))
        else:  # a server, which other projects and environments use too
            namespace = f"{settings.project}:{settings.environment}"
            opened = self._adapter("online", settings.online)(settings.online_url, namespace=namespace)
        return opened

    @cached_property
    def stream_log(self) -> StreamLog:
        opened: StreamLog = self._adapter("stream_log", "lmdb")(self.path("stream"))
        return opened

    def consumer(self, source: str) -> Consumer:
        """What reads the messages that are published for a source, in the name of this environment."""
        settings = self.settings
        url = settings.consume.get(source)
        if url is None:
            raise SettingError(
                f"source:{source}",
                f"the environment {settings.environment} does not say where its rows are published",
                mend=f'[environments.{settings.environment}.consume.{source}] url = "redis://..." or "kafka://..."',
            )
        group = f"{settings.project}.{settings.environment}.{source}"
        opened: Consumer = self._adapter("consumer", urlsplit(url).scheme)(url, topic=source, group=group)
        return opened

    @cached_property
    def tracker(self) -> Tracker:
        opened: Tracker = self._adapter("tracker", "mlflow")(self.settings.tracking_uri, self.path("artifacts"))
        return opened

    @staticmethod
    def _adapter(kind: str, name: str) -> Any:
        return adapter(kind, name)

    def path(self, name: str) -> Path:
        """A directory under the environment's home, made when it is not there."""
        directory = self.settings.directory / name
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(
                f"environment {self.settings.environment}",
                f"its home cannot be made: {directory}: {error.strerror}",
                mend="set home in inseam.toml, or INSEAM_HOME, to a directory that can be written",
            ) from None
        return directory

    def schemas(self, assumed: Mapping[str, Schema] | None = None) -> Schemas:
        """What is known now of every source's, transform's and spine file's columns.

        ``assumed``: columns of sources, by name, to take where nothing is known of them.
        """
        held = dict(assumed or {}) | {
            record.source: Schema(tuple(Field(name, DataType(type_)) for name, type_ in record.columns.items()))
            for record in self.ledger.select(SourceSchemaRecord)
        }
        return find_schemas(
            self.declared,
            held,
            lambda relation, before: self.engine.schema(relation, before=before),
            self._bind,
            lambda path: columns_of(self.settings.root / path),
        )

    def _bind(self, expressions: Mapping[str, str], schema: Schema) -> Schema:
        """The types that the engine gives expressions, seen on no rows."""
        import pyarrow as pa

        no_rows = pa.RecordBatchReader.from_batches(schema.to_arrow(), [])
        return Schema.from_arrow(self.engine.evaluate(no_rows, expressions).schema)

    def problems(self) -> list[Problem]:
        """Every mistake in the definitions and their examples, and every source of which nothing can be known.

        Those of examples and of sources without columns or files keep nobody from working with the rest.
        """
        schemas = self.schemas()
        return [
            *check(self.declared, schemas),
            *sources_without_files(self.declared, schemas, self.settings.root),
            *(problem for example in self.declared.examples for problem in example.problems()),
        ]

    def checked(self) -> Schemas:
        """The schemas of a project without mistakes; `DefinitionError` lists all that there are."""
        schemas = self.schemas()
        require(self.declared, schemas)
        return schemas

    def placed(self, problem: Problem) -> Problem:
        """The problem with the place of the declaration that it is about, which those who run steps don't know."""
        if problem.place is not None or "declared" not in self.__dict__:
            return problem
        places = {str(item.ref): item.place for item in self.declared.declarations}
        places |= {table_of(source): source.place for source in self.declared.all(Source)}
        return replace(problem, place=places.get(problem.subject))

    def source(self, name: str) -> SourceSpec:
        return lower.source_spec(self.project.get(Source, name), self.settings.root)

    def view(self, name: str, schemas: Schemas) -> tuple[WindowedAggregate, str]:
        """A view's spec and the fingerprint under which its online rows are kept."""
        view = self.project.get(FeatureView, name)
        return view_spec(view, schemas), lineage(view)

    def training_set(self, name: str, schemas: Schemas) -> TrainingSetSpec:
        return self._training_set(self.project.get(TrainingSet, name), schemas)

    def _training_set(self, item: TrainingSet, schemas: Schemas) -> TrainingSetSpec:
        return lower.training_set_spec(item, schemas, self.settings.root, digest_of)

    def model(self, name: str, schemas: Schemas) -> ModelSpec:
        item = self.project.get(Model, name)
        return lower.model_spec(item, self._training_set(item.training_set, schemas), schemas)

    def endpoint(self, name: str, schemas: Schemas) -> EndpointSpec:
        item = self.project.get(Endpoint, name)
        return lower.endpoint_spec(item, self._training_set(item.model.training_set, schemas), schemas)

    def model_inputs(
        self, name: str, schemas: Schemas
    ) -> tuple[tuple[Field, ...], tuple[ViewUse, ...], tuple[Field, ...], ViewUse | None]:
        """A model's key fields, the views that it uses, the columns that a request must bring, and what names the
        members of its wildcard.
        """
        item = self.project.get(Model, name)
        spec = self._training_set(item.training_set, schemas)
        fingerprints = {use.view.name: lineage(use.view) for use in item.training_set.reads}

        def used(view: WindowedAggregate) -> ViewUse:
            return ViewUse(view.name, fingerprints[view.name], view.schema.fields)

        members = used(spec.spine.members) if isinstance(spec.spine, WildcardSpine) else None
        inputs = {f.name: f for od in spec.on_demand for f in od.inputs}
        carried = {f.name: f for f in spec.features if f.name in item.training_set.carried}
        keys = lower.key_fields(item.training_set, schemas, spec)
        return keys, tuple(map(used, spec.views)), tuple((inputs | carried).values()), members

    def online_views(self) -> tuple[FeatureView, ...]:
        """The views that need online rows: those of endpoints, or all that can have them when nothing is served yet."""
        served = {use.view.name for e in self.project.all(Endpoint) for use in e.model.training_set.reads}
        return tuple(
            view
            for view in self.project.all(FeatureView)
            if (view.is_fresh or not view.is_continuous) and (not served or view.name in served)
        )

    def latest_version(self, source: str) -> int | None:
        """The newest snapshot of a source's table; None before its first load."""
        try:
            return self.tables.snapshot(f"sources/{source}").version
        except NotFoundError:
            return None

    def declaration(self, text: str) -> Declaration:
        """A declaration by ``kind:name`` or by a name that only one has."""
        from inseam.kernel.names import did_you_mean

        found = [d for d in self.project.declarations if text in (str(d.ref), d.name)]
        if len(found) == 1:
            return found[0]
        refs = [str(d.ref) for d in self.project.declarations]
        if not found:
            raise NotFoundError(text, "nothing of this name is declared", mend=did_you_mean(text, refs))
        raise NotFoundError(text, f"it names {', '.join(str(d.ref) for d in found)}", mend="give the kind as well")

    def close(self) -> None:
        """Let go of what was opened."""
        for name in ("online", "stream_log", "ledger"):
            opened = self.__dict__.pop(name, None)
            close = getattr(opened, "close", None)
            if close is not None:
                close()
