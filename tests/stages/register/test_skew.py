"""The gate `no_skew`: by recent audits of just the definitions that the model knows, as long as they are the last."""

from dataclasses import replace

import msgspec
import pytest

from inseam.ir.functions import FunctionRef
from inseam.ir.on_demand import OnDemandSpec
from inseam.ir.records import AuditRecord, ModelVersionRecord, VerdictRecord
from inseam.kernel.clock import DAY, frozen_at
from inseam.kernel.errors import RefusedError
from inseam.kernel.types import DataType
from inseam.ports.bundle import BundleManifest, ViewUse
from inseam.stages.register.promotion import is_outdated, promote
from inseam.stages.register.skew import problems

NOW = 1_000 * DAY
OPTIONS = {"at_least": 1.0, "within": "7d", "rows": 100}
MANIFEST = msgspec.convert(
    {
        "model": "lapse", "format": "xgboost", "task": "binary", "classes": [False, True], "keys": [], "inputs": [],
        "views": [ViewUse("spend", "v1", ())], "encoding": {"columns": []},
        "training_set": "", "training_set_digest": "",
        "on_demand": [OnDemandSpec("ratio", DataType.FLOAT64, FunctionRef("m", "f", "d1"), (), ())],
    },
    BundleManifest,
    from_attributes=True,
)  # fmt: skip


def audit(subject="feature_view:spend", endpoint="lapse", fingerprint="v1", days=1, rows=100, equal=100):
    return AuditRecord(subject, endpoint, fingerprint, NOW - days * DAY, rows, equal, {})


def told(ledger, **options):
    with frozen_at(NOW):
        return problems(MANIFEST, ledger, OPTIONS | options)[0]


@pytest.mark.parametrize("audits", [[], [audit(fingerprint="v0")], [audit(days=8)], [audit(rows=99, equal=99)]])
def test_without_enough_recent_audits_of_its_own_definition_it_says_what_to_run(ledger, audits):
    ledger.put(*audits)
    (why,) = told(ledger)
    assert why.startswith("feature_view:spend: ") and why.endswith("reads audited in the last 7d: run `inseam audit`")


def test_audits_of_predictions_and_of_online_rows_count_together(ledger):
    ledger.put(audit(rows=60, equal=60), audit(endpoint="", rows=40, equal=40))
    assert told(ledger) == []


def test_one_that_disagrees_is_named_and_so_is_an_on_demand_feature(ledger):
    ledger.put(audit(), audit(endpoint="", rows=200, equal=199), audit("on_demand:ratio", fingerprint="d1", equal=50))
    assert told(ledger) == [
        "feature_view:spend: 199 of 200 reads online agree",
        "on_demand:ratio: 50 of 100 reads of lapse agree",
    ]
    assert told(ledger, at_least=0.5) == []


def test_what_names_members_must_agree_once_it_was_audited(ledger):
    unfolding = replace(MANIFEST, members=ViewUse("viewed", "m1", ()))
    ledger.put(audit())
    with frozen_at(NOW):
        assert problems(unfolding, ledger, OPTIONS)[0] == []
        ledger.put(audit("feature_view:viewed", "", "m1", rows=10, equal=9))
        assert problems(unfolding, ledger, OPTIONS)[0] == ["feature_view:viewed: 9 of 10 reads online agree"]


def test_a_verdict_holds_until_its_audits_are_old_or_there_are_newer_ones(ledger):
    ledger.insert(ModelVersionRecord("lapse", 1, "d", "lapse/d", "xgboost", "", "", "", {}, {}, {}, 0))

    def judge(at):
        with frozen_at(at):
            why, evidence = problems(MANIFEST, ledger, OPTIONS)
            gate = {"passed": not why, "found": "; ".join(why), "expected": "", "evidence": evidence}
            ledger.insert(VerdictRecord("lapse", 1, at, not why, {"no_skew": gate}))
            return not why

    assert not judge(NOW)
    with frozen_at(NOW):
        assert not is_outdated("lapse", 1, ledger), "nothing was audited since"
        ledger.put(audit())
        assert is_outdated("lapse", 1, ledger)
    assert judge(NOW + 1)
    with frozen_at(NOW + 6 * DAY + 1):
        assert is_outdated("lapse", 1, ledger)
        with pytest.raises(RefusedError, match="judged by audits that counted until"):
            promote("lapse", 1, ledger=ledger)
    with frozen_at(NOW + 2):
        assert not is_outdated("lapse", 1, ledger)
        assert promote("lapse", 1, ledger=ledger).version == 1
