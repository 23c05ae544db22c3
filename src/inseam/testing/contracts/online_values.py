"""What every engine and every online store must give together: the oracle's values of what was materialized."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inseam.kernel.types import DataType, Field, Schema
from inseam.ports.discover import adapter
from inseam.ports.ledger import Ledger
from inseam.ports.online import OnlineStore
from inseam.stages.features.fetch import FeatureReader
from inseam.stages.features.materialize import materialize
from inseam.testing.contracts.engine import Opener, assert_same, drawn, stored, told
from inseam.testing.postgres import postgres_server
from inseam.testing.redis import is_installed, redis_server
from inseam.testing.worlds import SCHEMA, World, views, worlds

_numbers = itertools.count()
FINGERPRINT = "f" * 32


class OnlineValuesContract:
    """Needs a fixture ``opener`` -> `Opener`, and ``memory_limits``."""

    memory_limits: tuple[str, ...]

    @pytest.fixture(scope="class")
    @classmethod
    def online(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, dict[str, OnlineStore]]]:
        """A ledger, and every kind of store there is."""
        place, namespace = tmp_path_factory.mktemp("online"), uuid.uuid4().hex
        with ExitStack() as running:
            urls = {"postgres": f"{running.enter_context(postgres_server())}&timeout=10s"}
            if is_installed():
                urls["redis"] = f"{running.enter_context(redis_server()).url}?timeout=10s"
            stores = {kind: adapter("online", kind)(url, namespace=namespace) for kind, url in urls.items()}
            stores["lmdb"] = adapter("online", "lmdb")(place / "lmdb")
            for store in stores.values():
                running.callback(store.close)
            yield adapter("ledger", "sql")(f"sqlite:///{place / 'ledger.db'}"), stores

    @settings(drawn, max_examples=5)
    @given(data=st.data(), world=worlds())
    def test_what_is_materialized_into_any_store_is_what_the_oracle_says(
        self, opener: Opener, online: tuple[Ledger, dict[str, OnlineStore]], data: st.DataObject, world: World
    ) -> None:
        engine, tables = opener(self.memory_limits[0])
        ledger, stores = online
        number = next(_numbers)
        view = data.draw(views(f"sources/online_{number}", f"online_{number}", labels=False, defaults=True))
        reads = tuple(read for read in world.reads if all(read[key] is not None for key in view.keys))
        assume(reads and len(world.rows) > 3)  # the first that is drawn is the emptiest
        instant = reads[0]["t"]  # online rows are of one
        world = World(world.rows, tuple({**read, "t": instant} for read in reads))
        stored(tables, world, view.relation.table)
        expected = told(view, world)
        keys = tuple(Field(key, SCHEMA.type_of(key) or DataType.STRING) for key in view.keys)
        entities = [{key: read[key] for key in view.keys} for read in reads]
        for kind, store in stores.items():
            materialize(view, FINGERPRINT, as_of=instant, engine=engine, tables=tables, store=store, ledger=ledger)
            found = FeatureReader(store, [(view, FINGERPRINT)], Schema(keys)).read(entities, at=instant)
            for spec in view.aggregates:
                assert_same(found.values[spec.name], expected[spec.name], f"{spec.name} from {kind}")
