"""The formulas behind `inseam.ir.metrics`: each prepares its rows once and then answers for many weightings at a time.

A weight is how often a row was drawn, so a bootstrap of 200 resamples is one matrix product or one cumulated sum, and
the plain metric is the case of all ones. Weights have the shape (resamples, rows); undefined values are NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Weighted = Callable[[np.ndarray], np.ndarray]
BINS = 15
"""Equal-width bins of the expected calibration error."""
_EPSILON = float(np.finfo(np.float64).eps)


def roc_auc(truth: np.ndarray, score: np.ndarray) -> Weighted:
    """Probability that a positive row outranks a negative one, ties counted half."""
    order, starts, _ = _tied(score)
    positive = (truth[order] == 1).astype(np.float64)

    def of(weights: np.ndarray) -> np.ndarray:
        drawn = weights[:, order]
        positives = np.add.reduceat(drawn * positive, starts, axis=1)
        negatives = np.add.reduceat(drawn, starts, axis=1) - positives
        below = np.cumsum(negatives, axis=1) - 0.5 * negatives
        won = np.einsum("ij,ij->i", below, positives)
        return _ratio(won, positives.sum(1) * negatives.sum(1))

    return of


def average_precision(truth: np.ndarray, score: np.ndarray) -> Weighted:
    """Precision averaged over the steps of recall (area under the precision-recall curve without interpolation)."""
    order, starts, _ = _tied(-score)
    positive = (truth[order] == 1).astype(np.float64)

    def of(weights: np.ndarray) -> np.ndarray:
        drawn = weights[:, order]
        positives = np.add.reduceat(drawn * positive, starts, axis=1)
        seen = np.cumsum(np.add.reduceat(drawn, starts, axis=1), axis=1)
        precisions = np.cumsum(positives, axis=1) / np.maximum(seen, 1.0)
        return _ratio(np.einsum("ij,ij->i", precisions, positives), positives.sum(1))

    return of


def log_loss(truth: np.ndarray, output: np.ndarray) -> Weighted:
    """Mean negative log-likelihood; probabilities are kept a machine epsilon away from 0 and 1."""
    return _mean(-np.log(np.clip(_probability_of_truth(truth, output), _EPSILON, 1.0)))


def brier(truth: np.ndarray, score: np.ndarray) -> Weighted:
    """Mean squared distance of the probability from the truth."""
    return _mean((score - truth) ** 2)


def accuracy(truth: np.ndarray, output: np.ndarray) -> Weighted:
    return _mean((_decided(output) == truth).astype(np.float64))


def precision(truth: np.ndarray, score: np.ndarray) -> Weighted:
    return _confusion(truth, score, lambda hit, said, _: _ratio(hit, said, empty=0.0))


def recall(truth: np.ndarray, score: np.ndarray) -> Weighted:
    return _confusion(truth, score, lambda hit, _, true: _ratio(hit, true, empty=0.0))


def f1(truth: np.ndarray, score: np.ndarray) -> Weighted:
    return _confusion(truth, score, lambda hit, said, true: _ratio(2 * hit, said + true, empty=0.0))


def macro_f1(truth: np.ndarray, output: np.ndarray) -> Weighted:
    """The plain mean of each class's F1, over the classes that were drawn or predicted."""
    classes = np.arange(output.shape[1])
    true = (truth[:, None] == classes).astype(np.float64)
    said = (_decided(output)[:, None] == classes).astype(np.float64)

    def of(weights: np.ndarray) -> np.ndarray:
        whole = weights @ said + weights @ true
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = np.nanmean(np.where(whole > 0, 2 * (weights @ (true * said)) / whole, np.nan), axis=1)
        return mean

    return of


def roc_auc_one_vs_rest(truth: np.ndarray, output: np.ndarray) -> Weighted:
    """The plain mean over classes of the AUC of that class against all others."""
    each = [roc_auc((truth == code).astype(np.int64), output[:, code]) for code in range(output.shape[1])]
    return lambda weights: np.mean([one(weights) for one in each], axis=0)


def calibration_error(truth: np.ndarray, output: np.ndarray) -> Weighted:
    """Expected calibration error: mean distance of stated probability and observed rate over equal-width bins.

    Binary: of the positive class. Multiclass: of the class that was predicted.
    """
    binary = output.ndim == 1
    stated = output if binary else output.max(axis=1)
    happened = truth == 1 if binary else _decided(output) == truth
    bins = np.minimum((stated * BINS).astype(np.int64), BINS - 1)
    gaps = np.zeros((len(stated), BINS))
    gaps[np.arange(len(stated)), bins] = stated - happened
    return lambda weights: _ratio(np.abs(weights @ gaps).sum(1), weights.sum(1))


def rmse(truth: np.ndarray, output: np.ndarray) -> Weighted:
    mean = _mean((output - truth) ** 2)
    return lambda weights: np.sqrt(mean(weights))


def mae(truth: np.ndarray, output: np.ndarray) -> Weighted:
    return _mean(np.abs(output - truth))


def r2(truth: np.ndarray, output: np.ndarray) -> Weighted:
    """The share of the variance that is explained: 1 is perfect, 0 is the mean's own."""
    errors = (output - truth) ** 2
    centred = truth - truth.mean()

    def of(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(1)
        spread = weights @ centred**2 - (weights @ centred) ** 2 / total
        return 1.0 - _ratio(weights @ errors, spread)

    return of


def mape(truth: np.ndarray, output: np.ndarray) -> Weighted:
    """Mean error relative to the truth (0.1 is 10 %). A truth of 0 counts as machine epsilon, so it dwarfs the rest."""
    return _mean(np.abs(output - truth) / np.maximum(np.abs(truth), _EPSILON))


def median_absolute_error(truth: np.ndarray, output: np.ndarray) -> Weighted:
    errors = np.abs(output - truth)
    order = np.argsort(errors, kind="stable")
    ranked = errors[order]

    def of(weights: np.ndarray) -> np.ndarray:
        reached = np.cumsum(weights[:, order], axis=1)
        total = reached[:, -1:]
        lower = ranked[np.argmax(reached > (total - 1) // 2, axis=1)]
        upper = ranked[np.argmax(reached > total // 2, axis=1)]
        middle: np.ndarray = (lower + upper) / 2
        return middle

    return of


def spearman(truth: np.ndarray, output: np.ndarray) -> Weighted:
    """Correlation of ranks, ties sharing their mean rank."""
    ranks_of_truth, ranks_of_output = _ranks(truth), _ranks(output)

    def of(weights: np.ndarray) -> np.ndarray:
        left, right = ranks_of_truth(weights), ranks_of_output(weights)
        total = weights.sum(1, keepdims=True)
        left -= (weights * left).sum(1, keepdims=True) / total
        right -= (weights * right).sum(1, keepdims=True) / total
        together = np.einsum("ij,ij,ij->i", weights, left, right)
        own = np.einsum("ij,ij,ij->i", weights, left, left) * np.einsum("ij,ij,ij->i", weights, right, right)
        return _ratio(together, np.sqrt(own))

    return of


def _tied(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ascending order, where each run of equal values starts in it, and the run of each place."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    new = np.concatenate(([True], ranked[1:] != ranked[:-1]))
    return order, np.flatnonzero(new), np.cumsum(new) - 1


def _ranks(values: np.ndarray) -> Weighted:
    order, starts, run = _tied(values)
    place = np.empty(len(values), np.int64)
    place[order] = run

    def of(weights: np.ndarray) -> np.ndarray:
        sizes = np.add.reduceat(weights[:, order], starts, axis=1)
        middles = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
        return middles[:, place]

    return of


def _mean(losses: np.ndarray) -> Weighted:
    return lambda weights: (weights @ losses) / weights.sum(1)


def _confusion(
    truth: np.ndarray, score: np.ndarray, finish: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> Weighted:
    said = (score >= 0.5).astype(np.float64)
    true = (truth == 1).astype(np.float64)
    return lambda weights: finish(weights @ (said * true), weights @ said, weights @ true)


def _decided(output: np.ndarray) -> np.ndarray:
    """The class that an output stands for: the likeliest one, the positive one from 0.5 on."""
    decided: np.ndarray = (output >= 0.5).astype(np.int64) if output.ndim == 1 else output.argmax(axis=1)
    return decided


def _probability_of_truth(truth: np.ndarray, output: np.ndarray) -> np.ndarray:
    if output.ndim == 1:
        return np.where(truth == 1, output, 1.0 - output)
    chosen: np.ndarray = output[np.arange(len(truth)), truth]
    return chosen


def _ratio(above: np.ndarray, below: np.ndarray, empty: float = float("nan")) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, empty)
