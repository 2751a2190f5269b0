"""What the networks of a cross-validation tell apart: their curves over each other, all confusions, some examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed import rundir
from tlmed.evaluation import score_plots
from tlmed.evaluation.page import picture, text
from tlmed.evaluation.predictions import Predictions, read_predictions
from tlmed.metrics import positive_index
from tlmed.metrics.confusion import unpack_confusion
from tlmed.report.content import KINDS, read_examples
from tlmed.report.curves import show_confusion
from tlmed.report.examples import TITLES, show_example
from tlmed.report.glossary import explain
from tlmed.rundir import RunDir
from tlmed.words import count

MOST_PANELS = 6  # classes that each have a panel
_OF_EACH_KIND = 3  # examples, each of another fold


@dataclass(frozen=True)
class Fold:
    """What a page of all folds shows of one of them.

    Attributes:
        name: Its directory's name.
        test: The predictions of its test images.
        metrics: Its `metrics.json`.
        examples: Its `examples.json`, or empty.
        path: Its run directory.
    """

    name: str
    test: Predictions
    metrics: Mapping
    examples: Mapping
    path: Path


def read_fold(run: RunDir) -> Fold:
    """Read a fold's part of the page.

    Raises:
        InputError: If a file cannot be read.
    """
    metrics, predictions = run.json("metrics.json"), read_predictions(run / "predictions.csv")
    test, examples = predictions.of(metrics["split"]), read_examples(run / "examples.json")
    return Fold(run.path.name, test, metrics, examples, run.path)


def show_overlays(folds: Sequence[Fold], metrics: Mapping) -> str:
    """Return the ROC curves of all folds with their mean, and the confusions of all, as HTML.

    Args:
        folds: The folds.
        metrics: `metrics.json` of the whole, with `confusion`.
    """
    classes, main = folds[0].test.classes, positive_index(folds[0].test.classes, metrics.get("positive"))
    columns = range(len(classes)) if main is None else [main]
    drawn = ""
    if len(columns) <= MOST_PANELS:
        alt = f"ROC curves of {count(len(folds), 'fold')} and their mean. " + "; ".join(
            f"{classes[column]}: {_say_areas(folds, column)}" for column in columns
        )
        caption = "ROC: thin, each fold's network on its test images; thick, their mean; dotted, chance"
        drawn = picture(score_plots.roc_of_folds([fold.test for fold in folds], columns), alt, caption)
    left_out = "" if drawn else f"ROC curves are not drawn: there are {len(columns)} classes. "
    times = round(unpack_confusion(metrics).sum() / metrics["n"])
    counted = "each image once" if times == 1 else f"each image {times} times, once in each repeat"
    return (
        f"<p>{left_out}The mean {explain('roc')} averages the folds' sensitivities at each specificity; their scores "
        "are not put together, since each network has a scale of its own. The predictions are, in the "
        f"{explain('confusion', 'confusion matrix')}: classes mean the same in every fold. It counts {counted}, as "
        f'predicted by the network that had not seen it.</p><div class="pair">{drawn}'
        + show_confusion(metrics, "of all folds", "Confusions of all folds: rows sum to 100 %")
        + "</div>"
    )


def _say_areas(folds, column) -> str:
    areas = [score_plots.area_of(fold.test, column) for fold in folds]
    return ", ".join("undefined" if area is None else f"AUC {area:.3f}" for area in areas)


def show_fold_examples(folds: Sequence[Fold]) -> str:
    """Return the most telling example of each kind from some folds, as HTML; nothing where the folds have none."""
    parts = []
    for kind in KINDS:
        found = [(fold, each) for fold in folds for each in _first(fold, kind)][:_OF_EACH_KIND]
        drawn = "".join(show_example(fold.path, each, fold.metrics, f"Fold {fold.name}: ") for fold, each in found)
        if drawn:
            parts.append(f'<h3>{TITLES[kind][0]}</h3><div class="pair examples">{drawn}</div>')
    if not parts:
        return ""
    links = ", ".join(f'<a href="{rundir.FOLDS}/{text(fold.name)}/report.html">{text(fold.name)}</a>' for fold in folds)
    return (
        f"<p>Of each kind the first one of up to {_OF_EACH_KIND} folds, as the network of that fold predicted it. All "
        f"are in the reports of the folds: {links}. A {explain('examples', 'map')} shows what the network used, not "
        f"what is true.</p>{''.join(parts)}"
    )


def _first(fold, kind) -> list[Mapping]:
    return [each for each in fold.examples.get("examples", []) if each["kind"] == kind][:1]
