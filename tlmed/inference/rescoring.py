"""Score a run again, on its own test images or on others, or score a file of predictions."""

import tlmed.tensorflow_start

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlmed import metrics
from tlmed.answer_units import FILE
from tlmed.backbones import name_all
from tlmed.backbones.graphs import find_unknown_code
from tlmed.cache import cache_folder, find_writers
from tlmed.columns import Grouping
from tlmed.data import join_units
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import ExpectedCost
from tlmed.evaluation.copies import count_copies
from tlmed.evaluation.decisions import Decision, decide_anew
from tlmed.evaluation.measures import Scoring, score_pooled
from tlmed.evaluation.missing_images import count_units, describe_units
from tlmed.evaluation.pooling import Pooled, find_pooling_faults, pool
from tlmed.evaluation.predictions import describe_ties
from tlmed.evaluation.unusual_lines import describe_lack
from tlmed.features.kept import Means, keep_features
from tlmed.inference.panel import describe_panel, open_panel
from tlmed.inference.panel_networks import PanelNetworks
from tlmed.inference.prediction_files import score_file
from tlmed.inference.scored_images import gather_others, gather_own
from tlmed.inference.scorer import computing, make_samples
from tlmed.inference.stated_costs import find_costs, find_rule, restate
from tlmed.inference.unlike_images import open_jury
from tlmed.metrics.weighted_kappas import find_weight_faults
from tlmed.novelty.known_images import count_alarms, pool_files
from tlmed.run_files.check_summary import say_errors, say_repeated, summarise
from tlmed.run_files.kept_findings import read_kept
from tlmed.rundir import RunDir
from tlmed.sections import Stated
from tlmed.synthetic import describe_learned, describe_source, is_synthetic
from tlmed.tasks import count_sides, read_task, refuse_labels
from tlmed.voice import SILENT, Voice
from tlmed.words import count


def evaluate(
    run: RunDir | None,
    source: str | None = None,
    file: Path | None = None,
    positive: str | None = None,
    prevalence: float | None = None,
    skip_bad: bool = False,
    voice: Voice = SILENT,
    moved: bool = False,
    grouping: Grouping | None = None,
    pooled_by: tuple[str | None, str] | None = None,
    order: tuple[str, ...] | None = None,
    stated: Mapping[str, object] | None = None,
    errors: Mapping[str, object] | None = None,
    thresholds: Mapping[str | None, float] | None = None,
) -> tuple[Pooled, dict]:
    """Score a run on its own test images, or on all images of another source, or score a file of predictions.

    The run's own images are those of its `splits.csv`, in the splits that are recorded there. Further images of the
    source, and those whose content, label or group has changed, are named and not scored; those to which the source now
    gives another split are named.

    Images are predicted by the threshold, and probabilities calibrated at the temperature, that the run's validation
    images chose; scores of samples are pooled as they were then. Columns of a CSV that tlmed does not know make
    subgroups, and each is scored by itself.

    Args:
        run: A complete run, a cross-validation or an ensemble, whose networks answer together; or None with `file`.
        source: Another source, which several networks need; its classes must be the run's, by name. With `moved`, where
            the run's own images lie.
        file: A CSV of predictions by any program; its test rows are scored, or all rows if they are of one split.
        positive: The positive one of two classes of `file`.
        prevalence: The share of positives for predictive values, and for costs, by which a run then predicts classes;
            by default the recipe's.
        skip_bad: Leave out images of another source that cannot be read.
        voice: Where to tell what happens; features that another run put into the store are taken from there.
        moved: Whether `source` holds the run's own images, at another place.
        grouping: Which column of another source, or of `file`, names the groups; None: as in the run, or the one with
            a usual name, also if the run's groups are switched off.
        pooled_by: `pool` and `pool_by`, as in a recipe, for the samples of `file`; None: "auto" and "file".
        order: All classes of `file`, from the lowest grade to the highest, where they are ordered.
        stated: Fields of `Stated` that replace those of the recipe, or, with `file`, its defaults.
        errors: `costs` or `cost_ratio`, as in a recipe: what errors of `file` cost; or these or `logit_adjustment`, by
            which a run predicts classes here instead of by what it keeps.
        thresholds: The score from which on each label of `file`, or the positive one of two classes, is predicted, by
            name; None for all that are not named.

    Returns:
        The predictions, pooled, and the content of `metrics.json`.

    Raises:
        InputError: If something cannot be read, the classes differ, or no test image of the run is left as it was.
    """
    if run is None:
        numbers = Stated(**(stated or {}))
        asked = Scoring(positive=positive, prevalence=prevalence, order=order, stated=numbers)
        return score_file(file, grouping or Grouping(), asked, pooled_by, voice, errors, thresholds)
    panel = open_panel(run)
    recipe, old, decision = panel.recipe, panel.metrics, panel.decision
    own = source is None or moved
    if own:
        panel.refuse_several("Scoring test images again, without other `--data`,")
    again = prevalence is not None and isinstance(decision.rule, ExpectedCost)
    prevalence = recipe.prevalence if prevalence is None else prevalence
    if prevalence is not None:
        refuse_labels(old, "`prevalence` is", run.path)
    if prevalence is not None and len(old["classes"]) != 2:
        raise InputError(
            f"`prevalence` needs exactly two classes. Received: prevalence={prevalence} with {len(old['classes'])}."
        )
    if errors:
        refuse_labels(old, "Costs of errors and logit adjustment are", run.path)
        recipe = restate(recipe, errors)
    if errors or again:
        recipe = replace(recipe, prevalence=prevalence)
        decision = _decide_anew(panel, recipe, decision)
    unsure = panel.check_intact("environment.json", "plan.json", "splits.csv")
    numbers = replace(recipe.stated, **(stated or {}))
    if faults := find_weight_faults(numbers.kappa_weights, count_sides(old)):
        raise InputError(faults)
    place = source or recipe.data.source
    pooling = panel.pooling
    if panel.first.known is not None and (writers := find_writers(cache_folder())):
        voice.warn(writers)
    for sentence in describe_source(place):
        voice.say(sentence)
    for sentence in describe_panel(panel):
        voice.say(sentence)
    with voice.busy(f"Reading images of {place}"):
        chosen = gather_own(panel, place) if own else gather_others(panel, place, grouping, skip_bad)
    default = metrics.describe_default(old["classes"], recipe.data.positive, "tlmed train ... --positive")
    # Where the scored images are phantoms, `describe_source` has said already that scores say nothing.
    learned = [] if is_synthetic(place) else describe_learned(recipe.data.source)
    paths, splits = chosen.images.table.paths, chosen.images.splits
    units = count_units(pooling, *chosen.listed, {paths[row] for row in chosen.rows})
    said = describe_units(units, pooling.unit, "in the run" if own else "the source lists") if pooling.how else []
    kept = read_kept(run) if own else None  # of the check that compared the run's own images with each other
    check = summarise(kept and kept.limit({paths[row] for row in chosen.rows if splits[row] == "test"}))
    warnings = [*default, *chosen.sentences, *said, *unsure, *chosen.unsure, *learned, *say_errors(check)]
    for warning in warnings:
        voice.warn(warning)
    if not own:
        _check_pooling(pooling, chosen.images.table)
    with voice.busy(f"Scoring {count(len(chosen.rows), 'image')}"):
        jury = None if own else open_jury(panel)
        scores = _compute_scores(panel, chosen, voice, jury)
        samples = make_samples(chosen.images, chosen.rows, scores, read_task(old))
        pooled = pool(samples, pooling, old["positive"]).decide(decision, old["positive"])
        costs = find_costs(recipe, old["classes"])
        scoring = Scoring("test", old["positive"], recipe.seed, decision, prevalence, costs=costs, stated=numbers)
        result = score_pooled(pooled, scoring, chosen.leaked)
        result |= count_copies(pooled, "test", dict(zip(chosen.images.table.paths, chosen.images.sha256, strict=True)))
    if jury is not None and not jury.reason:
        files = pooling.number_files([paths[row] for row in chosen.rows])
        found = count_alarms(*pool_files(jury.join(), _number_owners(chosen), files))
        result["unusual"] = found if files is None else found | {"unit": FILE}
    for line in describe_lack(jury.reason if jury is not None else ""):
        voice.say(line)
    if undecided := pooled.find_units(chosen.undecided) - pooled.find_units(chosen.leaked):
        result["undecided"] = len(undecided)
    if result["positive"] is not None:
        result["positive_asked"] = recipe.data.positive is not None  # when the run was trained
    for note in (ties := describe_ties(pooled.units.of("test"))):
        voice.warn(note)
    evaluated = {"run": str(run.path), "data": chosen.images.table.source, "warnings": [*warnings, *ties]}
    evaluated |= {"split": "test"} if own else {}  # another source is scored as a whole
    evaluated |= {"units": units} if said else {}
    evaluated |= {"copies": copies} if (copies := say_repeated(check)) else {}
    evaluated |= {"errors": dict(errors)} if errors else {}
    return pooled, {**result, "evaluated": evaluated}


def _decide_anew(panel, recipe, decision) -> Decision:
    """Return the decision by a rule that the run does not keep, with the shares of its training images."""
    classes, positive = panel.metrics["classes"], panel.metrics["positive"]
    rule = find_rule(recipe, classes, panel.count_training())
    return decide_anew(decision, rule, metrics.positive_index(classes, positive))


def _number_owners(chosen) -> np.ndarray:
    """Return whom each chosen image belongs to, int [n]."""
    table, rows = chosen.images.table, chosen.rows
    groups = None if table.groups is None else [table.groups[row] or f"\0{row}" for row in rows]
    return join_units(groups, [chosen.images.sha256[row] for row in rows])


def _compute_scores(panel, chosen, voice, jury) -> np.ndarray:
    """Return class probabilities of the chosen rows, from features of the store where it can be used.

    A jury, if there is one, notes how unlike the training images they are.
    """

    def score(member, scorer):
        recipe, (images, rows) = member.recipe, chosen.views[member.rule]
        found = _look_up(recipe, scorer, images, rows, voice) if recipe.cache != "off" else None
        if found is None:
            found = scorer.read(images.batches(rows, recipe.data.batch_size))
        if jury is not None:
            jury.note(member, found)
        return scorer.finish(found)

    return PanelNetworks(panel).score(score)


def _check_pooling(pooling, table) -> None:
    if faults := find_pooling_faults(pooling, table.paths, table.labels, table.classes, table.groups):
        raise InputError(f"RUN pools scores by {pooling.by}. {fault}" for fault in faults)


def _look_up(recipe, scorer, images, rows, voice) -> np.ndarray | None:
    """Return features from the store, computed where they are not there; None if it cannot be used."""
    if find_unknown_code(scorer.features):
        return None
    # In float32 even if the run trained on rounded features: its scores are those of its saved network.
    means = Means(name_all(recipe.backbone), "tensorflow", recipe.data.batch_size)
    with computing():
        kept = keep_features(scorer.features, images.pixels, "evaluation", voice, means, rows)
    return None if kept is None else kept[0].take(rows)
