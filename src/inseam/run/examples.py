"""Runs the examples of a project on its environment's engine, over tables that hold their own rows and go with them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from inseam.define.example import Example
from inseam.define.feature_view import FeatureView
from inseam.define.join import Join
from inseam.define.on_demand import OnDemand
from inseam.define.training_set import Snapshots, SpineRows, TrainingSet
from inseam.define.transform import Transform
from inseam.ir.training import LABEL
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import DataError, DefinitionError, InseamError, NotFoundError, Place, Problem
from inseam.kernel.names import did_you_mean
from inseam.kernel.types import DataType, Field, Schema
from inseam.plan import lower
from inseam.plan.check import check
from inseam.plan.diff import ancestors
from inseam.plan.schemas import Schemas, declared_schema, value_type
from inseam.plan.views import relation_of, view_spec
from inseam.run.context import Context
from inseam.run.files import digest_of

if TYPE_CHECKING:
    from inseam.ports.engine import Engine
    from inseam.ports.tables import Tables
    from inseam.stages.features.case import Case

_ANY_INSTANT = "1970-01-01"
"""Read by an on-demand function that takes no instant."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not the expected one; ``row`` counts the rows that a transform leaves, from 0."""

    column: str
    expected: Any
    found: Any
    row: int = 0


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """How one example went. ``problems``: why it could not be computed at all."""

    title: str
    subject: str
    place: Place | None
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()
    milliseconds: float = 0.0

    @property
    def is_passed(self) -> bool:
        return not self.differences and not self.problems

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"is_passed": self.is_passed}


class Examples:
    """A project's examples, ready to run; a context manager, since it holds tables for a while."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0

    def __enter__(self) -> Examples:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_directory" in self.__dict__:
            shutil.rmtree(self._directory, ignore_errors=True)

    @cached_property
    def _directory(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="inseam-examples-"))

    @cached_property
    def _tables(self) -> Tables:
        return self._context.new_tables(self._directory / "tables")

    @cached_property
    def _engine(self) -> Engine:
        return self._context.new_engine(self._tables, self._directory / "spill")

    @cached_property
    def _schemas(self) -> Schemas:
        return self._context.schemas(_assumed(self._context.project.examples))

    @cached_property
    def _mistakes(self) -> list[Problem]:
        return check(self._context.project, self._schemas)

    def chosen(self, names: Sequence[str] = ()) -> tuple[Example, ...]:
        """The examples with these names, or of declarations with these names or references; all without any."""
        examples = self._context.project.examples
        known = {text for example in examples for text in _names(example)}
        for name in names:
            if name not in known:
                raise NotFoundError(f"example:{name}", "no example has this name", mend=did_you_mean(name, known))
        return tuple(e for e in examples if not names or not _names(e).isdisjoint(names))

    def run(self, example: Example) -> ExampleResult:
        """Compute what it asks for and compare; mistakes elsewhere in the project keep it from nothing."""
        schemas, refs = self._schemas, {str(item.ref) for item in ancestors(example)}
        begun = time.perf_counter()
        differences: tuple[Difference, ...] = ()
        problems = (*example.problems(), *(problem for problem in self._mistakes if problem.subject in refs))
        if not problems:
            try:
                differences = tuple(self._differences(example, schemas))
            except InseamError as error:
                problems = tuple(
                    example.problem(p.code, p.found, expected=p.expected, mend=p.mend) for p in error.problems
                )
        spent = (time.perf_counter() - begun) * 1_000
        return ExampleResult(example.title, str(example.of.ref), example.place, differences, problems, round(spent, 1))

    def _differences(self, example: Example, schemas: Schemas) -> Iterator[Difference]:
        from inseam.stages.features.case import Case
        from inseam.stages.features.given import given_table

        self._count += 1
        subject = f"example:{example.title}"
        case = Case(f"example_{self._count}", subject, self._engine)
        given = example.rows
        case.store(
            self._tables,
            {
                source.name: given_table(given[source.name], _known(source.name, schemas.of(source), subject), subject)
                for source in example.sources
            },
        )
        of = example.of
        if isinstance(of, Transform | Join):
            schema = _known(of.name, schemas.of(of), subject)
            yield from _compare_rows(case.rows(relation_of(of, schemas)), example, schema)
        elif isinstance(of, OnDemand):
            spec = lower.on_demand_spec(of, _parameter_types(of, schemas))
            found = {of.name: case.called(spec, example.given, example.at or _ANY_INSTANT)}  # type: ignore[arg-type]
            yield from _compare(found, {of.name: example.expect}, Schema((Field(of.name, of.type),)), subject)
        elif isinstance(of, FeatureView):
            yield from self._compare_view(example, of, case, schemas)
        else:
            yield from self._compare_training_set(example, of, case, schemas)

    def _compare_view(self, example: Example, of: FeatureView, case: Case, schemas: Schemas) -> Iterator[Difference]:
        view = view_spec(of, schemas).only(tuple(example.expect))
        keys = tuple(Field(k, view.relation.schema.type_of(k) or DataType.STRING) for k in view.keys)
        read, columns = _read(example, keys)
        yield from _compare(case.values(read, columns, [view]), example.expect, view.schema, case.subject)

    def _compare_training_set(
        self, example: Example, of: TrainingSet, case: Case, schemas: Schemas
    ) -> Iterator[Difference]:
        spec = lower.training_set_spec(of, schemas, self._context.settings.root, digest_of)
        read, columns = _read(example, lower.key_fields(of, schemas, spec), _carried(of, schemas))
        label = spec.label if LABEL in example.expect else None
        found = case.values(read, columns, spec.views, spec.on_demand, label)
        types = {f.name: f for view in spec.views for f in view.schema}
        types |= {item.name: Field(item.name, item.type) for item in spec.on_demand}
        types |= {f.name: f for f in columns} | {LABEL: Field(LABEL, spec.label.type)}
        yield from _compare(found, example.expect, Schema(tuple(types.values())), case.subject)


def _names(example: Example) -> set[str]:
    return {example.title, example.of.name, str(example.of.ref)}


def _assumed(examples: Sequence[Example]) -> dict[str, Schema]:
    """What the given rows show of sources that declare no columns, should nothing else be known of them."""
    from inseam.stages.features.given import inferred

    rows: dict[str, list[Mapping[str, Any]]] = {}
    timestamps = {s.name: s.timestamp for e in examples for s in e.sources if declared_schema(s) is None}
    for example in examples:
        for name, given in example.rows.items():
            if name in timestamps:
                rows.setdefault(name, []).extend(row for row in given if isinstance(row, Mapping))
    return {name: inferred(given, timestamps[name]) for name, given in rows.items() if given}


def _known(name: str, schema: Schema | None, subject: str) -> Schema:
    if schema is None:
        raise NotFoundError(
            subject,
            f"the columns of {name} are not known",
            expected="a declared schema, a first load, or an example that gives rows of it",
            mend="declare schema={...} on the source",
        )
    return schema


def _read(example: Example, keys: Sequence[Field], carried: Sequence[Field] = ()) -> tuple[dict[str, Any], Schema]:
    """The one row of the spine, and its columns."""
    entity = _entity(example, [key.name for key in keys])
    columns = Schema((*keys, Field(EVENT_TIME, DataType.TIMESTAMP), *carried))
    for name in example.carried:
        if name not in [field.name for field in carried]:
            mend = did_you_mean(name, [field.name for field in carried])
            raise DefinitionError(f"example:{example.title}", f"the spine carries no {name!r}", mend=mend)
    return {**example.carried, **entity, EVENT_TIME: example.at}, columns


def _entity(example: Example, keys: Sequence[str]) -> dict[str, Any]:
    """The named entity, or the only one that the given rows are of."""
    told = example.entity
    if told is not None and not isinstance(told, Mapping) and len(keys) == 1:
        told = {keys[0]: told}
    if told is None:
        rows = [row for given in example.rows.values() for row in given if all(key in row for key in keys)]
        found = {tuple(row[key] for key in keys) for row in rows}
        told = dict(zip(keys, found.pop(), strict=True)) if len(found) == 1 else None
    if not isinstance(told, Mapping) or set(told) != set(keys):
        raise DataError(
            f"example:{example.title}",
            "it does not say whose values it reads" if example.entity is None else f"its entity is {example.entity!r}",
            expected=f"a value of {', '.join(keys)}",
            mend=f"write entity={{{', '.join(f'{key!r}: ...' for key in keys)}}}",
        )
    return dict(told)


def _carried(of: TrainingSet, schemas: Schemas) -> tuple[Field, ...]:
    """The columns that the spine brings beside keys and instant."""
    spine = of.plain_spine
    if isinstance(spine, Snapshots):
        return ()
    schema = schemas.of(spine.rows if isinstance(spine, SpineRows) else spine) or Schema(())
    return tuple(field for name in of.carried for field in schema if field.name == name)


def _parameter_types(of: OnDemand, schemas: Schemas) -> dict[str, DataType]:
    """Of the features that a function reads; as it is annotated, or a number, while they are not known."""
    found: dict[str, DataType] = {}
    for view in of.views:
        if isinstance(view, OnDemand):
            found[view.name] = view.type
        else:
            found |= {n: t for n, a in view.features.items() if (t := value_type(a, schemas.of(view.rows)))}
    return {name: found.get(name) or of.declared_type(name) or DataType.FLOAT64 for name in of.parameters}


def _compare_rows(found: Sequence[Mapping[str, Any]], example: Example, schema: Schema) -> Iterator[Difference]:
    if len(found) != len(example.expect):
        yield Difference("(rows)", len(example.expect), len(found))
    for number, (row, expect) in enumerate(zip(found, example.expect, strict=False)):
        yield from _compare(row, expect, schema, f"example:{example.title}", number)


def _compare(
    found: Mapping[str, Any], expect: Mapping[str, Any], schema: Schema, subject: str, row: int = 0
) -> Iterator[Difference]:
    from inseam.stages.features.given import is_same, shown, typed

    fields = {field.name: field for field in schema}
    for name, value in expect.items():
        if name not in fields:
            raise DataError(subject, f"expect names {name!r}", mend=did_you_mean(str(name), fields))
        field = fields[name]
        wanted = typed(value, field, "expect", subject)
        if not is_same(found[name], wanted):
            yield Difference(name, shown(wanted, field.type), shown(found[name], field.type), row)
