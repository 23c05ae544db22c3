"""What the last audits say of the features that a model reads, and whether they are still the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inseam.ir.records import AuditRecord
from inseam.kernel import clock
from inseam.kernel.clock import format_instant, parse_duration
from inseam.ports.bundle import BundleManifest, ViewUse
from inseam.ports.ledger import Ledger

Subject = tuple[str, str]
"""What is audited, by reference and fingerprint."""


def problems(manifest: BundleManifest, ledger: Ledger, options: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Why the audits don't let a model pass, and the evidence, which says by which audits and until when it holds.

    Each of its views must have been audited ``within`` a duration on at least ``rows`` reads, under the definition that
    the model knows, and ``at_least`` so many of them must agree; so must its on-demand features, once they are served,
    and what names its wildcard's members, once that was audited.
    """
    at_least, rows, within = options["at_least"], options["rows"], parse_duration(options["within"])
    views = _views(manifest.views)
    functions = [(f"on_demand:{spec.name}", spec.function.digest) for spec in manifest.on_demand]
    subjects = list(dict.fromkeys([*_views(manifest.reads), *functions]))
    told, evidence, oldest = [], dict[str, Any](), clock.now()
    for subject in subjects:
        recent = [audit for audit in _audits([subject], ledger) if audit.audited_at >= clock.now() - within]
        seen, equal = sum(audit.rows for audit in recent), sum(audit.equal for audit in recent)
        evidence[subject[0]] = {"rows": seen, "equal": equal}
        oldest = min((oldest, *(audit.audited_at for audit in recent)))
        if seen < rows and subject in views:
            told.append(f"{subject[0]}: {seen} reads audited in the last {options['within']}: run `inseam audit`")
        for audit in (audit for audit in recent if audit.equal < at_least * audit.rows):
            where = f"of {audit.endpoint}" if audit.endpoint else "online"
            told.append(f"{subject[0]}: {audit.equal} of {audit.rows} reads {where} agree")
    return told, {"audits": evidence, "subjects": subjects, "last": last(subjects, ledger), "until": oldest + within}


def outdated(evidence: Mapping[str, Any], ledger: Ledger) -> str | None:
    """Why a finding of `problems` doesn't hold any more; None when it does."""
    if clock.now() > evidence["until"]:
        return f"judged by audits that counted until {format_instant(evidence['until'])}"
    if last([(name, fingerprint) for name, fingerprint in evidence["subjects"]], ledger) != evidence["last"]:
        return "judged by other audits than the last ones"
    return None


def last(subjects: Iterable[Subject], ledger: Ledger) -> int | None:
    """When one of these was last audited."""
    return max((audit.audited_at for audit in _audits(subjects, ledger)), default=None)


def _views(uses: Iterable[ViewUse]) -> list[Subject]:
    return [(f"feature_view:{use.view}", use.fingerprint) for use in uses]


def _audits(subjects: Iterable[Subject], ledger: Ledger) -> list[AuditRecord]:
    return [
        audit
        for subject, fingerprint in subjects
        for audit in ledger.select(AuditRecord, subject=subject, fingerprint=fingerprint)
    ]
