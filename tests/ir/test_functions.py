"""What a function means: what changes its digest and what does not."""

import importlib
import sys
import textwrap
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from inseam.ir.functions import FunctionRef, source_digest
from inseam.kernel.errors import DefinitionError, NotFoundError

_numbers = count()

BASE = {
    "text.py": "def clean(text):\n    return text.strip()\n",
    "settings.py": "LIMIT = 3\n",
    "features.py": """
    import math
    import numpy as np
    from . import settings
    from .text import clean
    RATES = {"low": 0.1, "high": [1, 2]}
    SCALE = 2.5

    class Net:
        width = 4
        def forward(self, x):
            return helper(x) * self.width

    def helper(x):
        return x + SCALE

    def clipped(low):
        def decorate(function):
            return function
        return decorate

    @clipped(0)
    def subject(a, b):
        total = a + b
        for item in RATES["high"]:
            total = np.add(total, item) + settings.LIMIT
        if clean("x"):
            total = Net().forward(total)
        return math.floor(total)
    """,
}


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The digest of ``subject`` in a package of these files, each replaced text by text."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text("")

    def of(*changes: tuple[str, str], files: dict[str, str] = BASE) -> str:
        found = {name: textwrap.dedent(text) for name, text in files.items()}
        for before, after in changes:
            assert any(before in text for text in found.values()), before
            found = {name: text.replace(before, after) for name, text in found.items()}
        for name, text in found.items():
            # Each writing is dated apart, as edits are.
            (folder / name).write_text(text + f"# {next(_numbers)}\n")
        for name in [n for n in sys.modules if n.partition(".")[0] == "shop"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return source_digest(importlib.import_module("shop.features").subject)

    yield of
    for name in [n for n in sys.modules if n.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "changes",
    [
        [("total = a + b", "total = a + b  # the sum")],
        [("total = a + b", "total = (a\n             + b)")],
        [("def subject(a, b):", 'def subject(a, b):\n    """Adds."""')],
        [("def subject(a, b):", "def subject(a: float, b: 'float') -> float:")],
        [("total", "result")],
        [("for item in", "for each in"), ("item)", "each)")],
        [("SCALE", "FACTOR")],
        [("helper", "shifted")],
        [("LIMIT = 3", "LIMIT = 3\nOTHER = 4")],
        [("import numpy as np", "import numpy"), ("np.add", "numpy.add")],
        [("import math", "import math\nimport os")],
        [("def helper(x):", "def helper(x: float) -> float:")],
        [("def helper(x):", 'def helper(x):\n    """Shifts."""')],
        [("class Net:", 'class Net:\n    """A net."""')],
        [("SCALE = 2.5", "SCALE = 2.50")],
    ],
    ids=lambda changes: changes[0][1],
)
def test_what_means_the_same_has_the_same_digest(digest: Callable[..., str], changes: list[tuple[str, str]]):
    assert digest() == digest(*changes)


@pytest.mark.parametrize(
    "change",
    [
        ("total = a + b", "total = a - b"),
        ("def subject(a, b)", "def subject(b, a)"),
        ("def subject(a, b)", "def subject(a, b=1)"),
        ("SCALE = 2.5", "SCALE = 2.6"),
        ('"low": 0.1', '"low": 0.2'),
        ("[1, 2]", "[2, 1]"),
        ("x + SCALE", "x - SCALE"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("text.strip()", "text.lstrip()"),
        ("width = 4", "width = 5"),
        ("* self.width", "+ self.width"),
        ("@clipped(0)", "@clipped(1)"),
        ("return function", "return lambda *given: 0 * function(*given)"),
        ("import math", "import cmath as math"),
        ("np.add(", "np.subtract("),
    ],
    ids=lambda change: change[1],
)
def test_what_means_something_else_has_another_digest(digest: Callable[..., str], change: tuple[str, str]):
    files = BASE
    if change[0] == "import math":
        files = BASE | {"features.py": BASE["features.py"].replace("math.floor", "math.sqrt")}
    assert digest(files=files) != digest(change, files=files)


def test_parameters_that_are_assigned_keep_their_places(digest: Callable[..., str]):
    one = {"features.py": "def subject(a, b):\n    a = a + 1\n    b = b * 2\n    return a - b\n"}
    other = {"features.py": "def subject(a, b):\n    b = b + 1\n    a = a * 2\n    return b - a\n"}
    assert digest(files=one) != digest(files=other)


def test_a_parameter_is_not_the_global_of_its_name(digest: Callable[..., str]):
    files = {"features.py": "rate = 3\ndef subject(rate):\n    return rate * 2\n"}
    assert digest(files=files) == digest(("rate = 3", "rate = 4"), files=files)


def test_what_is_imported_within_the_function_counts(digest: Callable[..., str]):
    files = {
        "text.py": "def clean(text):\n    return text.strip()\n",
        "features.py": "def subject(a):\n    from .text import clean\n    return clean(a)\n",
    }
    assert digest(files=files) != digest(("strip", "rstrip"), files=files)


def test_a_function_that_calls_itself_has_a_digest(digest: Callable[..., str]):
    files = {"features.py": "def subject(n):\n    return n and other(n - 1)\ndef other(n):\n    return subject(n)\n"}
    assert digest(files=files) == digest(files=files)
    assert digest(files=files) != digest(("n - 1", "n - 2"), files=files)


def test_wrapped_helpers_count_by_their_own_source(digest: Callable[..., str]):
    files = {
        "features.py": """
        import functools
        @functools.cache
        def rate(x):
            return x * 2
        double = functools.partial(pow, 2)
        def subject(n):
            return rate(n) + double(n)
        """
    }
    assert digest(files=files) != digest(("x * 2", "x * 3"), files=files)
    assert digest(files=files) != digest(("pow, 2", "pow, 3"), files=files)


def test_a_reference_resolves_to_its_function_and_notices_an_edit(digest: Callable[..., str], tmp_path: Path):
    digest()
    ref = FunctionRef.of(importlib.import_module("shop.features").subject)
    assert ref.resolve()(1, 2) == importlib.import_module("shop.features").subject(1, 2)
    digest(("total = a + b", "total = a * b"))
    with pytest.raises(DefinitionError, match="changed since"):
        ref.resolve()


def test_a_reference_to_nothing_says_so():
    with pytest.raises(NotFoundError, match="cannot be imported"):
        FunctionRef("shop_that_is_not", "f", "0" * 32).resolve()


def test_functions_without_a_name_in_a_module_are_refused():
    def inner() -> None: ...

    for function in (inner, lambda: None, len, type("Callable", (), {"__call__": lambda self: 1})()):
        with pytest.raises(DefinitionError, match="imported again"):
            FunctionRef.of(function)
