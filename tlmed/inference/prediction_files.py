"""Score a file of predictions that any program wrote."""

import tlmed.tensorflow_start

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlmed import metrics
from tlmed.answer_units import FILE
from tlmed.columns import Grouping, spell
from tlmed.data.table import describe_classes
from tlmed.errors import InputError
from tlmed.evaluation.decision_lines import describe_rule
from tlmed.evaluation.label_predictions_csv import have_labels, read_label_predictions
from tlmed.evaluation.lines import describe_left_out
from tlmed.evaluation.measures import Scoring, score_pooled
from tlmed.evaluation.odd_predictions import (
    describe_constant,
    describe_contradictions,
    describe_exchanged,
    describe_hard_scores,
)
from tlmed.evaluation.pooled_csv import find_pooling
from tlmed.evaluation.pooling import (
    Pooled,
    Pooling,
    choose_pooling,
    describe_pooling,
    find_pooling_faults,
    pool,
    say_how,
)
from tlmed.evaluation.prediction_rows import read_header
from tlmed.evaluation.predictions import Predictions, describe_ties
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.inference.stated_thresholds import find_thresholds
from tlmed.metrics.decision_rules import fill_costs
from tlmed.recipe.decision_fields import find_stated_faults
from tlmed.tasks import MULTI_LABEL, ORDINAL, SINGLE_LABEL, find_order_faults, refuse_labels
from tlmed.voice import Voice
from tlmed.words import count, join_names, listed

_BY_DEFAULT = ("auto", FILE)  # `pool` and `pool_by` that leave open whether rows are pooled
_OPTIONS = {"costs": "cost", "cost_ratio": "cost-ratio"}  # of the command, where they have other names


def score_file(
    file: Path,
    grouping: Grouping,
    asked: Scoring,
    pooled_by: tuple[str | None, str] | None,
    voice: Voice,
    errors: Mapping[str, object] | None = None,
    thresholds: Mapping[str | None, float] | None = None,
) -> tuple[Pooled, dict]:
    """Score the test rows of a CSV of predictions, or all rows if they are of one split.

    Args:
        file: The CSV.
        grouping: Which column names the groups.
        asked: The positive one of two classes, the prevalence and the order; which split is scored, the file says.
        pooled_by: `pool` and `pool_by`, as in a recipe; None: what they are there by default.
        voice: Where to tell what happens.
        errors: `costs` or `cost_ratio`, as in a recipe.
        thresholds: The scores from which on labels are predicted, or the positive one of two classes, by name; None for
            all that are not named.

    Returns:
        The predictions, and the content of `metrics.json`.

    Raises:
        InputError: If the file cannot be read or pooled, or no split can be chosen.
    """
    given = asked.positive is not None
    read = _read_labels if have_labels(read_header(file)) else _read_classes
    predictions, asked, made = read(file, grouping, asked, errors or {})
    split = _choose_split(file, predictions)
    pooled = _pool(file, predictions, made, asked.positive, pooled_by or _BY_DEFAULT, voice)
    decision = find_thresholds(file, pooled.units, asked.positive, thresholds or {})
    pooled = pooled.predict(decision, asked.positive) if thresholds else pooled
    chosen = pooled.units.of(split)
    notes = [
        *predictions.notes,
        *describe_classes(len(predictions.classes), len(chosen.paths), chosen.unit),
        *_describe_split(predictions, split),
        *_describe_unused(pooled, asked.positive, bool(thresholds)),
        *_describe_scored(chosen, asked.positive, bool(thresholds)),
    ]
    for note in notes:
        voice.warn(note)
    others = Counter(name for name in pooled.units.splits if name != split)
    evaluated = {"predictions": str(file), "not_scored": dict(sorted(others.items())), "warnings": notes}
    evaluated["predicted"] = predictions.by_scores or bool(thresholds)  # not by a column of the file
    with voice.busy(f"Scoring {count(len(chosen.paths), 'row')}"):
        # A file names no seed; with a fixed one its intervals are the same each time.
        result = score_pooled(pooled, replace(asked, split=split, decision=decision)) | {"evaluated": evaluated}
    if "positive_asked" in result:
        # The default one was not asked for, also where rows were pooled for it.
        result["positive_asked"] = given or asked.positive not in (None, _name_positive(predictions, None))
    for sentence in (*describe_rule(result), *describe_left_out(result)):
        voice.say(sentence)
    return pooled, result


def _read_classes(file, grouping, asked, errors) -> tuple[Predictions, Scoring, Pooling]:
    """Return the predictions of one class per image, what is asked of them, and how their rows were pooled before."""
    made, task = find_pooling(file), SINGLE_LABEL if asked.order is None else ORDINAL
    positive = _choose_positive(file, asked.positive, *made)
    predictions = read_predictions(file, grouping, positive, asked.order, task)
    if faults := _find_order_faults(asked.order, predictions.classes):
        raise InputError([f"`--order` {fault}, for {file}." for fault in faults])
    by_default = positive == _name_positive(predictions, None)
    said = metrics.describe_default(predictions.classes, asked.positive if by_default else positive)
    predictions = replace(predictions, notes=(*predictions.notes, *said))
    costs = _find_costs(errors, predictions.classes, positive) if errors else None
    return predictions, replace(asked, positive=positive, costs=costs), made[0]


def _read_labels(file, grouping, asked, errors) -> tuple[Predictions, Scoring, Pooling]:
    """Return the same of several labels per image."""
    given = {"positive": asked.positive, "order": asked.order, "prevalence": asked.prevalence, **errors}
    for name in [name for name, value in given.items() if value is not None]:
        refuse_labels({"task": MULTI_LABEL}, f"`--{_OPTIONS.get(name, name)}` is", file)
    return read_label_predictions(file, None, grouping), asked, find_pooling(file)[0]


def _find_order_faults(order, classes) -> list[str]:
    if order is None:
        return []
    if len(classes) == 2:
        return [f"needs three classes or more. Received: {','.join(order)} with {join_names(classes)}"]
    return find_order_faults(order, classes)


def _find_costs(errors, classes, positive) -> np.ndarray:
    """Return what an answer costs, by what is stated as in a recipe."""
    stated = errors.get("costs"), errors.get("cost_ratio")
    if faults := find_stated_faults(*stated):
        raise InputError(faults)
    return fill_costs(*stated, classes, metrics.positive_index(classes, positive))


def _choose_positive(file, asked: str | None, made: Pooling, positive: str | None) -> str | None:
    """Return the positive class: the one asked for, or else the one that the rows of a `pooled.csv` were pooled for.

    Raises:
        InputError: If one is asked for whose scores were not pooled.
    """
    if None in (asked, positive) or asked == positive or made.how in (None, "mean"):
        return positive if asked is None else asked
    raise InputError(
        f"`--positive` must be {positive!r}, of which {file} has the highest scores of each {made.unit}; pool the "
        f"scores of images for another. Received: {asked!r}."
    )


def _pool(file, predictions, made, positive, pooled_by, voice) -> Pooled:
    main = _name_positive(predictions, positive)
    if made.how is not None:
        if pooled_by not in (_BY_DEFAULT, (None, FILE)):
            raise InputError(
                "`--pool` and `--pool-by` need a table of images, such as the `predictions.csv` of a run. "
                f"Received: {file}, with a row per {made.unit}."
            )
        voice.say(f"By the `metrics.json` beside it, {file} has a row per {made.unit}: {say_how(made, main)}.")
        units = replace(predictions, unit=made.unit)
        return Pooled(units, units, np.arange(len(units.paths)), made)
    rows = predictions.paths, predictions.labels, predictions.groups
    pooling = choose_pooling(*pooled_by, *rows)
    paths, labels, groups = rows
    if faults := find_pooling_faults(pooling, paths, labels, predictions.classes, groups):
        raise InputError(faults)
    for line in describe_pooling(pooling, pooled_by[0], paths, main, "--pool none"):
        voice.say(line)
    return pool(predictions, pooling, positive)


def _name_positive(predictions, positive) -> str | None:
    """Return the positive one of two classes; None for more, and for labels."""
    main = None if predictions.is_multi else metrics.positive_index(predictions.classes, positive)
    return None if main is None else predictions.classes[main]


def _describe_split(predictions, split) -> list[str]:
    said = [] if split == "test" else [f"All rows are of the split {split!r}: these are not scores of test images."]
    return said + _find_shared(predictions, split)


def _describe_scored(chosen: Predictions, positive: str | None, by_threshold: bool) -> list[str]:
    """Say what is odd about the rows that are scored; a stated threshold contradicts nothing, and ties with nothing."""
    by_file = [] if by_threshold else [*describe_contradictions(chosen, positive), *describe_ties(chosen, positive)]
    return [*by_file, *describe_exchanged(chosen), *describe_hard_scores(chosen), *describe_constant(chosen)]


def _describe_unused(pooled: Pooled, positive: str | None, by_threshold: bool) -> list[str]:
    """Say that columns of predictions are not used, nor calibrated scores where scores were pooled."""
    samples, unit, said = pooled.samples, pooled.pooling.by, []
    column = "`prediction_<class>`" if samples.is_multi else "`prediction`"
    if by_threshold and not samples.by_scores:
        said.append(f"{column} is not used: `--threshold` decides.")
    if not pooled.are_pooled:
        return said
    if not (samples.by_scores or by_threshold):
        said.append(f"{column} counts only for single images: a {unit} {_say_half(samples, positive)}.")
    if samples.calibrated is not None:
        said.append(f"`calibrated_CLASS` is of single images: scores of {unit}s are not calibrated.")
    return said


def _say_half(samples, positive) -> str:
    """Return what is predicted from pooled scores where no threshold is stated."""
    if samples.is_multi:
        return "has each label from a pooled score of 0.5 on"
    if (main := _name_positive(samples, positive)) is not None:
        return f"is predicted as {main!r} from a pooled score of 0.5 on"
    return f"is predicted as the {'median grade' if samples.task == ORDINAL else 'class with the highest pooled score'}"


def _find_shared(predictions: Predictions, split: str) -> list[str]:
    """Return sentences where groups, or paths, of the rows that are scored have rows in other splits of the file, too.

    A row may stand for a group or a file, whose name is then its path.
    """
    names = {"of the same group": predictions.groups, "of the same path": predictions.paths}
    return [said for what, found in names.items() if (said := _say_shared(what, found or (), predictions, split))]


def _say_shared(what, names, predictions, split) -> str:
    pairs = [(spell(name), part == split) for name, part in zip(names, predictions.splits, strict=False)]
    shared = {name for name, scored in pairs if scored and name} & {name for name, scored in pairs if not scored}
    rows = sum(scored and name in shared for name, scored in pairs)
    if not rows:
        return ""
    named = sorted({name for name in names if spell(name) in shared})
    verb = "has" if rows == 1 else "have"
    return (
        f"{count(rows, 'row')} of {split!r} {verb} rows {what} in other splits of the file, too ({listed(named, 3)}): "
        "if the network learnt from those, it knows them."
    )


def _choose_split(file, predictions: Predictions) -> str:
    """Return the split of a file of predictions that is scored; refuse to choose where none of several is the test."""
    splits = sorted(set(predictions.splits))
    if "test" not in splits and len(splits) > 1:
        raise InputError(
            "Predictions must have rows of the split 'test', or be of one split only. "
            f"Received: {file}, splits {listed(splits)}."
        )
    return "test" if "test" in splits else splits[0]
