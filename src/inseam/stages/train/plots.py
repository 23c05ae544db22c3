"""How each figure is drawn. Matplotlib without a display and without global state."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

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
_CLASSES = 40
"""The most frequent classes of a confusion matrix; the others are one."""
_LABEL = 28
"""Letters of a name before it is cut."""


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
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A name in letters that no font has is drawn as boxes; that is no news for whoever trains.
        warnings.simplefilter("ignore", UserWarning)
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
        shown = _drawable(curves)
        for name, (belongs, score) in shown:
            false, true, _ = roc_curve(belongs, score)
            axes.plot(*_thin(false, true), lw=2, label=f"{_short(name)}: AUC {roc_auc_score(belongs, score):.3f}")
        axes.plot([0, 1], [0, 1], "--", color=_GREY, lw=1)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
        _entitle(axes, "ROC", shown, curves, "lower right")


def precision_recall(directory: Path, curves: Curves) -> None:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    with _page(directory, "precision_recall") as axes:
        shown = _drawable(curves)
        for name, (belongs, score) in shown:
            precision, recall, _ = precision_recall_curve(belongs, score)
            label = f"{_short(name)}: average precision {average_precision_score(belongs, score):.3f}"
            line = axes.plot(*_thin(recall, precision), lw=2, drawstyle="steps-post", label=label)
            axes.axhline(belongs.mean(), ls="--", lw=1, color=line[0].get_color(), alpha=0.5)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
        _entitle(axes, "Precision and recall", shown, curves, "best")


def calibration(directory: Path, happened: np.ndarray, stated: np.ndarray) -> None:
    """Stated probability against observed rate over at most ten bins of about equal count, above the spread of what is
    stated. Equal statements share a bin. The interval is Wilson's, which stays between 0 and 1."""
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, 11)))[1:-1]
    bins = np.searchsorted(edges, stated, side="right")
    rows = np.bincount(bins)
    kept = rows > 0
    count = rows[kept]
    said = np.bincount(bins, stated)[kept] / count
    rate = np.bincount(bins, happened)[kept] / count
    middle = (rate + 1.92 / count) / (1 + 3.84 / count)
    half = 1.96 / (1 + 3.84 / count) * np.sqrt(rate * (1 - rate) / count + 0.96 / count**2)
    error = np.maximum([rate - (middle - half), middle + half - rate], 0)
    with _page(directory, "calibration") as axes:
        axes.plot([0, 1], [0, 1], "--", color=_GREY, lw=1, label="perfect")
        axes.errorbar(said, rate, error, fmt="o-", lw=1.5, ms=5, capsize=2, label="observed, 95 %", clip_on=False)
        counts, edges = np.histogram(stated, bins=40, range=(0, 1))
        height = 0.15 * counts / max(int(counts.max()), 1)
        axes.bar(edges[:-1], height, np.diff(edges), align="edge", color=_GREY, alpha=0.4, label="how often stated")
        axes.set(title="Calibration", xlabel="stated probability", ylabel="observed rate", xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="best")


def confusion(directory: Path, truth: np.ndarray, said: np.ndarray, classes: Sequence[str]) -> None:
    truth, said, classes = _gathered(truth, said, classes)
    count = len(classes)
    table = np.bincount(truth * count + said, minlength=count * count).reshape(count, count)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = min(max(4.0, 0.62 * count + 2), 12.0)
    names = [_short(name) for name in classes]
    with _page(directory, "confusion", (side + 0.02 * _LABEL, side)) as axes:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        if count <= 12:
            for row, column in np.ndindex(count, count):
                colour = "white" if shares[row, column] > 0.5 else "#202124"
                text = f"{table[row, column]:,}\n{shares[row, column]:.0%}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9 if count <= 8 else 7.5)
        is_tight = count > 4 or max(map(len, names)) > 12
        small = 10 if count <= 12 else 8
        axes.set_xticks(range(count), names, rotation=60 if is_tight else 0, ha="right" if is_tight else "center")
        axes.set_yticks(range(count), names)
        axes.tick_params(labelsize=small)
        axes.set(title="Confusion", xlabel="predicted", ylabel="true")


def residuals(directory: Path, truth: np.ndarray, output: np.ndarray) -> None:
    errors = output - truth
    shown = _some(len(truth))
    with _page(directory, "residuals") as axes:
        axes.scatter(output[shown], errors[shown], **_dots(len(shown)))
        axes.axhline(0, color=_GREY, lw=1)
        axes.set(title="Residuals", xlabel="predicted", ylabel="predicted - true")
        if np.abs(errors).max() <= 1e-9 * max(float(np.abs(truth).max()), 1e-300):
            axes.set_ylim(-1, 1)
        elif (near := _heavy_tailed(errors)) is not None:
            _stretch(axes, near, "y")


def predicted(directory: Path, truth: np.ndarray, output: np.ndarray) -> None:
    shown = _some(len(truth))
    ends = float(min(truth.min(), output.min())), float(max(truth.max(), output.max()))
    with _page(directory, "predicted_and_true") as axes:
        axes.scatter(truth[shown], output[shown], **_dots(len(shown)))
        axes.plot(ends, ends, "--", color=_GREY, lw=1)
        axes.set(title="Predicted and true", xlabel="true", ylabel="predicted")
        if (near := _heavy_tailed(np.concatenate([truth, output]))) is not None:
            _stretch(axes, near, "x")
            _stretch(axes, near, "y")


def importance(directory: Path, importances: Mapping[str, float]) -> None:
    top = sorted(importances.items(), key=lambda pair: -pair[1])[:25][::-1]
    with _page(directory, "feature_importance", (6.4, max(2.4, 0.28 * len(top) + 1.2))) as axes:
        axes.barh(range(len(top)), [value for _, value in top], color=_COLOURS[0])
        axes.set_yticks(range(len(top)), [_short(name) for name, _ in top])
        axes.grid(visible=False, axis="y")
        if top[-1][1] <= 0:
            axes.set_xlim(0, 1)
        axes.set(title="Feature importance", xlabel="the model's own measure")


def slices(
    directory: Path,
    file: str,
    column: str,
    metric: str,
    whole: Mapping[str, float | None],
    parts: Mapping[str, Mapping[str, Any]],
) -> None:
    """A dot with its 95 % interval a value of the column, the most frequent value on top."""
    with _page(directory, file, (6.4, max(2.4, 0.32 * len(parts) + 1.4))) as axes:
        if whole["value"] is not None:
            axes.axvline(whole["value"], ls="--", lw=1, color=_GREY, label=f"all rows: {whole['value']:.3g}")
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        for place, part in enumerate(parts.values()):
            found = part["metrics"].get(metric, {"value": None, "low": None, "high": None})
            value, low, high = found["value"], found["low"], found["high"]
            if value is None:
                axes.text(0.02, place, "undefined", transform=axes.get_yaxis_transform(), va="center", color=_GREY)
                continue
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], lw=2, color=_COLOURS[0], alpha=0.5)
            axes.plot(value, place, "o", ms=6, color=_COLOURS[0])
        labels = [f"{_short(name)}  ({part['rows']:,})" for name, part in parts.items()]
        axes.set_yticks(range(len(parts)), labels)
        axes.set_ylim(len(parts) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set(title=f"By {_short(column)}", xlabel=f"{metric}, 95 % interval (rows in brackets)")


def _short(text: str) -> str:
    """A label that leaves room for the figure, on one line, with nothing that Matplotlib would take for a formula."""
    line = " ".join(text.split()).replace("$", r"\$")
    if not line:
        return "(empty)"
    return line if len(line) <= _LABEL else f"{line[: _LABEL - 1]}…"


def _entitle(axes: Axes, title: str, shown: Sequence[Any], curves: Curves, place: str) -> None:
    """The title, with how many of the classes have a curve; the legend, or why there is none."""
    if not shown:
        axes.set_title(title)
        text = "no curve: the test rows hold\nonly one class"
        axes.text(0.5, 0.5, text, ha="center", va="center", color=_GREY, backgroundcolor="white")
        return
    axes.set_title(title if len(shown) == len(curves) else f"{title}: {len(shown)} of {len(curves)} classes")
    axes.legend(loc=place)


def _gathered(
    truth: np.ndarray, said: np.ndarray, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """The same with the rarest classes taken together, where there are more than a picture can hold."""
    if len(classes) <= _CLASSES:
        return truth, said, classes
    ranked = np.argsort(-np.bincount(truth, minlength=len(classes)), kind="stable")
    place = np.empty(len(classes), np.int64)
    place[ranked] = np.minimum(np.arange(len(classes)), _CLASSES - 1)
    named = [classes[code] for code in ranked[: _CLASSES - 1]]
    return place[truth], place[said], [*named, f"{len(classes) - _CLASSES + 1} others"]


def _dots(count: int) -> dict[str, Any]:
    return {"s": 8, "alpha": 0.4, "linewidths": 0} if count > 200 else {"s": 28, "alpha": 0.8, "linewidths": 0}


def _stretch(axes: Axes, near: float, axis: Literal["x", "y"]) -> None:
    """A scale that is plain up to ``near`` and logarithmic beyond, with few enough marks to be read."""
    set_scale = axes.set_xscale if axis == "x" else axes.set_yscale
    set_scale("symlog", linthresh=near)
    axes.locator_params(axis=axis, numticks=7)


def _heavy_tailed(values: np.ndarray) -> float | None:
    """Where a logarithmic scale should begin, when a plain one would squeeze most values into a line."""
    sizes = np.abs(values)
    most = float(np.quantile(sizes, 0.9))
    return float(10 ** np.ceil(np.log10(most))) if 0 < most < float(sizes.max()) / 50 else None


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
