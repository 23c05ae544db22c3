import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest

from inseam.ir.records import AliasRecord, ModelVersionRecord, RunRecord, VerdictRecord
from inseam.kernel.errors import ConflictError, NotFoundError, RefusedError
from inseam.stages.register.mirror import mirror_champion
from inseam.stages.register.promotion import HISTORY, champions, is_outdated, promote, roll_back
from inseam.testing.tracking import ListTracker


@pytest.fixture
def versions(ledger):
    """Three versions of a model; the third did not pass."""
    for number in (1, 2, 3):
        ledger.insert(
            ModelVersionRecord(
                *("lapse", number, f"d{number}", f"lapse/d{number}", "xgboost", "", "", ""),
                *({}, {}, {"run": f"run-{number}"}, 0),
            )
        )
        gate = {"passed": number < 3, "found": "roc_auc 0.6", "expected": "at least 0.7", "evidence": {}}
        ledger.insert(VerdictRecord("lapse", number, number, number < 3, {"at_least roc_auc": gate}))


def champion(ledger):
    return ledger.get(AliasRecord, "lapse", "champion")


def test_a_version_that_passed_becomes_champion_everywhere(ledger, versions):
    alias = promote("lapse", 1, ledger=ledger)
    assert champion(ledger) == alias and alias.version == 1


def test_a_version_that_failed_is_refused_by_its_gates(ledger, versions):
    with pytest.raises(RefusedError, match=r"at_least roc_auc: roc_auc 0\.6, expected at least 0\.7"):
        promote("lapse", 3, ledger=ledger)
    assert champion(ledger) is None


def test_the_newest_verdict_counts(ledger, versions):
    ledger.insert(VerdictRecord("lapse", 3, 99, True, {}))
    assert promote("lapse", 3, ledger=ledger).version == 3


def test_force_is_recorded(ledger, versions):
    promote("lapse", 3, ledger=ledger, is_forced=True)
    (run,) = ledger.select(RunRecord, step=HISTORY, subject="lapse")
    assert run.inputs["is_forced"] and run.inputs["failed_gates"] == [
        "at_least roc_auc: roc_auc 0.6, expected at least 0.7"
    ]


def test_a_version_never_judged_is_refused(ledger, versions):
    ledger.insert(ModelVersionRecord("lapse", 4, "d4", "lapse/d4", "xgboost", "", "", "", {}, {}, {}, 0))
    with pytest.raises(RefusedError, match="never judged"):
        promote("lapse", 4, ledger=ledger)


def test_a_version_that_is_not_there_is_not_found(ledger, versions):
    with pytest.raises(NotFoundError):
        promote("lapse", 9, ledger=ledger)


def test_promoting_the_champion_changes_nothing(ledger, versions):
    first = promote("lapse", 1, ledger=ledger)
    assert promote("lapse", 1, ledger=ledger) == first
    assert champions("lapse", ledger) == [1]


def test_of_two_promotions_at_once_exactly_one_wins(ledger, versions):
    barrier = Barrier(2)

    class Together:
        """Lets both look at the champion before either swaps it."""

        def swap(self, *records):
            barrier.wait(timeout=60)
            return ledger.swap(*records)

        def __getattr__(self, name):
            return getattr(ledger, name)

    def attempt(version):
        try:
            return promote("lapse", version, ledger=Together()).version
        except ConflictError:
            return None

    with ThreadPoolExecutor(2) as pool:
        won = [version for version in pool.map(attempt, (1, 2)) if version is not None]
    assert len(won) == 1
    assert champion(ledger).version == won[0] and champions("lapse", ledger) == won


def test_rolling_back_walks_the_champions_in_reverse(ledger, versions):
    for version in (1, 2, 3):
        promote("lapse", version, ledger=ledger, is_forced=True)
    assert roll_back("lapse", ledger=ledger).version == 2
    assert roll_back("lapse", ledger=ledger).version == 1
    with pytest.raises(RefusedError, match="no earlier champion"):
        roll_back("lapse", ledger=ledger)


def test_promoted_again_after_a_roll_back_the_history_holds(ledger, versions):
    promote("lapse", 1, ledger=ledger)
    promote("lapse", 2, ledger=ledger)
    roll_back("lapse", ledger=ledger)
    promote("lapse", 2, ledger=ledger)
    assert champions("lapse", ledger) == [1, 2]


def compared_with(champion):
    return {"passed": True, "found": "better", "expected": "better", "evidence": {"champion": champion}}


def test_a_verdict_holds_against_the_champion_that_it_names_and_no_other(ledger, versions):
    """Judged against champion 1, a version is not let in after champion 2 took over."""
    promote("lapse", 1, ledger=ledger)
    ledger.insert(VerdictRecord("lapse", 3, 50, True, {"beats_champion": compared_with(1)}))
    assert not is_outdated("lapse", 3, ledger)
    promote("lapse", 2, ledger=ledger)
    assert is_outdated("lapse", 3, ledger)
    with pytest.raises(RefusedError, match="judged against champion 1, and now there is champion 2"):
        promote("lapse", 3, ledger=ledger)
    assert champion(ledger).version == 2
    ledger.insert(VerdictRecord("lapse", 3, 51, True, {"beats_champion": compared_with(2)}))
    assert promote("lapse", 3, ledger=ledger).version == 3
    assert not is_outdated("lapse", 3, ledger)


def test_the_first_versions_verdict_does_not_outlive_the_first_champion(ledger, versions):
    ledger.insert(VerdictRecord("lapse", 1, 50, True, {"beats_champion": compared_with(None)}))
    promote("lapse", 2, ledger=ledger)
    with pytest.raises(RefusedError, match="judged against no champion"):
        promote("lapse", 1, ledger=ledger)
    assert promote("lapse", 1, ledger=ledger, is_forced=True).version == 1


def test_a_champion_that_changes_between_look_and_swap_is_a_conflict(ledger, versions):
    """The verdict was read against the champion that the swap demands: a late change cannot slip between."""
    promote("lapse", 1, ledger=ledger)
    ledger.insert(VerdictRecord("lapse", 3, 50, True, {"beats_champion": compared_with(1)}))

    class Raced:
        def swap(self, *records):
            promote("lapse", 2, ledger=ledger)
            return ledger.swap(*records)

        def __getattr__(self, name):
            return getattr(ledger, name)

    with pytest.raises(ConflictError):
        promote("lapse", 3, ledger=Raced())
    assert champion(ledger).version == 2


def test_the_tracker_follows_the_ledger_or_catches_up(ledger, versions, caplog):
    tracker = ListTracker(is_down=True)
    tracker.trainings = {f"run-{n}": SimpleNamespace(version=n) for n in (1, 2, 3)}
    assert mirror_champion("lapse", ledger=ledger, tracker=tracker)
    promote("lapse", 1, ledger=ledger)
    with caplog.at_level(logging.WARNING):
        assert not mirror_champion("lapse", ledger=ledger, tracker=tracker)
    assert "lapse@1 is champion" in caplog.text
    tracker.is_down = False
    assert mirror_champion("lapse", ledger=ledger, tracker=tracker)
    assert tracker.aliases == {("lapse", "champion"): "run-1"}


def test_a_champion_that_changes_while_it_is_mirrored_is_mirrored_too(ledger, versions):
    class Slow(ListTracker):
        def set_alias(self, model, alias, id):
            if not self.aliases:
                promote("lapse", 2, ledger=ledger)
            super().set_alias(model, alias, id)

    tracker = Slow()
    tracker.trainings = {f"run-{n}": SimpleNamespace(version=n) for n in (1, 2, 3)}
    promote("lapse", 1, ledger=ledger)
    assert mirror_champion("lapse", ledger=ledger, tracker=tracker)
    assert tracker.aliases == {("lapse", "champion"): "run-2"}
