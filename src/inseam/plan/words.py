"""What a declaration means, in words that people who never saw its code understand."""

from __future__ import annotations

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.endpoint import Endpoint
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.join import Join
from inseam.define.model import Model
from inseam.define.on_demand import OnDemand
from inseam.define.source import Source
from inseam.define.spine import PlainSpine
from inseam.define.training_set import Snapshots, SpineRows, TrainingSet, Wildcard
from inseam.define.transform import Transform

_KINDS = {
    "sum": "the sum of {}",
    "mean": "the mean of {}",
    "min": "the least {}",
    "max": "the greatest {}",
    "std": "the standard deviation of {}",
    "approx_distinct": "about how many different values of {}",
    "distinct": "how many different values of {}",
    "first": "{} of the oldest row",
    "last": "{} of the newest row",
    "ratio": "{} to {}",
    "difference": "{} less {}",
    "time_since_first": "seconds since the oldest row",
    "time_since_last": "seconds since the newest row",
}
_RANKED = {"last_n": "{} of the newest row", "top_k": "the most frequent {}"}
_COMPARED = {
    "==": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
}


def in_words(item: Declaration) -> str:
    """One sentence or two about what it is."""
    if isinstance(item, Entity):
        return f"Named by {_listed(item.keys)}."
    if isinstance(item, Source):
        origin = "a query of a database" if item.query else item.location or "pushed rows"
        key = f" A row is named by {_listed(tuple(item.key))}." if item.key else ""
        return f"Rows of {origin}, each at its {item.timestamp}.{key}"
    if isinstance(item, Transform):
        how = "by SQL" if item.sql is not None else f"by the function {getattr(item.function, '__name__', '')}"
        return f"The rows of {item.source.name}, reshaped one by one {how}."
    if isinstance(item, Join):
        listed = _listed(tuple(item.columns))
        return f"The rows of {item.rows.name}, each with {listed} of {item.view.name} as they were at its instant."
    if isinstance(item, FeatureView):
        what = f"{len(item.features)} features of a {item.entity.name} from the rows of {item.rows.name}. {steps(item)}"
        return what + (
            f" One without rows has those of {_listed(tuple(map(str, item.default_key)))}." * bool(item.default)
        )
    if isinstance(item, OnDemand):
        return f"Computed by the function {item.name} of {_listed(item.parameters)} when it is asked for."
    if isinstance(item, TrainingSet):
        return f"{_spine(item.spine)}. The label: {_label(item)}."
    if isinstance(item, Model):
        return f"Trained on {item.training_set.name}, judged by {item.metric}."
    if isinstance(item, Endpoint):
        return f"Serves the champion of {item.model.name}."
    return ""


def steps(view: FeatureView) -> str:
    """When a view's values change, and when they can be read."""
    zone = f" in {view.timezone}" if view.timezone else ""
    when = "at every instant" if view.is_continuous else f"every {view.every}{zone}"
    late = "" if view.lag in ("", "0s") else f", readable {view.lag} later"
    return f"Values change {when}{late}."


def feature_in_words(view: FeatureView, name: str) -> str:
    """What one feature of a view is: aggregate, window and filter."""
    aggregate = view.features[name]
    if not isinstance(aggregate, Aggregate):
        return f"{aggregate}, of {view.rows.name}"
    return f"{aggregate_in_words(aggregate, view.ttl)}, of {view.rows.name}"


def aggregate_in_words(aggregate: Aggregate, ttl: str | None = None) -> str:
    kind, column = aggregate.kind.value, aggregate.column
    if kind == "count":
        what = "how many rows" if column is None else f"how many rows with a {column}"
    elif aggregate.q is not None:
        what = f"{'about ' if kind == 'approx_quantile' else ''}the quantile {aggregate.q} of {column}"
    elif aggregate.rank is not None:
        what = _RANKED[kind].format(column) + (f", number {aggregate.rank}" if aggregate.rank > 1 else "")
    else:
        what = _KINDS.get(kind, f"{kind} of {{}}").format(*(aggregate.of or (column,)))
    if aggregate.of:
        return what
    oldest = aggregate.ttl or ttl
    if aggregate.over is not None:
        what += f" in the last {aggregate.over}"
    elif oldest is not None:
        what += f", not older than {oldest}"
    return what + (f", where {aggregate.where}" if aggregate.where else "")


def _spine(spine: PlainSpine | Wildcard) -> str:
    if isinstance(spine, Wildcard):
        view = spine.members.view
        listed = _listed(tuple(dict.fromkeys(name.rpartition("_")[0] or name for name in spine.members.features)))
        return f"{_spine(spine.within)}, with each {spine.entity.name} among the {listed} of {view.name}"
    if isinstance(spine, Snapshots):
        active = f" that was active within {spine.active}" if spine.active else ""
        return f"Every {spine.entity.name}{active}, every {spine.every}"
    if isinstance(spine, SpineRows):
        return f"Each row of {spine.rows.name} at its own instant"
    return f"Each row of the file {spine.path}"


def _label(item: TrainingSet) -> str:
    label = item.label
    if label.aggregate is None:
        return f"the column {label.column}"
    rows = f" of {label.aggregate.rows.name}" if label.aggregate.rows is not None else ""
    what = f"{aggregate_in_words(label.aggregate)}{rows} in the {label.ahead} ahead"
    if label.comparison is None:
        return what
    return f"whether {what} {_COMPARED[label.comparison.compare]} {label.comparison.threshold!r}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "nothing"
