"""Micro-batching by event-loop tick: requests that were read in one tick share a look-up, a prediction and a log write.

Nobody waits for a timer, and nothing is answered before the log has it. Rows are batched only where a model gives a row
the same bits alone and in company.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np

from inseam.ir.training import EndpointSpec
from inseam.kernel.clock import now
from inseam.kernel.errors import DataError, Problem, UnavailableError
from inseam.kernel.frozen import fingerprint
from inseam.kernel.types import Field
from inseam.stages.serve.cells import Cells
from inseam.stages.serve.endpoint import Champion, ServedEndpoint
from inseam.stages.serve.ids import endpoint_tag, format_id, make_ids
from inseam.stages.serve.journal import Journal
from inseam.stages.serve.log import PredictionLog
from inseam.stages.serve.metrics import Metrics
from inseam.stages.serve.predict import Looked, Recipe, derive, is_stale, look_up, outputs
from inseam.stages.serve.record import NO_INSTANT, NO_VERSION, Batch, Context, names_of
from inseam.stages.serve.reply import Prediction, Reply, ViewColumns, predictions
from inseam.stages.serve.request import Asked, RequestRefusedError, unknown_entity
from inseam.stages.serve.unfold import Unfolded, as_asked, unfold

_NO_VIEWS = ViewColumns((), (), (), (), (), has_missing=False)


@dataclass(slots=True, eq=False)
class _Waiting:
    endpoint: ServedEndpoint
    asked: Asked
    received: float
    answer: asyncio.Future[bytes]


@dataclass(slots=True)
class _Done:
    """A group's requests with their answers, and what the log keeps of them."""

    context: Context
    batch: Batch
    answers: list[tuple[_Waiting, bytes]]


class Batcher:
    """Takes requests, answers them by futures. Used from one event loop."""

    def __init__(self, log: PredictionLog, metrics: Metrics, journal: Journal) -> None:
        self._log = log
        self._metrics = metrics
        self._journal = journal
        self._waiting: list[_Waiting] = []
        self._encode = msgspec.json.Encoder().encode
        self._counted = 0
        self._recipes: dict[str, Recipe] = {}

    def submit(self, endpoint: ServedEndpoint, asked: Asked, received: float) -> asyncio.Future[bytes]:
        """The answer's body, once it is durable. ``received``: `time.perf_counter` when the request came."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        waiting = _Waiting(endpoint, asked, received, loop.create_future())
        self._waiting.append(waiting)
        return waiting.answer

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[str, bool], list[_Waiting]] = {}
        for one in waiting:
            if not one.answer.done():
                groups.setdefault((one.endpoint.spec.name, one.asked.is_given), []).append(one)
        at = now()
        done: list[_Done] = []
        for group in groups.values():
            done += self._attempt(group, at)
        if not done:
            return
        try:
            self._log.append([(one.context, one.batch) for one in done])
            settled = self._log.settled()
        except OSError as error:
            self._journal.failure(error, event_of="prediction log")
            _refuse(done, _log_problem())
            return
        self._metrics.log_bytes.inc(self._log.bytes_written - self._counted)
        self._counted = self._log.bytes_written
        if settled is None:
            _answer(done)
        else:
            settled.add_done_callback(lambda future: _settle(done, future))

    def _attempt(self, group: list[_Waiting], at: int) -> list[_Done]:
        """The group together; if that fails each request alone, so that only a bad one is refused."""
        try:
            return self._predict(group, at)
        except RequestRefusedError as error:
            if len(group) == 1:
                group[0].answer.set_exception(error)
                return []
        except UnavailableError:
            # Alone, a request may have been read lately, or need no more than defaults.
            if len(group) == 1 or group[0].endpoint.spec.unavailable == "fail":
                for one in group:
                    one.answer.set_exception(RequestRefusedError(503, _away(one.endpoint.spec.name)))
                return []
        except Exception as error:  # noqa: BLE001 - a user's function or a model may raise anything; nothing of it leaks
            if len(group) == 1:
                self._journal.failure(error, endpoint=group[0].endpoint.spec.name)
                self._metrics.failures.labels(group[0].endpoint.spec.name).inc()
                group[0].answer.set_exception(RequestRefusedError(500, _internal(group[0].endpoint.spec.name)))
                return []
        return [done for one in group for done in self._attempt([one], at)]

    def _predict(self, group: list[_Waiting], at: int) -> list[_Done]:
        endpoint, is_given = group[0].endpoint, group[0].asked.is_given
        champion = endpoint.champion.current
        if champion is None:
            subject = f"endpoint:{endpoint.spec.name}"
            raise RequestRefusedError(503, Problem("not-ready", subject, "no model is loaded yet"))
        spec = champion.spec
        requests = [one.asked.rows for one in group]
        unfolded = as_asked(requests) if is_given else unfold(endpoint.spec, champion, requests, at=at)
        rows = unfolded.rows
        if not rows:  # of no member: nothing is predicted, so nothing is logged
            _answer_now(self._encoded(group, champion, unfolded, []))
            return []
        recipe = self._recipe(spec)
        looked = look_up(recipe, champion.reader, rows, at=at, is_given=is_given)
        if spec.unknown == "reject" and looked.unknown is not None:
            row = int(looked.unknown.argmax())
            key = {field.name: column[row] for field, column in zip(spec.keys, looked.keys, strict=True)}
            raise unknown_entity(unfolded.origins[row], key)
        derived = derive(champion.bundle, looked.columns)
        output = _asked(champion, looked)
        views = _view_columns(spec, looked, at)
        context, derived_cells = _context(spec, champion)
        numbers = make_ids(at, _tag(spec.name), len(rows))
        moment = time.perf_counter()
        batch = Batch(
            context=context.id,
            at=at,
            ids=b"".join([number.to_bytes(16, "big") for number in numbers]),
            latency=[
                int((moment - one.received) * 1e6)
                for one, count in zip(group, unfolded.counts, strict=True)
                for _ in range(count)
            ],
            keys=looked.keys,
            inputs=looked.inputs,
            features=recipe.features.pack(looked.columns),
            derived=derived_cells.pack(derived),
            boundaries=[column.tobytes() for column in views.boundaries],
            versions=[column.tobytes() for column in views.versions],
            missing=[column.tobytes() for column in views.missing],
            stale=[column.tobytes() for column in views.stale],
            output=output.tobytes(),
            width=output.shape[1],
        )
        self._count(spec.name, len(rows), views)
        answers = predictions(champion.bundle.manifest, [format_id(number) for number in numbers], output, views)
        unfolded.tell(answers)
        return [_Done(context, batch, self._encoded(group, champion, unfolded, answers))]

    def _recipe(self, spec: EndpointSpec) -> Recipe:
        found = self._recipes.get(spec.name)
        if found is None or found.spec is not spec:
            found = self._recipes[spec.name] = Recipe(spec)
        return found

    def _encoded(
        self, group: list[_Waiting], champion: Champion, unfolded: Unfolded, found: list[Prediction]
    ) -> list[tuple[_Waiting, bytes]]:
        answers = []
        start = 0
        for one, count in zip(group, unfolded.counts, strict=True):
            end = start + count
            answers.append((one, self._encode(Reply(one.endpoint.spec.name, champion.version, found[start:end]))))
            start = end
        return answers

    def _count(self, endpoint: str, rows: int, views: ViewColumns) -> None:
        self._metrics.rows.labels(endpoint).inc(rows)
        for place, name in enumerate(views.names):
            if views.has_missing and (absent := int(np.count_nonzero(views.missing[place]))):
                self._metrics.missing.labels(endpoint, name).inc(absent)
            if old := int(np.count_nonzero(views.stale[place])):
                self._metrics.stale.labels(endpoint, name).inc(old)


def _view_columns(spec: EndpointSpec, looked: Looked, at: int) -> ViewColumns:
    """Where nothing was found the boundary is `NO_INSTANT`."""
    online = looked.online
    if online is None:
        return _NO_VIEWS
    names = [view.name for view in spec.views]
    missing = [online.is_missing[name] for name in names]
    boundaries = [online.boundaries[name] for name in names]
    versions = [online.versions[name] for name in names]
    stale = [is_stale(spec, online, name, at) for name in names]
    if looked.has_missing:
        pairs = list(zip(missing, boundaries, versions, stale, strict=True))
        boundaries = [np.where(absent, NO_INSTANT, boundary) for absent, boundary, _, _ in pairs]
        versions = [np.where(absent, NO_VERSION, version) for absent, _, version, _ in pairs]
        stale = [old & ~absent for absent, _, _, old in pairs]
    return ViewColumns(names, boundaries, versions, missing, stale, has_missing=looked.has_missing)


def _asked(champion: Champion, looked: Looked) -> np.ndarray:
    """The model's outputs; what it has no answer to is the request's fault."""
    try:
        return outputs(champion.bundle, looked.columns)
    except DataError as error:
        raise RequestRefusedError(422, error.problems[0]) from error


@lru_cache(maxsize=256)
def _tag(endpoint: str) -> int:
    return endpoint_tag(endpoint)


_contexts: dict[tuple[str, str, str, int, str], tuple[Context, Cells]] = {}


def _context(spec: EndpointSpec, champion: Champion) -> tuple[Context, Cells]:
    """What the log says once of these predictions, and the columns of the on-demand features among them."""
    manifest, digest, version = champion.bundle.manifest, champion.bundle.digest, champion.version
    key = (spec.name, spec.fingerprint, manifest.model, version, digest)
    found = _contexts.get(key)
    if found is None:
        derived = [Field(one.name, one.type) for one in manifest.on_demand]
        context = Context(
            id=fingerprint(list(key))[:16],
            endpoint=spec.name,
            model=manifest.model,
            version=version,
            digest=digest,
            keys=names_of(spec.keys),
            inputs=names_of(spec.inputs),
            features=names_of(tuple(field for view in spec.views for field in view.schema)),
            derived=names_of(tuple(derived)),
            views=tuple(view.name for view in spec.views),
        )
        found = _contexts[key] = (context, Cells(derived))
    return found


def _answer(done: Sequence[_Done]) -> None:
    for one in done:
        _answer_now(one.answers)


def _answer_now(answers: Sequence[tuple[_Waiting, bytes]]) -> None:
    for waiting, body in answers:
        if not waiting.answer.done():
            waiting.answer.set_result(body)


def _refuse(done: Sequence[_Done], error: RequestRefusedError) -> None:
    for one in done:
        for waiting, _ in one.answers:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)


def _settle(done: Sequence[_Done], settled: asyncio.Future[None]) -> None:
    if settled.cancelled() or settled.exception() is not None:
        _refuse(done, _log_problem())
    else:
        _answer(done)


def _log_problem() -> RequestRefusedError:
    return RequestRefusedError(503, Problem("log-unavailable", "prediction log", "the prediction could not be logged"))


def _away(endpoint: str) -> Problem:
    return Problem(UnavailableError.code, f"endpoint:{endpoint}", "its features cannot be read now", mend="try again")


def _internal(endpoint: str) -> Problem:
    return Problem(
        "internal", f"endpoint:{endpoint}", "the prediction failed", mend="see the server's log by request id"
    )
