"""Lays the trees of a saved XGBoost model out as one array of nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inseam.adapters.xgboost.walk import (
    COUNT,
    EXPONENTIAL,
    FEATURE,
    IDENTITY,
    LEFT,
    MEMBERS,
    MISSING,
    NODE_WIDTH,
    RIGHT,
    SIGMOID,
    SOFTMAX,
    VALUE,
    walk,
)

_LINKS = {
    "binary:logistic": SIGMOID,
    "reg:logistic": SIGMOID,
    "reg:squarederror": IDENTITY,
    "reg:absoluteerror": IDENTITY,
    "reg:pseudohubererror": IDENTITY,
    "count:poisson": EXPONENTIAL,
    "reg:gamma": EXPONENTIAL,
    "reg:tweedie": EXPONENTIAL,
    "multi:softprob": SOFTMAX,
}


@dataclass(frozen=True)
class Forest:
    """The arguments of `walk` apart from the rows."""

    roots: np.ndarray
    groups: np.ndarray
    nodes: np.ndarray
    members: np.ndarray
    base: np.ndarray
    link: int

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """float64 (rows, outputs) from float32 (rows, columns), C order."""
        answer: np.ndarray = walk(rows, self.roots, self.groups, self.nodes, self.members, self.base, self.link)
        return answer

    def thresholds(self, column: int) -> np.ndarray:
        """float64: the values at which the trees split a column."""
        is_split = (self.nodes[:, LEFT] >= 0) & (self.nodes[:, FEATURE] == column)
        found: np.ndarray = self.nodes.view(np.float32)[is_split, VALUE].astype(np.float64)
        return found


def forest_of(text: bytes) -> Forest | None:
    """The forest in a model's JSON; None for a booster (dart, linear, vector leaves) or objective that is not laid out
    here."""
    learner = json.loads(text)["learner"]
    booster, param = learner["gradient_booster"], learner["learner_model_param"]
    link = _LINKS.get(learner["objective"]["name"])
    trees = booster.get("model", {}).get("trees")
    if booster["name"] != "gbtree" or link is None or not trees:
        return None
    if any(int(tree["tree_param"].get("size_leaf_vector") or 1) > 1 for tree in trees):
        return None
    outputs = max(int(param["num_class"]), int(param.get("num_target") or 1), 1)
    return _laid_out(trees, booster["model"]["tree_info"], _margins(param["base_score"], outputs, link), link)


def _laid_out(trees: Sequence[Mapping[str, Any]], groups: Sequence[int], base: np.ndarray, link: int) -> Forest:
    sizes = [len(tree["left_children"]) for tree in trees]
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int32)
    nodes = np.full((sum(sizes), NODE_WIDTH), -1, np.int32)
    members: list[np.ndarray] = [np.zeros(1, np.bool_)]
    for tree, root, size in zip(trees, roots.tolist(), sizes, strict=True):
        _fill(nodes[root : root + size], tree, root)
        _fill_categories(nodes[root : root + size], tree, members)
    return Forest(roots, np.asarray(groups, np.int32), nodes, np.concatenate(members), base, link)


def _fill(nodes: np.ndarray, tree: Mapping[str, Any], root: int) -> None:
    left, right = (np.asarray(tree[side], np.int32) for side in ("left_children", "right_children"))
    missing = np.where(np.asarray(tree["default_left"]) == 1, left, right)
    for place, child in ((LEFT, left), (RIGHT, right), (MISSING, missing)):
        nodes[:, place] = np.where(child >= 0, child + root, -1)
    nodes[:, FEATURE] = tree["split_indices"]
    nodes.view(np.float32)[:, VALUE] = np.asarray(tree["split_conditions"], np.float32)


def _fill_categories(nodes: np.ndarray, tree: Mapping[str, Any], members: list[np.ndarray]) -> None:
    """Note at each split by category where its members start, and append them to ``members``."""
    start = sum(len(held) for held in members)
    spans = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    for node, segment, size in spans:
        codes = np.asarray(tree["categories"][segment : segment + size], np.int64)
        held = np.zeros(int(codes.max(initial=-1)) + 1, np.bool_)
        held[codes] = True
        nodes[node, MEMBERS], nodes[node, COUNT] = start, len(held)
        start += len(held)
        members.append(held)


def _margins(written: str, outputs: int, link: int) -> np.ndarray:
    """``base_score`` as margins, one an output. It is written in the space of predictions."""
    read = json.loads(written) if written.strip().startswith("[") else float(written)
    scores = np.broadcast_to(np.asarray(read, np.float64).ravel(), (outputs,))
    with np.errstate(divide="ignore"):
        if link == SIGMOID:
            scores = np.log(scores / (1.0 - scores))
        elif link == EXPONENTIAL:
            scores = np.log(scores)
    return scores.astype(np.float32)
