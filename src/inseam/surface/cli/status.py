from __future__ import annotations

from inseam.kernel.clock import format_instant
from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import workspace


def status(
    project: options.Project = options.HERE, environment: options.Environment = None, json: options.Json = False
) -> None:
    """What is loaded, built, promoted and online now, and what the last audits said.

    Example: inseam status --json
    """
    with workspace(project, environment) as opened:
        now = opened.status()
    if json:
        terminal.print_json(now.as_dict())
        return
    terminal.table(
        "Sources",
        ("source", "rows", "quarantined", "loads", "snapshot", "complete until", "waiting"),
        [(s.name, s.rows, s.quarantined, s.loads, s.snapshot, _instant(s.watermark), s.waiting) for s in now.sources],
    )
    terminal.table(
        "Online rows",
        ("view", "rows", "boundary", "age (s)", "stale"),
        [(v.name, v.rows, _instant(v.boundary), _whole(v.age_seconds), v.is_stale) for v in now.views],
    )
    terminal.table("Models", ("model", "versions", "champion"), [(m.name, m.versions, m.champion) for m in now.models])
    if now.audits:
        terminal.table(
            "Audits",
            ("what", "read by", "rows", "agree", "audited"),
            [(a.subject, a.endpoint or "online rows", a.rows, a.equal, _instant(a.audited_at)) for a in now.audits],
        )


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _instant(value: int | None) -> str | None:
    return None if value is None else format_instant(value)
