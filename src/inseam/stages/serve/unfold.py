"""Requests that leave out the key of a wildcard: each such row is predicted for every member that is read for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import msgspec

from inseam.ir.training import EndpointSpec
from inseam.kernel.errors import Problem
from inseam.stages.serve.endpoint import Champion
from inseam.stages.serve.predict import is_stale
from inseam.stages.serve.reply import Prediction, iso
from inseam.stages.serve.request import RequestRefusedError, too_many, unknown_entity


@dataclass(frozen=True, slots=True)
class MemberRead:
    """The members of an asked row, and what they were read from."""

    view: str
    members: tuple[Any, ...]
    boundary: int
    is_stale: bool


@dataclass(frozen=True, slots=True)
class Unfolded:
    """The rows to predict. ``origins``: the asked row of each; ``counts``: how many there are of each request.

    ``keys``: what each prediction names, nothing without a wildcard; ``reads``: by the asked rows that left it out.
    """

    rows: Sequence[Any]
    origins: Sequence[int]
    counts: Sequence[int]
    keys: tuple[str, ...] = ()
    reads: Mapping[int, MemberRead] = field(default_factory=dict)

    def tell(self, predictions: Sequence[Prediction]) -> None:
        """Let each prediction of a wildcard's endpoint name its key, and what its member was read from."""
        if not self.keys:
            return
        for prediction, row, origin in zip(predictions, self.rows, self.origins, strict=True):
            prediction.key = {name: getattr(row, name) for name in self.keys}
            read = self.reads.get(origin)
            if read is not None:
                prediction.boundaries[read.view] = iso(read.boundary)
                if read.is_stale and read.view not in prediction.stale:
                    prediction.stale.append(read.view)


def as_asked(requests: Sequence[Sequence[Any]]) -> Unfolded:
    """The very rows of some requests."""
    rows = [row for rows in requests for row in rows]
    return Unfolded(rows, range(len(rows)), [len(rows) for rows in requests])


def unfold(spec: EndpointSpec, champion: Champion, requests: Sequence[Sequence[Any]], *, at: int) -> Unfolded:
    """The rows of some requests to an endpoint, those without a member once for every one that they have.

    `RequestRefusedError`: of entities that the endpoint rejects (404); of more rows than a request may have (422).
    """
    if spec.members is None:
        return as_asked(requests)
    key = spec.keys[-1].name
    asked = [row for rows in requests for row in rows]
    places = [place for place, row in enumerate(asked) if getattr(row, key) is None]
    reads = _read(champion, {place: asked[place] for place in places}, at) if places else {}
    own = [
        [msgspec.structs.replace(row, **{key: member}) for member in reads[place].members] if place in reads else [row]
        for place, row in enumerate(asked)
    ]
    sizes = map(len, own)
    counts = [sum(islice(sizes, len(rows))) for rows in requests]
    if max(counts) > spec.max_rows:
        raise too_many(max(counts), spec.max_rows)
    origins = [place for place, rows in enumerate(own) for _ in rows]
    return Unfolded(list(chain.from_iterable(own)), origins, counts, tuple(one.name for one in spec.keys), reads)


def _read(champion: Champion, asked: Mapping[int, Any], at: int) -> dict[int, MemberRead]:
    """The members of asked rows, by their places."""
    spec, view = champion.spec, champion.spec.members
    *names, key = (field.name for field in spec.keys)
    if champion.members is None or view is None:
        raise RequestRefusedError(
            422, Problem("field", key, "nothing", "a value: the model that answers was trained without members")
        )
    entities = [[getattr(row, name) for name in names] for row in asked.values()]
    read = champion.members.read(entities, at=at)
    boundaries, missing = read.boundaries[view.name], read.is_missing[view.name]
    if spec.unknown == "reject" and missing.any():
        first = int(missing.argmax())
        raise unknown_entity(list(asked)[first], dict(zip(names, entities[first], strict=True)))
    cells = zip(*(read.values[name] for name in view.schema.names), strict=True)
    members = [tuple(dict.fromkeys(cell for cell in row if cell is not None)) for row in cells]
    told = zip(members, boundaries.tolist(), is_stale(spec, read, view.name, at).tolist(), strict=True)
    return {place: MemberRead(view.name, *one) for place, one in zip(asked, told, strict=True)}
