from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from inseam.kernel import clock
from inseam.surface.cli import options, terminal
from inseam.surface.cli.replay import DIFFERS
from inseam.surface.cli.session import workspace

if TYPE_CHECKING:
    from inseam.run.workspace import Workspace
    from inseam.stages.observe.audited import Audited, Difference

# typer evaluates annotations.
_Name = Annotated[Optional[str], typer.Argument(help="An endpoint, or a view; default: every endpoint.")]  # noqa: UP045
_Every = Annotated[Optional[str], typer.Option(help="Audit again after each such pause, such as 10m.")]  # noqa: UP045


def audit(
    name: _Name = None,
    sample: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many predictions, or entities.")] = 1_000,
    since: Annotated[str, typer.Option(help="How far back predictions are drawn from.")] = "1d",
    online: Annotated[bool, typer.Option("--online", help="Draw entities instead, and read them online now.")] = False,
    at_least: Annotated[float, typer.Option(min=0, max=1, help="The share of reads that must agree.")] = 1.0,
    every: _Every = None,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Draw feature values that were served and compute them again offline, bit for bit. Exit code 11 when they differ.

    Example: inseam audit lapse --sample 5000 --since 2h
    """
    span, pause = options.duration(since, "--since"), options.duration(every, "--every")
    with workspace(project, environment) as opened:
        while True:
            found = _audited(opened, name, sample, span, is_online=online, is_patient=pause is not None)
            _tell(found, is_json=json)
            if pause is None:
                break
            time.sleep(pause / clock.SECOND)
    if any(one.agreement is not None and one.agreement < at_least for one in found):
        raise typer.Exit(DIFFERS)


def _audited(
    opened: Workspace, name: str | None, sample: int, span: int | None, *, is_online: bool, is_patient: bool
) -> tuple[Audited, ...]:
    from inseam.kernel.errors import NotFoundError, UnavailableError

    try:
        since = None if span is None else clock.now() - span
        return opened.audit(name, sample=sample, since=since, is_online=is_online)
    except (NotFoundError, UnavailableError) as error:
        if not is_patient:
            raise
        terminal.print_problems(error.problems)
        return ()


def _tell(found: tuple[Audited, ...], *, is_json: bool) -> None:
    if is_json:
        terminal.print_json([one.as_dict() for one in found])
        return
    terminal.table("Audit", ("what", "read by", "rows", "agree", "at least", "likely causes"), map(_agreement, found))
    terminal.table("Reads", ("what", "stale", "missing", "outdated", "oldest"), map(_reads, found))
    differences = [_difference(difference) for one in found for difference in one.differences]
    if differences:
        columns = ("entity", "feature", "boundary", "read", "recomputed", "likely cause")
        terminal.table("Differences", columns, differences)


def _difference(one: Difference) -> tuple[object, ...]:
    entity = ", ".join(f"{key}={value}" for key, value in one.entity.items())
    return entity, one.feature, one.boundary, _exact(one.read), _exact(one.recomputed), one.cause


def _agreement(one: Audited) -> tuple[object, ...]:
    shares = ("-", "-") if one.agreement is None else (_percent(one.agreement), _percent(one.low))
    causes = ", ".join(f"{cause}: {count}" for cause, count in one.causes.items())
    return one.subject, one.endpoint or "online rows", one.rows, *shares, causes


def _reads(one: Audited) -> tuple[object, ...]:
    oldest = None if one.behind_seconds is None else clock.format_duration(round(one.behind_seconds) * clock.SECOND)
    return one.subject, one.stale, one.missing, one.outdated, oldest


def _percent(share: float) -> str:
    """Never rounded up to all."""
    return f"{int(share * 10_000) / 100:g} %"


def _exact(value: object) -> str | None:
    """To the last bit: what differs there must not look the same."""
    return None if value is None else repr(value) if isinstance(value, float) else str(value)
