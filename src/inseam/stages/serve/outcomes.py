"""Outcomes: what became true of a prediction, sent by its id and kept durably. The id names the endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from inseam.kernel.clock import from_datetime, now
from inseam.kernel.errors import Problem
from inseam.stages.serve.ids import ID_SCHEMA, endpoint_tag, id_instant, id_tag, parse_id
from inseam.stages.serve.record import Outcome
from inseam.stages.serve.request import INT64, RequestRefusedError, field_problem

_MOST = 10_000
_CLOCK_SKEW = 60_000_000
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Value = bool | INT64 | float | str
_T = TypeVar("_T")


class OutcomeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``outcome``: the true class or value. ``observed_at``: when it became known, by default now."""

    outcome: _Value
    observed_at: _Instant | None = None


class NamedOutcome(OutcomeRequest, kw_only=True):
    prediction: Annotated[str, msgspec.Meta(extra_json_schema=ID_SCHEMA)]


class OutcomesRequest(msgspec.Struct, forbid_unknown_fields=True):
    outcomes: Annotated[list[NamedOutcome], msgspec.Meta(min_length=1, max_length=_MOST)]


_one = msgspec.json.Decoder(OutcomeRequest)
_many = msgspec.json.Decoder(OutcomesRequest)


class OutcomeDesk:
    """Reads outcome requests. An id that no endpoint here can have made, or of the future, is refused.

    That the prediction is in the log is not looked up: an outcome may arrive at another worker or years later.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._endpoints: Mapping[int, str] = {endpoint_tag(name): name for name in endpoints}

    def one(self, prediction: str, body: bytes) -> list[Outcome]:
        asked = _decode(_one, body)
        return [self._outcome(prediction, asked, "prediction")]

    def many(self, body: bytes) -> list[Outcome]:
        asked = _decode(_many, body)
        return [
            self._outcome(one.prediction, one, f"outcomes[{place}].prediction")
            for place, one in enumerate(asked.outcomes)
        ]

    def _outcome(self, prediction: str, asked: OutcomeRequest, path: str) -> Outcome:
        number = parse_id(prediction)
        if number is None:
            raise RequestRefusedError(422, Problem("prediction-id", path, "this is no prediction id", "a UUIDv7"))
        endpoint = self._endpoints.get(id_tag(number))
        present = now()
        if endpoint is None or id_instant(number) > present + _CLOCK_SKEW:
            raise RequestRefusedError(
                404, Problem("not-found", path, "no endpoint here has made a prediction with this id")
            )
        value = asked.outcome
        observed = present if asked.observed_at is None else from_datetime(asked.observed_at)
        return Outcome(
            id=number.to_bytes(16, "big"),
            endpoint=endpoint,
            recorded_at=present,
            observed_at=observed,
            number=None if isinstance(value, str) else float(value),
            text=value if isinstance(value, str) else None,
        )


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
        raise RequestRefusedError(422, field_problem(error)) from None
