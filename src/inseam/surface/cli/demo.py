from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inseam.surface.cli import options, terminal

if TYPE_CHECKING:
    from inseam.surface.demo.tour import Step


def demo(
    directory: Annotated[Path, typer.Argument(help="Where the demo's project goes, or is.")] = Path("demo"),
    scale: Annotated[float, typer.Option(help="Size of the retailer, 0.05 or more; 1 is 20,000 customers.")] = 0.2,
    serve: Annotated[bool, typer.Option("--serve", help="Leave the server running until Ctrl-C.")] = False,
    json: options.Json = False,
) -> None:
    """Run the whole loop on a simulated retailer: raw files to a served, logged, replayed prediction.

    Safe to repeat: what is done is not done again. Example: inseam demo demo --scale 0.2 --serve
    """
    from inseam.surface.demo.tour import Tour

    def tell(step: Step) -> None:
        if not json:
            _show(step)

    with Tour(directory, scale, lambda: terminal.bars(is_silent=json), tell) as tour:
        facts = tour.run()
        if json:
            terminal.print_json(facts)
        else:
            _summarise(facts, is_serving=serve)
        if serve:
            # A program that reads us through a pipe waits for the summary and not for the server's end.
            sys.stdout.flush()
            tour.server.wait()


def _show(step: Step) -> None:
    """A line for the step and its time; what more it has to tell stands below."""
    from rich.text import Text

    for place, line in enumerate(step.lines):
        head = f"{step.seconds:6.1f}s  {step.name:<16}" if place == 0 else " " * 25
        terminal.out().print(Text.assemble((head, "bold" if place == 0 else ""), line), soft_wrap=True)


def _summarise(facts: dict[str, Any], *, is_serving: bool) -> None:
    from inseam.surface.demo.told import interval

    terminal.say("")
    sets = [
        (name, f["rows"], f.get("train"), f.get("test"), f.get("positive_rate"))
        for name, f in facts["training_sets"].items()
    ]
    terminal.table("Training sets", ("name", "rows", "train", "test", "positive rate"), sets)
    models = [
        (
            f"{name}@{f['version']}",
            interval(f),
            f"{sum(f['gates'].values())} of {len(f['gates'])} gates passed",
        )
        for name, f in facts["models"].items()
    ]
    terminal.table("Champions", ("model", "metric on unseen rows, 95 %", "verdict"), models)
    receipt = facts["receipt"]
    short = [
        ("prediction", receipt["prediction"]),
        ("probability", facts["predictions"]["lapse"]["predictions"][0]["probability"]),
        ("model", f"{receipt['model']}, digest {receipt['model_digest'][:16]}"),
        ("training set", f"digest {receipt['training_set_digest'][:16]}"),
        *((f"view {name}", f"{v['boundary']}, snapshot {v['snapshot']}") for name, v in receipt["views"].items()),
        ("replay", receipt["replay"]),
    ]
    terminal.table("Receipt", ("what", "value"), short)
    _point_onwards(facts, is_serving=is_serving)


def _point_onwards(facts: dict[str, Any], *, is_serving: bool) -> None:
    inseam, home = _command(), facts["directory"]
    docs = f"{facts['docs']}   the running server's docs, until Ctrl-C"
    lines = [
        docs if is_serving else f"{inseam} serve -p {home}   then its docs: http://127.0.0.1:8000/docs",
        f"{inseam} replay -p {home} {facts['receipt']['prediction']}",
        f"{Path(inseam).with_name('mlflow')} ui --backend-store-uri {facts['tracking']}",
        f"{home}/retail/shop.py   change a window there, then: {inseam} plan -p {home}",
    ]
    terminal.say(f"\n[bold]{facts['seconds']:.0f} seconds[/] in all. Where to look next:")
    # Unwrapped and without markup: commands are there to be copied.
    sys.stdout.write("".join(f"  {line}\n" for line in lines))


def _command() -> str:
    """How this program was called: by its name where that finds it, else by its path."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    return called.name if found is not None and Path(found).samefile(called) else str(called)
