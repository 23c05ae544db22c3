"""What a load found: checks that rows broke without being refused, columns that came or stayed away."""

from __future__ import annotations

from typing import Any

EXAMPLES = 5


class Findings:
    """By name: ``{kind, severity, broken, examples}``, examples at most five."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def add(self, name: str, kind: str, severity: str, broken: int, examples: list[str]) -> None:
        entry = self.found.setdefault(name, {"kind": kind, "severity": severity, "broken": 0, "examples": []})
        entry["broken"] += broken
        entry["examples"] += examples[: EXAMPLES - len(entry["examples"])]

    def room(self, name: str) -> int:
        """How many more examples are wanted."""
        return EXAMPLES - len(self.found[name]["examples"]) if name in self.found else EXAMPLES

    def join(self, later: Findings) -> None:
        """Take in what was found in the rows that follow."""
        for name, entry in later.found.items():
            self.add(name, entry["kind"], entry["severity"], entry["broken"], entry["examples"])
