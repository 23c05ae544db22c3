"""Wildcard spines: the rows of a spine, each once for every member that a view names for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.entity import Entity, keys_of
from inseam.define.expect import expect_types
from inseam.define.feature_view import FeatureUse
from inseam.define.spine import PlainSpine
from inseam.kernel.errors import Problem


@dataclass(frozen=True, eq=False)
class Wildcard:
    """Each row of a spine once for every member that it has at its instant. Made by `wildcard`."""

    within: PlainSpine
    entity: Entity
    members: FeatureUse

    def __post_init__(self) -> None:
        expect_types(self, "wildcard")

    @property
    def entities(self) -> tuple[Entity, ...]:
        return (*self.within.entities, self.entity)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.within.columns

    def problems(self, user: Declaration) -> Iterator[Problem]:
        """Mistakes of the spine within, of the entity, and of what names its members."""
        yield from self.within.problems(user)
        yield from self._entity_problems(user)
        yield from self.members.problems(user)
        yield from self._member_problems(user)

    def _entity_problems(self, user: Declaration) -> Iterator[Problem]:
        keys, held = self.entity.keys, keys_of(self.within.entities)
        if len(keys) != 1:
            yield user.problem(
                "key-invalid",
                f"the wildcard {self.entity.ref} is named by {', '.join(keys) or 'nothing'}",
                expected="an entity with one key column",
                mend="declare one of the column that the members are values of",
            )
        for key in (key for key in keys if key in held):
            yield user.problem(
                "key-repeated",
                f"the wildcard {self.entity.ref} has the key {key!r}, which the spine within has",
                expected="an entity with a key of its own",
                mend="take the entity that the members are of",
            )

    def _member_problems(self, user: Declaration) -> Iterator[Problem]:
        view, held = self.members.view, keys_of(self.within.entities)
        single = [name for name in self.members.features if _is_single(view.features.get(name))]
        if single:
            yield user.problem(
                "members-unranked",
                f"{', '.join(single)} of {view.ref} cannot name the members of a wildcard",
                expected="features that a last_n or top_k of it made",
                mend='declare one, {"seen": top_k("product_id", 20)}, and take view["seen"]',
            )
        missing = [key for key in view.entity.keys if key not in held]
        if missing:
            yield user.problem(
                "key-missing",
                f"the spine within has no {', '.join(missing)}, the key of {view.ref}, which names the members",
                expected=f"a spine with the entity {view.entity.name!r}",
                mend=f"take the members from a view of {' or '.join(one.name for one in self.within.entities)}",
            )


def wildcard(spine: PlainSpine, entity: Entity, members: FeatureUse) -> Wildcard:
    """Candidates: each row of ``spine`` once for every member of ``entity`` that a view names for it at its instant.

    ``members`` are features of a `last_n` or `top_k`. A row stands for as many rows as there are different values among
    them, NULL left out, in the order of their ranks; each is a value of the entity's key. A row without any stands for
    none. A request to an endpoint may leave the key out: it is answered with a prediction for each member.

    >>> from inseam import FeatureView, Source, snapshots, top_k
    >>> customer, product = Entity("customer", key="customer_id"), Entity("product", key="product_id")
    >>> views = Source("views", "views.csv", timestamp="viewed_at")
    >>> viewed = FeatureView("viewed", views, customer, every="1d", features={"seen": top_k("product_id", 20)})
    >>> spine = wildcard(snapshots(customer, every="7d"), product, viewed["seen"])
    >>> [entity.name for entity in spine.entities]
    ['customer', 'product']
    """
    return Wildcard(spine, entity, members)


def _is_single(aggregate: Aggregate | None) -> bool:
    """Whether it is one value and not one of several; what the view does not have, or could not make, is neither."""
    return isinstance(aggregate, Aggregate) and aggregate.rank is None and aggregate.n is None
