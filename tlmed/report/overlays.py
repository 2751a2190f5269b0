"""All folds of a cross-validation in one picture: their ROC curves, the sum of their confusions, some examples."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from tlmed import rundir
from tlmed.answer_units import unit_of
from tlmed.evaluation import score_plots
from tlmed.evaluation.pooled_csv import read_units
from tlmed.evaluation.predictions import Predictions
from tlmed.metrics import positive_index
from tlmed.metrics.packed_confusion import unpack_confusion
from tlmed.pages.figures import Picture, draw
from tlmed.pages.templating import render
from tlmed.report.curves import draw_confusion
from tlmed.report.examples import MOST_BYTES, TITLES, draw_example, say_border, say_label_border
from tlmed.run_files import EXAMPLES_JSON, KINDS, LABEL_KINDS, METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.tabulation import say
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, join_names, thousandths

MOST_PANELS = 6  # classes that each have a panel
_OF_EACH_KIND = 3  # examples, each of another fold


@dataclass(frozen=True)
class Fold:
    """The part of one fold on the page of all folds.

    Attributes:
        name: Its directory's name.
        test: The predictions of its test images, or of the files or groups that they make up.
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
    metrics = METRICS_JSON.read(run, "split")
    test, examples = read_units(run.path, metrics).of(metrics["split"]), EXAMPLES_JSON.find(run)
    return Fold(run.path.name, test, metrics, examples, run.path)


def show_overlays(folds: Sequence[Fold], metrics: Mapping, model: str) -> Markup:
    """Return the ROC curves of all folds with their mean, and the confusions of all.

    Args:
        folds: The folds.
        metrics: `metrics.json` of the whole; with `confusion`, unless there are several labels.
        model: What each fold trained, such as "network".
    """
    classes, several = folds[0].test.classes, read_task(metrics) == MULTI_LABEL
    main = None if several else positive_index(classes, metrics.get("positive"))
    columns = range(len(classes)) if main is None else [main]
    drawn = len(columns) <= MOST_PANELS
    curves = [_draw_curves(folds, columns, model)] if drawn else []
    if several:
        confusions = {"times": 0, "confusion": None}
    else:
        picture = draw_confusion(metrics, "of all folds", "Confusions of all folds: rows sum to 100 %")
        # How often each unit was tested: once in every repeat.
        confusions = {"times": round(unpack_confusion(metrics).sum() / metrics["n"]), "confusion": picture}
    return render(
        "folds/curves.html",
        model=model,
        unit=unit_of(metrics),
        kind="labels" if several else "classes",
        panels=None if drawn else len(columns),
        pictures=curves,
        **confusions,
    )


def _draw_curves(folds, columns, model) -> Picture:
    classes = folds[0].test.classes
    alt = f"ROC curves of {count(len(folds), 'fold')} and their mean. " + "; ".join(
        f"{classes[column]}: {_say_areas(folds, column)}" for column in columns
    )
    caption = (
        f"ROC: thin, each fold's {model} on its test {unit_of(folds[0].metrics)}s; thick, their mean; dotted, chance"
    )
    return draw(score_plots.roc_of_folds([fold.test for fold in folds], columns), alt, caption)


def _say_areas(folds, column) -> str:
    areas = [score_plots.area_of(fold.test, column) for fold in folds]
    return ", ".join("undefined" if area is None else f"AUC {thousandths(area)}" for area in areas)


def show_fold_examples(folds: Sequence[Fold], model: str) -> Markup:
    """Return the most telling example of each kind from some folds; nothing where the folds have none."""
    several = folds[0].test.is_multi
    shown = _draw_label_examples(folds) if several else _draw_examples(folds)
    if not shown:
        return Markup()
    links = [say(fold.name, link=f"{rundir.FOLDS}/{fold.name}/report.html") for fold in folds]
    return render("folds/examples.html", model=model, most=_OF_EACH_KIND, several=several, links=links, shown=shown)


def _draw_examples(folds) -> dict[str, list[Picture]]:
    shown = {}
    for kind in KINDS:
        found = [(fold, each) for fold in folds for each in _find_examples(fold, kind)[:1]][:_OF_EACH_KIND]
        drawn = [draw_example(fold.path, each, fold.metrics, f"Fold {fold.name}: ") for fold, each in found]
        border = _say_borders([fold for fold, _ in found]) if kind == "uncertain" and found else ""
        shown[f"{TITLES[kind][0]}{border}"] = [each for each in drawn if each]
    return {title: drawn for title, drawn in shown.items() if drawn}


def _draw_label_examples(folds) -> dict[str, list[Picture]]:
    """Return for each label an example of each kind, from the first fold that has one, while the page has room."""
    shown, room = {}, MOST_BYTES
    for label, kind in itertools.product(folds[0].test.classes, LABEL_KINDS):
        drawn = _draw_label_example(folds, label, kind)
        room -= len(drawn.data) if drawn else 0
        if room < 0:
            break
        if drawn:
            shown.setdefault(label, []).append(drawn)
    return shown


def _draw_label_example(folds, label, kind) -> Picture | None:
    found = ((fold, each) for fold in folds for each in _find_examples(fold, kind) if each.get("of") == label)
    for fold, example in found:
        border = say_label_border(label, fold.metrics)
        place = f"Fold {fold.name}, {border}: " if border else f"Fold {fold.name}: "
        if drawn := draw_example(fold.path, example, fold.metrics, place):
            return drawn
    return None


def _say_borders(folds) -> str:
    """Say where the border between two predictions lies in each of some folds, which have thresholds of their own."""
    thresholds = {fold.name: fold.metrics.get("threshold") for fold in folds}
    if len(set(thresholds.values())) == 1:
        return say_border(folds[0].metrics)
    named = join_names(f"{thousandths(threshold)} in {name}" for name, threshold in thresholds.items())
    return f": closest to the fold's threshold for {folds[0].metrics['positive']}, {named}"


def _find_examples(fold, kind) -> list[Mapping]:
    return [each for each in fold.examples.get("examples", []) if each["kind"] == kind]
