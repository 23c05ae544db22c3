"""Everything of a project that people look for: its declarations and the single features of its views."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from typing import Any

from inseam.define.aggregate import Aggregate
from inseam.define.declaration import Declaration
from inseam.define.entity import Entity
from inseam.define.feature_view import FeatureView
from inseam.define.on_demand import OnDemand
from inseam.define.project import Project
from inseam.define.rows import Rows
from inseam.define.training_set import TrainingSet
from inseam.kernel.errors import NotFoundError
from inseam.kernel.names import did_you_mean
from inseam.plan.schemas import Schemas
from inseam.plan.words import feature_in_words, in_words

FEATURE = "feature"
_WEIGHTS = {"name": 10.0, "view": 5.0, "tags": 5.0, "columns": 4.0, "owner": 3.0, "description": 2.0, "definition": 1.0}
_SPELT = ("name", "tags", "columns")
"""Where a misspelt word is looked for too."""
_LIKE = 0.8
"""How alike two words are for one to pass as a misspelling of the other."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing: a declaration, or a feature as ``feature:VIEW.NAME``. ``columns``: what it reads, or has."""

    ref: str
    kind: str
    name: str
    owner: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    deprecated: str = ""
    definition: str = ""
    place: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that a search found; the greater the score the better."""

    entry: Entry
    score: float
    matched: tuple[str, ...]
    """Which of its texts hold what was searched for."""

    def as_dict(self) -> dict[str, Any]:
        return self.entry.as_dict() | {"score": self.score, "matched": self.matched}


def entries(project: Project, schemas: Schemas) -> tuple[Entry, ...]:
    """Every declaration in order, a view's features behind it."""
    return tuple(_entries(project, schemas))


def _entries(project: Project, schemas: Schemas) -> Iterator[Entry]:
    for item in project.declarations:
        yield Entry(
            str(item.ref),
            item.KIND,
            item.name,
            item.owner,
            item.description,
            item.tags,
            item.deprecated,
            in_words(item),
            str(item.place or ""),
            _columns(item, schemas),
        )
        if isinstance(item, FeatureView):
            yield from (_feature(item, name, schemas) for name in item.features)


def _feature(view: FeatureView, name: str, schemas: Schemas) -> Entry:
    """What is not said of the feature itself is what is said of its view."""
    aggregate, schema = view.features[name], schemas.of(view.rows)
    words = aggregate.noted
    column = aggregate.column
    known = schema.type_of(column) if schema is not None and column is not None else None
    return Entry(
        f"{FEATURE}:{view.name}.{name}",
        FEATURE,
        name,
        words.owner or view.owner,
        words.description,
        tuple(dict.fromkeys((*words.tags, *view.tags))),
        words.deprecated or view.deprecated,
        feature_in_words(view, name),
        str((aggregate.place if isinstance(aggregate, Aggregate) else None) or view.place or ""),
        {} if column is None else {column: known.value if known is not None else ""},
    )


def _columns(item: Declaration, schemas: Schemas) -> dict[str, str]:
    if isinstance(item, Rows):
        schema = schemas.of(item)
        return {} if schema is None else {f.name: f.type.value for f in schema}
    if isinstance(item, Entity):
        return dict.fromkeys(item.keys, "")
    if isinstance(item, TrainingSet):
        return dict.fromkeys(item.carried, "")
    return {name: type_.value for name, type_ in item.inputs.items()} if isinstance(item, OnDemand) else {}


def entry_of(listed: tuple[Entry, ...], text: str) -> Entry:
    """An entry by reference, by ``VIEW.FEATURE``, or by a name that only one has; a declaration before a feature."""
    exact = [e for e in listed if text in (e.ref, e.ref.partition(":")[2])] or [e for e in listed if text == e.name]
    found = [e for e in exact if e.kind != FEATURE] or exact
    if len(found) == 1:
        return found[0]
    if not found:
        known = [e.name for e in listed] + [e.ref for e in listed]
        raise NotFoundError(text, "nothing of this name is declared", mend=did_you_mean(text, known))
    raise NotFoundError(text, f"it names {', '.join(e.ref for e in found)}", mend="give the kind as well")


def search(listed: tuple[Entry, ...], text: str) -> tuple[Match, ...]:
    """The entries that have every word of ``text``, best first; misspelt words count for less than whole ones."""
    words = _words(text)
    found = [match for entry in listed if (match := _match(entry, words)) is not None]
    return tuple(sorted(found, key=lambda match: (-match.score, match.entry.kind == FEATURE, match.entry.ref)))


def _match(entry: Entry, words: list[str]) -> Match | None:
    texts = {
        "name": entry.name,
        "view": entry.ref.partition(":")[2].partition(".")[0] if entry.kind == FEATURE else "",
        "tags": " ".join(entry.tags),
        "columns": " ".join(entry.columns),
        "owner": entry.owner,
        "description": entry.description,
        "definition": entry.definition,
    }
    score = _WEIGHTS["name"] if words == _words(entry.name) else 0.0
    matched: dict[str, None] = {}
    for word in words:
        found = {
            name: _WEIGHTS[name] * s
            for name, t in texts.items()
            if (s := _likeness(word, t, can_misspell=name in _SPELT)) > 0
        }
        if not found:
            return None
        score += sum(found.values())
        matched |= dict.fromkeys(found)
    return Match(entry, round(score, 3), tuple(matched)) if words else None


def _likeness(word: str, text: str, *, can_misspell: bool) -> float:
    """1 for the whole text, less for a word of it, a beginning, a part, and a word that is nearly the same."""
    low = text.lower()
    known = _words(low)
    if word in (low, *known):
        return 1.0 if word == low else 0.8
    if any(one.startswith(word) for one in known):
        return 0.6
    if len(word) > 2 and word in low:
        return 0.4
    if not can_misspell or len(word) < 4:
        return 0.0
    alike = max((SequenceMatcher(None, word, one).ratio() for one in known), default=0.0)
    return 0.3 * alike if alike >= _LIKE else 0.0


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
