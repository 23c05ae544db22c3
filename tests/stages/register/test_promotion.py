import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from inseam.ir.records import AliasRecord, ModelVersionRecord, RunRecord, VerdictRecord
from inseam.kernel.errors import ConflictError, NotFoundError, RefusedError
from inseam.stages.register.promotion import HISTORY, champions, promote, roll_back
from inseam.testing.tracking import ListTracker


@pytest.fixture
def versions(ledger):
    """Three versions of a model; the third did not pass."""
    for number in (1, 2, 3):
        ledger.insert(
            ModelVersionRecord("lapse", number, f"d{number}", f"lapse/d{number}", "xgboost", "", "", "", {}, {}, {}, 0)
        )
        gate = {"passed": number < 3, "found": "roc_auc 0.6", "expected": "at least 0.7", "evidence": {}}
        ledger.insert(VerdictRecord("lapse", number, number, number < 3, {"at_least roc_auc": gate}))


def champion(ledger):
    return ledger.get(AliasRecord, "lapse", "champion")


def test_a_version_that_passed_becomes_champion_everywhere(ledger, tracker, versions):
    alias = promote("lapse", 1, ledger=ledger, tracker=tracker)
    assert champion(ledger) == alias and alias.version == 1
    assert tracker.aliases == {("lapse", "champion"): 1}


def test_a_version_that_failed_is_refused_by_its_gates(ledger, tracker, versions):
    with pytest.raises(RefusedError, match=r"at_least roc_auc: roc_auc 0\.6, expected at least 0\.7"):
        promote("lapse", 3, ledger=ledger, tracker=tracker)
    assert champion(ledger) is None and tracker.aliases == {}


def test_the_newest_verdict_counts(ledger, tracker, versions):
    ledger.insert(VerdictRecord("lapse", 3, 99, True, {}))
    assert promote("lapse", 3, ledger=ledger, tracker=tracker).version == 3


def test_force_is_recorded(ledger, tracker, versions):
    promote("lapse", 3, ledger=ledger, tracker=tracker, is_forced=True)
    (run,) = ledger.select(RunRecord, step=HISTORY, subject="lapse")
    assert run.inputs["is_forced"] and run.inputs["failed_gates"] == [
        "at_least roc_auc: roc_auc 0.6, expected at least 0.7"
    ]


def test_a_version_never_judged_is_refused(ledger, tracker, versions):
    ledger.insert(ModelVersionRecord("lapse", 4, "d4", "lapse/d4", "xgboost", "", "", "", {}, {}, {}, 0))
    with pytest.raises(RefusedError, match="never judged"):
        promote("lapse", 4, ledger=ledger, tracker=tracker)


def test_a_version_that_is_not_there_is_not_found(ledger, tracker, versions):
    with pytest.raises(NotFoundError):
        promote("lapse", 9, ledger=ledger, tracker=tracker)


def test_promoting_the_champion_changes_nothing(ledger, tracker, versions):
    first = promote("lapse", 1, ledger=ledger, tracker=tracker)
    assert promote("lapse", 1, ledger=ledger, tracker=tracker) == first
    assert champions("lapse", ledger) == [1]


def test_of_two_promotions_at_once_exactly_one_wins(ledger, tracker, versions):
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
            return promote("lapse", version, ledger=Together(), tracker=tracker).version
        except ConflictError:
            return None

    with ThreadPoolExecutor(2) as pool:
        won = [version for version in pool.map(attempt, (1, 2)) if version is not None]
    assert len(won) == 1
    assert champion(ledger).version == won[0] and champions("lapse", ledger) == won


def test_rolling_back_walks_the_champions_in_reverse(ledger, tracker, versions):
    for version in (1, 2, 3):
        promote("lapse", version, ledger=ledger, tracker=tracker, is_forced=True)
    assert roll_back("lapse", ledger=ledger, tracker=tracker).version == 2
    assert roll_back("lapse", ledger=ledger, tracker=tracker).version == 1
    assert tracker.aliases == {("lapse", "champion"): 1}
    with pytest.raises(RefusedError, match="no earlier champion"):
        roll_back("lapse", ledger=ledger, tracker=tracker)


def test_promoted_again_after_a_roll_back_the_history_holds(ledger, tracker, versions):
    promote("lapse", 1, ledger=ledger, tracker=tracker)
    promote("lapse", 2, ledger=ledger, tracker=tracker)
    roll_back("lapse", ledger=ledger, tracker=tracker)
    promote("lapse", 2, ledger=ledger, tracker=tracker)
    assert champions("lapse", ledger) == [1, 2]


def test_a_tracker_that_is_down_does_not_undo(ledger, versions, caplog):
    with caplog.at_level(logging.WARNING):
        promote("lapse", 1, ledger=ledger, tracker=ListTracker(is_down=True))
    assert champion(ledger).version == 1 and "not mirrored" in caplog.text
