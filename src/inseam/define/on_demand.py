"""On-demand features: a function of other features and of what the request brings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from inseam.define.declaration import Declaration
from inseam.define.expect import expect_arguments
from inseam.define.feature_view import RESERVED, FeatureView
from inseam.ir.windows import EVENT_TIME
from inseam.kernel.errors import Problem
from inseam.kernel.frozen import METADATA, canonical
from inseam.kernel.names import nearest
from inseam.kernel.types import DataType

_TYPES: dict[Any, DataType] = {
    bool: DataType.BOOL,
    int: DataType.INT64,
    float: DataType.FLOAT64,
    str: DataType.STRING,
    datetime: DataType.TIMESTAMP,
    date: DataType.DATE,
}


@dataclass(frozen=True, eq=False)
class OnDemand(Declaration):
    """Made by the decorator `on_demand`. Calling it calls the function."""

    KIND: ClassVar[str] = "on_demand"
    name: str
    function: Callable[..., Any]
    views: tuple[FeatureView | OnDemand, ...]
    hints: dict[str, Any] = field(default_factory=dict, repr=False, metadata=METADATA)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    @property
    def offered(self) -> tuple[str, ...]:
        """The features that the function may name as parameters."""
        names: list[str] = []
        for view in self.views:
            names += view.names if isinstance(view, FeatureView) else [view.name]
        return tuple(names)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name for name in inspect.signature(self.function).parameters if name != EVENT_TIME)

    @property
    def takes_event_time(self) -> bool:
        return EVENT_TIME in inspect.signature(self.function).parameters

    @property
    def inputs(self) -> dict[str, DataType]:
        """Parameters that are no feature: the request, or the spine, must bring them."""
        return {
            name: _TYPES.get(self.hints.get(name), DataType.FLOAT64)
            for name in self.parameters
            if name not in self.offered
        }

    def declared_type(self, parameter: str) -> DataType | None:
        """The type that a parameter's annotation names, when it names one of ours."""
        return _TYPES.get(self.hints.get(parameter))

    @property
    def type(self) -> DataType:
        return _TYPES.get(self.hints.get("return"), DataType.FLOAT64)

    def meaning(self) -> dict[str, Any]:
        return super().meaning() | {"inputs": canonical(self.inputs), "type": self.type.value}

    def upstream(self) -> tuple[Declaration, ...]:
        return self.views

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.name in RESERVED:
            yield self.problem(
                "name-reserved",
                f"it is called {self.name!r}, as a column of every training set is",
                mend="rename it, or give name=...",
            )
        yield from self.coroutine_problem(self.function)
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.name != EVENT_TIME:
                yield from self._parameter_problems(parameter)
        if self.hints.get("return") not in _TYPES:
            yield self.problem(
                "annotation-missing",
                f"the function returns {_shown(self.hints.get('return', 'an unstated type'))}",
                expected="one of bool, int, float, str, datetime, date",
                mend="annotate it: def ...(...) -> float",
            )

    def _parameter_problems(self, parameter: inspect.Parameter) -> Iterator[Problem]:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            yield self.problem("parameter-invalid", f"parameter {parameter}", expected="named parameters only")
        elif self.offered.count(name) > 1:
            yield self.problem(
                "feature-duplicate",
                f"parameter {name!r} is a feature of several of its views",
                expected="one view that offers it",
            )
        elif name not in self.offered and self.hints.get(name) not in _TYPES:
            near = nearest(name, self.offered)
            yield self.problem(
                "annotation-missing",
                f"{name!r} is no feature of its views, and as an input of the request its type is "
                f"{_shown(self.hints.get(name, 'unstated'))}",
                expected="a feature, or an input of type bool, int, float, str, datetime or date",
                mend=f"write {near!r}, or {name}: float" if near is not None else f"write {name}: float",
            )


def on_demand(
    *views: FeatureView | OnDemand,
    name: str | None = None,
    owner: str = "",
    tags: tuple[str, ...] = (),
    deprecated: str = "",
) -> Callable[[Callable[..., Any]], OnDemand]:
    """Declare a feature by a vectorised function; parameters that no view offers come with the request.

    The function takes and returns whole columns (numpy arrays: numbers as float64 with NaN for NULL) and is called in
    the same way at training and at serving time.

    >>> from inseam import Entity, FeatureView, Source, sum
    >>> customer = Entity("customer", key="customer_id")
    >>> orders = Source("orders", "orders.csv", timestamp="ordered_at")
    >>> spend = FeatureView("spend", orders, customer, every="1d", features={"spend_30d": sum("amount", over="30d")})
    >>> @on_demand(spend)
    ... def basket_ratio(basket_value: float, spend_30d: float) -> float:
    ...     return basket_value / (spend_30d + 1)
    >>> list(basket_ratio.inputs)
    ['basket_value']
    """
    for view in views:
        expect_arguments(on_demand, {"views": view})

    def declare(function: Callable[..., Any]) -> OnDemand:
        return OnDemand(
            name or function.__name__,
            function,
            tuple(views),
            hints=_hints(function),
            owner=owner,
            tags=tags,
            deprecated=deprecated,
            description=(function.__doc__ or "").strip(),
        )

    return declare


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations by parameter; ``float | None`` counts as float, for every value may be NULL."""
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError):
        return dict(getattr(function, "__annotations__", {}))
    return {name: _without_none(hint) for name, hint in hints.items()}


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    rest = [part for part in get_args(hint) if part is not NoneType]
    return rest[0] if len(rest) == 1 else hint


def _shown(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint)
