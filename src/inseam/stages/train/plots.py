"""How each figure is drawn. Matplotlib without a display and without global state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By class: whether each row belongs to it, and its stated probability."""

_COLOURS = ("#1f5fa8", "#d1603d", "#2f8f6b", "#8a5aa8", "#b8912b", "#4a4f57", "#c94f7c", "#5aa7c7")
_GREY = "#9aa0a6"
_POINTS = 2_000
"""A curve or a cloud of more points than this looks no different."""
_CURVES = 8


@contextmanager
def style() -> Iterator[None]:
    settings = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e6e8eb",
        "axes.axisbelow": True,
        "axes.edgecolor": "#5f6368",
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "legend.frameon": False,
        "axes.prop_cycle": cycler(color=_COLOURS),
    }
    with mpl.rc_context(settings):
        yield


@contextmanager
def _page(directory: Path, name: str, size: tuple[float, float] = (5.6, 4.6)) -> Iterator[Axes]:
    figure = Figure(figsize=size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    yield figure.add_subplot()
    with (directory / f"{name}.png").open("wb") as file:
        canvas.print_figure(file, dpi=130, facecolor="white", pil_kwargs={"compress_level": 1})


def roc(directory: Path, curves: Curves) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    with _page(directory, "roc") as axes:
        for name, (belongs, score) in _drawable(curves):
            false, true, _ = roc_curve(belongs, score)
            axes.plot(*_thin(false, true), lw=2, label=f"{name}: AUC {roc_auc_score(belongs, score):.3f}")
        axes.plot([0, 1], [0, 1], "--", color=_GREY, lw=1)
        axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")


def precision_recall(directory: Path, curves: Curves) -> None:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    with _page(directory, "precision_recall") as axes:
        for name, (belongs, score) in _drawable(curves):
            precision, recall, _ = precision_recall_curve(belongs, score)
            line = axes.plot(
                *_thin(recall, precision), lw=2, label=_average(name, average_precision_score(belongs, score))
            )
            axes.axhline(belongs.mean(), ls="--", lw=1, color=line[0].get_color(), alpha=0.5)
        axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="best")


def calibration(directory: Path, happened: np.ndarray, stated: np.ndarray) -> None:
    """Stated probability against observed rate over ten bins of equal count, above the spread of what is stated."""
    order = np.argsort(stated, kind="stable")
    bins = [part for part in np.array_split(order, 10) if len(part)]
    said = np.array([stated[part].mean() for part in bins])
    rate = np.array([happened[part].mean() for part in bins])
    error = 1.96 * np.sqrt(rate * (1 - rate) / [len(part) for part in bins])
    with _page(directory, "calibration") as axes:
        axes.plot([0, 1], [0, 1], "--", color=_GREY, lw=1, label="perfect")
        axes.errorbar(said, rate, error, fmt="o-", lw=1.5, ms=5, capsize=2, label="observed, 95 %")
        counts, edges = np.histogram(stated, bins=40, range=(0, 1))
        height = 0.15 * counts / max(int(counts.max()), 1)
        axes.bar(edges[:-1], height, np.diff(edges), align="edge", color=_GREY, alpha=0.4, label="how often stated")
        axes.set(title="Calibration", xlabel="stated probability", ylabel="observed rate", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left")


def confusion(directory: Path, truth: np.ndarray, said: np.ndarray, classes: Sequence[str]) -> None:
    count = len(classes)
    table = np.bincount(truth * count + said, minlength=count * count).reshape(count, count)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = max(4.0, 0.5 * count + 2)
    with _page(directory, "confusion", (side + 0.6, side)) as axes:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        if count <= 12:
            for row, column in np.ndindex(count, count):
                colour = "white" if shares[row, column] > 0.5 else "#202124"
                text = f"{table[row, column]:,}\n{shares[row, column]:.0%}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(count), classes, rotation=45 if count > 4 else 0)
        axes.set_yticks(range(count), classes)
        axes.set(title="Confusion", xlabel="predicted", ylabel="true")


def residuals(directory: Path, truth: np.ndarray, output: np.ndarray) -> None:
    errors = output - truth
    shown = _some(len(truth))
    low, high = np.quantile(errors, [0.005, 0.995])
    with _page(directory, "residuals") as axes:
        axes.scatter(output[shown], errors[shown], s=8, alpha=0.4, linewidths=0)
        axes.axhline(0, color=_GREY, lw=1)
        margin = max(high - low, 1e-12) * 0.1
        axes.set(title="Residuals", xlabel="predicted", ylabel="predicted - true", ylim=(low - margin, high + margin))


def predicted(directory: Path, truth: np.ndarray, output: np.ndarray) -> None:
    shown = _some(len(truth))
    ends = float(min(truth.min(), output.min())), float(max(truth.max(), output.max()))
    with _page(directory, "predicted_and_true") as axes:
        axes.scatter(truth[shown], output[shown], s=8, alpha=0.4, linewidths=0)
        axes.plot(ends, ends, "--", color=_GREY, lw=1)
        axes.set(title="Predicted and true", xlabel="true", ylabel="predicted")


def importance(directory: Path, importances: Mapping[str, float]) -> None:
    top = sorted(importances.items(), key=lambda pair: -pair[1])[:25][::-1]
    with _page(directory, "feature_importance", (6.4, max(2.4, 0.28 * len(top) + 1.2))) as axes:
        axes.barh([name for name, _ in top], [value for _, value in top], color=_COLOURS[0])
        axes.grid(visible=False, axis="y")
        axes.set(title="Feature importance", xlabel="the model's own measure")


def _average(name: str, value: float) -> str:
    return f"{name}: average precision {value:.3f}"


def _drawable(curves: Curves) -> list[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """The classes that have rows inside and outside, the most frequent first."""
    both = [item for item in curves.items() if 0 < item[1][0].sum() < len(item[1][0])]
    return sorted(both, key=lambda item: -item[1][0].sum())[:_CURVES]


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return x[kept], y[kept]


def _some(rows: int) -> np.ndarray:
    picked: np.ndarray = np.random.default_rng(0).permutation(rows)[:_POINTS]
    return picked
