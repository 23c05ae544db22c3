"""``inseam``: the command line's root. Verbs stand in the order in which a project meets them."""

from __future__ import annotations

import sys

import typer
from typer.exceptions import TyperException

from inseam.kernel.errors import Problem
from inseam.surface.cli import (
    apply,
    audit,
    build,
    check,
    compact,
    compare,
    consume,
    demo,
    describe,
    docs,
    fetch,
    forget,
    freshen,
    ingest,
    init,
    lineage,
    materialize,
    plan,
    promote,
    push,
    replay,
    roll_back,
    runs,
    score,
    search,
    serve,
    status,
    terminal,
    test,
    train,
)
from inseam.surface.cli.session import verb

app = typer.Typer(
    name="inseam",
    help="Own a machine-learning system for its whole life: features without skew, training, gates, serving, replay.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_VERBS = (
    (init.init, "init"),
    (demo.demo, "demo"),
    (check.check, "check"),
    (test.test, "test"),
    (plan.plan, "plan"),
    (apply.apply, "apply"),
    (ingest.ingest, "ingest"),
    (push.push, "push"),
    (consume.consume, "consume"),
    (build.build, "build"),
    (train.train, "train"),
    (promote.promote, "promote"),
    (roll_back.roll_back, "rollback"),
    (materialize.materialize, "materialize"),
    (freshen.freshen, "freshen"),
    (compare.compare, "compare"),
    (fetch.fetch, "fetch"),
    (serve.serve, "serve"),
    (score.score, "score"),
    (replay.replay, "replay"),
    (audit.audit, "audit"),
    (lineage.lineage, "lineage"),
    (compact.compact, "compact"),
    (forget.forget, "forget"),
    (status.status, "status"),
    (search.search, "search"),
    (describe.describe, "describe"),
    (docs.docs, "docs"),
    (runs.runs, "runs"),
)
for _function, _name in _VERBS:
    app.command(_name)(verb(_function))


def _version(*, is_asked: bool) -> None:
    if is_asked:
        from inseam import __version__

        typer.echo(f"inseam {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", help="Show the version and exit.", is_eager=True),
) -> None:
    _version(is_asked=version)


def main() -> None:
    """What programs ask for is JSON, a wrong call too."""
    if "--json" not in sys.argv:
        app()
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "inseam"
        problem = Problem("usage", command, error.format_message(), mend=f"{command} --help")
        terminal.print_json({"problems": [problem.as_dict()]})
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
