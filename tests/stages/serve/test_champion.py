"""Following promotions: what can't be served leaves the old champion in place, and says why."""

from dataclasses import replace

import pytest
from serving_world import bundle, spec

from inseam.adapters.sql.ledger import SqlLedger
from inseam.ir.records import AliasRecord, ModelVersionRecord
from inseam.kernel.errors import DataError, UnsafeArtifactError
from inseam.ports.artifacts import Artifacts
from inseam.stages.serve.champion import ChampionWatch


@pytest.fixture
def ledger(tmp_path):
    return SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}")


def promote(ledger, version):
    record = ModelVersionRecord("lapse", version, f"d{version}", f"p{version}", "x", "f", "t", "d", {}, {}, {}, 1)
    ledger.put(record, AliasRecord("lapse", "champion", version, 1))


def watch(ledger, tmp_path, opener=lambda models, name, digest: bundle(float(digest[1:])), served_as=None, **changes):
    return ChampionWatch(
        ledger,
        "lapse",
        Artifacts(tmp_path),
        served_as=served_as or (lambda manifest: (spec(**changes), None, None)),
        poll_seconds=0.01,
        opener=opener,
    )


def test_without_a_champion_it_says_so_and_takes_the_first_that_comes(ledger, tmp_path):
    watching = watch(ledger, tmp_path)
    watching.look()
    assert watching.current is None and "promoted" in watching.problem
    promote(ledger, 1)
    watching.look()
    assert watching.current.version == 1 and watching.problem is None
    assert len(watching.current.bundle.predictor.batches) > 0, "it is warm"


def test_a_bundle_is_opened_once_a_version_and_from_its_own_place(ledger, tmp_path):
    opened = []

    def opener(models, name, digest):
        opened.append((models, name, digest))
        return bundle()

    promote(ledger, 1)
    watching = watch(ledger, tmp_path, opener)
    for _ in range(3):
        watching.look()
    promote(ledger, 2)
    watching.look()
    assert opened == [(Artifacts(tmp_path), "p1", "d1"), (Artifacts(tmp_path), "p2", "d2")]


def test_a_broken_bundle_keeps_the_old_one_until_it_is_mended_or_rolled_back(ledger, tmp_path):
    is_broken = True

    def opener(models, name, digest):
        if digest == "d2" and is_broken:
            raise UnsafeArtifactError("bundle p2", "its digest is wrong")
        return bundle()

    promote(ledger, 1)
    watching = watch(ledger, tmp_path, opener)
    watching.look()
    promote(ledger, 2)
    watching.look()
    assert watching.current.version == 1 and "digest" in watching.problem
    promote(ledger, 1)
    watching.look()
    assert watching.problem is None
    promote(ledger, 2)
    is_broken = False
    watching.look()
    assert watching.current.version == 2 and watching.problem is None


def test_a_model_that_needs_what_the_endpoint_does_not_bring_is_refused(ledger, tmp_path):
    promote(ledger, 1)
    watching = watch(ledger, tmp_path, inputs=())
    watching.look()
    assert watching.current is None and "basket_value" in watching.problem
    narrower = watch(ledger, tmp_path, views=(replace(spec().views[0]),))
    narrower.look()
    assert "visits_7d" in narrower.problem


def test_what_a_model_is_asked_with_is_swapped_with_it_or_not_at_all(ledger, tmp_path):
    """The views as it was trained on them, and the reader of exactly those."""
    found = {"f2": (spec(), object(), object())}

    def served_as(manifest):
        told = found.get(next(use.fingerprint for use in manifest.views if use.view == "visits"))
        if told is None:
            raise DataError("feature_view:visits", "its rows are being written")
        return told

    promote(ledger, 1)
    watching = watch(ledger, tmp_path, served_as=served_as)
    watching.look()
    assert (watching.current.spec, watching.current.reader, watching.current.members) == found["f2"]
    (told,) = found.values()
    found.clear()
    promote(ledger, 2)
    watching.look()
    assert watching.current.version == 1 and "being written" in watching.problem
    found["f2"] = told
    watching.look()
    assert watching.current.version == 2 and watching.problem is None


def test_a_model_that_fails_when_it_is_asked_is_refused_before_it_answers_anybody(ledger, tmp_path):
    def opener(models, name, digest):
        made = bundle()
        made.predictor.predict = lambda matrix: 1 / 0
        return made

    promote(ledger, 1)
    watching = watch(ledger, tmp_path, opener)
    watching.look()
    assert watching.current is None and "ZeroDivisionError" in watching.problem


def test_it_follows_in_the_background_and_survives_a_ledger_that_is_away(ledger, tmp_path):
    import time

    class Away:
        is_away = False

        def get(self, *arguments):
            if self.is_away:
                raise OSError("no ledger")
            return ledger.get(*arguments)

    away = Away()
    promote(ledger, 1)
    watching = watch(away, tmp_path)
    watching.start()
    try:
        assert watching.current.version == 1
        away.is_away = True
        _until(lambda: watching.problem is not None, time)
        promote(ledger, 2)
        assert watching.current.version == 1
        away.is_away = False
        _until(lambda: watching.current.version == 2 and watching.problem is None, time)
    finally:
        watching.stop()


def _until(is_so, time, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
