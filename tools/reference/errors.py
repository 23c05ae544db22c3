"""Every kind of error with its exit code, and every problem code with what it says."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from markdown import code, prose, table
from source import constant_texts, modules

from inseam.kernel import errors
from inseam.kernel.errors import InseamError


class Said(NamedTuple):
    """One place of the code that states a problem, with the parts of its text that vary as names in braces."""

    code: str
    found: str
    expected: str
    mend: str


def page() -> str:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, InseamError)]
    rows = [(code(k.code), str(k.exit_code), code(k.__name__), prose(k.__doc__ or "")) for k in kinds]
    return "\n".join(
        [
            "Every problem says which object, where it was declared, what was found, what was expected, and the mend. "
            "Codes are stable: programs may rely on them.\n",
            "## Kinds of errors\n",
            table(("code", "exit code", "class", "meaning"), rows),
            "## Other exit codes\n",
            table(("exit code", "meaning"), sorted([("0", "Done."), *_exit_codes()], key=lambda row: int(row[0]))),
            "## Problems in definitions\n",
            "`inseam check` reports them all at once and exits with 2. `{...}` stands for what varies.\n",
            _listed("define", "plan", "ir"),
            "## Problems in requests to a server\n",
            _listed("stages/serve"),
        ]
    )


def _exit_codes() -> Iterator[tuple[str, str]]:
    for path, tree in modules("surface/cli"):
        for _, value, text in constant_texts(path, tree):
            if isinstance(value, int) and "xit code" in text:
                yield str(value), f"{prose(text).removeprefix('Exit code ').capitalize()} ({code(path.stem)})"
    yield "130", "Interrupted by Ctrl-C; the same command again goes on."


def _listed(*folders: str) -> str:
    by_code: dict[str, list[Said]] = defaultdict(list)
    for folder in folders:
        for _, tree in modules(folder):
            for node in ast.walk(tree):
                said = stated(node)
                if said is not None and said not in by_code[said.code]:
                    by_code[said.code].append(said)
    rows = [(code(name), s.found, s.expected, s.mend) for name in sorted(by_code) for s in sorted(by_code[name])]
    return table(("code", "what is found", "what is expected", "mend"), rows)


def stated(node: ast.AST) -> Said | None:
    """What ``Problem("code", subject, found, ...)`` or ``thing.problem("code", found, ...)`` says."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    name, args = node.func, node.args
    if isinstance(name, ast.Name) and name.id == "Problem":
        args = [args[0], *args[2:]]
    elif not (isinstance(name, ast.Attribute) and name.attr == "problem"):
        return None
    if not (isinstance(args[0], ast.Constant) and isinstance(args[0].value, str)):
        return None
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    found, expected, mend = (
        args[place] if len(args) > place else named.get(key)
        for place, key in ((1, "found"), (2, "expected"), (3, "mend"))
    )
    return Said(args[0].value, _text(found), _text(expected), _text(mend))


def _text(node: ast.expr | None) -> str:
    if node is None:
        return ""
    if isinstance(node, ast.Constant):
        return str(node.value).replace("<", "&lt;")
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value)
    if isinstance(node, ast.IfExp):
        return " / ".join(dict.fromkeys(filter(None, (_text(node.body), _text(node.orelse)))))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "did_you_mean":
        return "the nearest name"
    name = getattr(node, "attr", None) or getattr(node, "id", None)
    return f"{{{name.strip('_')}}}" if name else "{...}"
