from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from inseam.surface.cli import options, terminal
from inseam.surface.cli.session import warn, workspace

if TYPE_CHECKING:
    from inseam.ir.records import VerdictRecord

REFUSED = 6
"""Exit code when the gates did not let the version pass."""


def train(
    model: Annotated[str, typer.Argument(help="A model.")],
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, overriding the declared one.")] = None,
    no_promote: Annotated[bool, typer.Option("--no-promote", help="Judge, and leave the champion as it is.")] = False,
    project: options.Project = options.HERE,
    environment: options.Environment = None,
    json: options.Json = False,
    strict: options.Strict = False,
) -> None:
    """Training set, fit, evaluation, registry, gates. Exit code 6 when a gate says no.

    Example: inseam train lapse --param max_depth=5
    """
    params = {name: _value(text) for name, text in options.pairs(param, "--param").items()}
    with workspace(project, environment) as opened, terminal.bars(is_silent=json) as progress:
        warn(opened, f"model:{model}", is_strict=strict)
        trained = opened.train(model, params=params or None, can_promote=not no_promote, progress=progress)
    if json:
        terminal.print_json(trained)
    else:
        version = trained.version
        terminal.say(f"[bold]{model}@{version.version}[/]  {version.format}, digest {version.digest[:16]}")
        show_metrics(version.metrics)
        show_verdict(trained.verdict)
        for name in trained.untracked:
            terminal.say(f"[yellow]not tracked yet[/] {name}: the next train or promote tries again")
        if trained.champion is not None:
            terminal.say(f"[green]champion[/] {model}@{trained.champion.version}")
    if not trained.verdict.is_passed:
        raise typer.Exit(REFUSED)


def show_metrics(metrics: dict[str, Any]) -> None:
    """The test rows' metrics with their intervals beside the baseline's; then one table a sliced column."""
    baseline = metrics.get("baseline", {})
    rows = [(name, _shown(found), baseline.get(name)) for name, found in metrics.get("test", {}).items()]
    terminal.table("Metrics on the test rows, 95 % interval", ("metric", "value", "baseline"), rows)
    for column, slices in metrics.get("slices", {}).items():
        names = list(dict.fromkeys(name for part in slices.values() for name in part["metrics"]))[:3]
        shown = [
            (value, part["rows"], *(_shown(part["metrics"].get(name)) for name in names))
            for value, part in slices.items()
        ]
        terminal.table(f"By {column}", (column, "rows", *names), shown)


def show_verdict(verdict: VerdictRecord) -> None:
    if not verdict.gates:
        terminal.say("[yellow]no gates[/]  the model declares none, so every version of it may become champion")
        return
    rows = [
        (label, "passed" if gate.get("passed") else "FAILED", _shown(gate.get("found")), _shown(gate.get("expected")))
        for label, gate in verdict.gates.items()
    ]
    terminal.table("Gates", ("gate", "verdict", "found", "expected"), rows)


def _value(text: str) -> Any:
    """A parameter's value: JSON where it is, text otherwise."""
    import msgspec

    try:
        return msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text


def _shown(value: Any) -> Any:
    if isinstance(value, dict) and "value" in value:
        low, high = value.get("low"), value.get("high")
        interval = f" [{low:.4f}, {high:.4f}]" if isinstance(low, float) and isinstance(high, float) else ""
        return f"{value['value']:.4f}{interval}" if isinstance(value["value"], float) else "undefined"
    return value if isinstance(value, int | float | str | None) else str(value)
