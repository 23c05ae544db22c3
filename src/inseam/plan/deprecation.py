"""Who uses what is deprecated: warnings, which keep nobody from anything."""

from __future__ import annotations

from collections.abc import Iterator

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.feature_view import FeatureView
from inseam.define.join import Join
from inseam.define.on_demand import OnDemand
from inseam.define.project import Project
from inseam.define.training_set import TrainingSet
from inseam.kernel.errors import Problem
from inseam.plan.diff import ancestors

CODE = "deprecated"


def warnings(project: Project, *users: Declaration) -> tuple[Problem, ...]:
    """Every direct use of something deprecated, by who uses it; of ``users`` and what they are made from alone."""
    chosen = {id(item) for user in users for item in (user, *ancestors(user))}
    found = (warning for item in project.declarations if not users or id(item) in chosen for warning in _warnings(item))
    return tuple(dict.fromkeys(found))


def _warnings(item: Declaration) -> Iterator[Problem]:
    for used in item.upstream():
        if used.deprecated:
            yield item.problem(CODE, f"it uses {used.ref}, which is deprecated", mend=used.deprecated)
    for view, names in _features(item):
        for name in names:
            aggregate = view.features.get(name)
            if isinstance(aggregate, Aggregate) and aggregate.noted.deprecated:
                found = f"it uses {view.name}[{name!r}], which is deprecated"
                yield item.problem(CODE, found, mend=aggregate.noted.deprecated)


def _features(item: Declaration) -> Iterator[tuple[FeatureView, tuple[str, ...]]]:
    """The features that a declaration itself reads, by view."""
    if isinstance(item, TrainingSet):
        for use in item.reads:
            yield use.view, use.features
    elif isinstance(item, OnDemand):
        for view in item.views:
            if isinstance(view, FeatureView):
                yield view, item.parameters
    elif isinstance(item, Join):
        yield item.view, tuple(item.columns.values())
