"""What every `inseam.ports.tracker.Tracker` must do.

Subclass and give: a fixture ``tracker``; ``found(id)``, what it holds of a training now, read back by other means; and
``aliased(model, alias)``, the id of the training that an alias names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from inseam.kernel.errors import NotFoundError
from inseam.ports.tracker import Tracker, Training


@dataclass(frozen=True)
class Found:
    """One training as a tracker holds it. ``runs`` and ``versions`` are how many it has of it; ``files`` and ``bundle``
    are the paths under each directory that was given."""

    runs: int
    versions: int
    is_finished: bool
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: frozenset[str]
    bundle: frozenset[str]


class TrackerContract:
    def found(self, id: str) -> Found:
        raise NotImplementedError

    def aliased(self, model: str, alias: str) -> str | None:
        raise NotImplementedError

    @pytest.fixture
    def training(self, tmp_path: Path, request: pytest.FixtureRequest) -> Training:
        """A small training under a model name that no other test uses."""
        bundle, files = tmp_path / "bundle", tmp_path / "files"
        (files / "figures").mkdir(parents=True)
        bundle.mkdir()
        (bundle / "manifest.json").write_text("{}")
        (files / "figures" / "roc.png").write_bytes(b"png")
        (files / "slices.csv").write_text("column,value\n")
        model = f"m{abs(hash(request.node.nodeid)) % 10**12}"
        return Training(
            id=f"{model}-a",
            model=model,
            version=1,
            params={"max_depth": 3, "seed": 7},
            metrics={"roc_auc": 0.75, "slices/store/north/roc_auc": 0.5},
            tags={"git_commit": "abc"},
            signature={"inputs": {"orders": "int64", "store": "string"}, "outputs": {"probability": "float64"}},
            bundle=bundle,
            files=files,
            finished_at=1_700_000_000_000_000,
        )

    def test_a_training_is_held_whole(self, tracker: Tracker, training: Training) -> None:
        tracker.record(training)
        found = self.found(training.id)
        assert (found.runs, found.versions, found.is_finished) == (1, 1, True)
        assert {name: found.params[name] for name in training.params} == {"max_depth": "3", "seed": "7"}
        assert found.metrics == training.metrics
        assert found.tags["git_commit"] == "abc"
        assert {"figures/roc.png", "slices.csv"} <= found.files
        assert "manifest.json" in found.bundle

    def test_recorded_again_it_is_there_once(self, tracker: Tracker, training: Training) -> None:
        tracker.record(training)
        before = self.found(training.id)
        tracker.record(training)
        assert self.found(training.id) == before

    @pytest.mark.parametrize("missing", ["files", "bundle"])
    def test_what_failed_half_way_is_completed(self, tracker: Tracker, training: Training, missing: str) -> None:
        """A directory that is not there yet stops it at different places."""
        nowhere: dict[str, Any] = {missing: Path("/nowhere/at/all")}
        broken = replace(training, **nowhere)
        with pytest.raises(Exception):  # noqa: B017 - whatever the tracker's library raises
            tracker.record(broken)
        tracker.record(training)
        found = self.found(training.id)
        assert (found.runs, found.versions, found.is_finished) == (1, 1, True)
        assert {"figures/roc.png", "slices.csv"} <= found.files
        assert "manifest.json" in found.bundle

    def test_any_name_and_any_value_is_taken(self, tracker: Tracker, training: Training) -> None:
        """Names come from columns' values: none may be refused, and no two fall together."""
        names = ["a:b", "a?b", "../up", "", " ", "größe/京都", "x" * 400, "x" * 400 + "y", "//", "a\nb", "ends/"]
        many = {f"p{number}": number for number in range(230)}
        odd = replace(
            training,
            params={**dict.fromkeys(names, "v" * 20_000), **many, "none": None, "list": [1, 2]},
            metrics=dict.fromkeys(names, 0.25) | {f"m{number}": float(number) for number in range(1_300)},
            tags={"long": "é" * 20_000, "empty": ""},
        )
        tracker.record(odd)
        found = self.found(training.id)
        assert len(found.params) == len(odd.params)
        assert len(found.metrics) == len(odd.metrics)
        assert sorted(found.metrics.values()) == sorted(odd.metrics.values())

    def test_an_alias_follows_and_may_be_set_again(self, tracker: Tracker, training: Training) -> None:
        other = replace(training, id=f"{training.model}-b", version=2)
        tracker.record(training)
        tracker.record(other)
        assert self.aliased(training.model, "champion") is None
        for one in (training, other, other, training):
            tracker.set_alias(training.model, "champion", one.id)
            assert self.aliased(training.model, "champion") == one.id

    def test_the_same_number_of_another_ledger_is_another_version(self, tracker: Tracker, training: Training) -> None:
        """Two environments may share a tracker, and number their versions each from 1."""
        other = replace(training, id=f"{training.model}-other")
        tracker.record(training)
        tracker.record(other)
        tracker.set_alias(training.model, "champion", other.id)
        assert self.aliased(training.model, "champion") == other.id
        assert (self.found(training.id).versions, self.found(other.id).versions) == (1, 1)

    def test_an_alias_of_what_was_never_recorded_is_not_found(self, tracker: Tracker, training: Training) -> None:
        with pytest.raises(NotFoundError):
            tracker.set_alias(training.model, "champion", "never")
        tracker.record(training)
        with pytest.raises(NotFoundError):
            tracker.set_alias(training.model, "champion", "never")

    def test_a_url_is_a_place_or_none(self, tracker: Tracker, training: Training) -> None:
        tracker.record(training)
        assert tracker.url("never") is None
        url = tracker.url(training.id)
        assert url is None or url.startswith("http")
