"""What goes wrong in a verb: a message, a mend and an exit code, no traceback."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from inseam.kernel.errors import DataError
from inseam.surface.cli.session import verb


def test_a_file_that_grows_past_its_limit_is_the_users_to_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(typer.Exit) as ended:
            verb(lambda: (tmp_path / "rows").write_bytes(bytes(2_000)) and None)()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ended.value.exit_code == 7
    assert "ulimit -f" in capsys.readouterr().err


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As in a shell: libraries of other tests set handlers of their own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("error", [RuntimeError("Query interrupted"), DataError("t", "interrupted")])
def test_an_interrupt_is_one_whatever_a_library_makes_of_it(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def query() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise error from None

    with pytest.raises(typer.Exit) as ended:
        verb(query)()
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err.startswith("interrupted")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_fault_of_ours_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise ChildProcessError(10, "No child processes")

    with pytest.raises(ChildProcessError):
        verb(broken)()
    assert capsys.readouterr().err == ""
