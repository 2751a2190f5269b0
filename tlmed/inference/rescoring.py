"""Score a run again, on its own test images or on others, or score a file of predictions."""

import tlmed.tensorflow_start

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tlmed import metrics
from tlmed.backbones import name_all
from tlmed.backbones.ancestry import find_known, name_weights
from tlmed.backbones.graphs import find_unknown_code
from tlmed.cache import cache_folder, find_writers
from tlmed.columns import Grouping, suggest_spelling
from tlmed.data import ImageSet, load, open_source
from tlmed.data.extras import describe_extras
from tlmed.data.familiar import compare_with_run
from tlmed.data.leaks import describe_undecided, find_leaked, find_undecided, name_givers
from tlmed.data.learned import Learned
from tlmed.data.recorded import describe_changes, describe_columns, digest_columns, read_rule
from tlmed.data.tones import describe_tones
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import ExpectedCost
from tlmed.evaluation.copies import count_copies
from tlmed.evaluation.decisions import Decision, decide_anew, read_decision
from tlmed.evaluation.measures import Scoring, score_pooled
from tlmed.evaluation.missing_images import count_units, describe_units
from tlmed.evaluation.pooled_csv import list_tables
from tlmed.evaluation.pooling import Pooled, find_pooling_faults, pool, read_pooling
from tlmed.evaluation.predictions import describe_ties
from tlmed.features.kept import Means, keep_features
from tlmed.findings import TWO_LABELS
from tlmed.identifiers import Identifiers, read_identifiers
from tlmed.inference.loose_images import read_usual
from tlmed.inference.prediction_files import score_file
from tlmed.inference.scorer import computing, load_scorer, make_samples, name_files
from tlmed.inference.stated_costs import find_costs, find_rule, restate
from tlmed.inference.trained_runs import Trained, recall_images
from tlmed.intact import check_intact
from tlmed.metrics.weighted_kappas import find_weight_faults
from tlmed.recipe import from_json
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.run_files.check_summary import say_errors, say_repeated, summarise
from tlmed.run_files.kept_findings import read_kept
from tlmed.rundir import RunDir
from tlmed.sections import Stated
from tlmed.source_forms import TABLE, TFDS, find_form
from tlmed.source_layout import Layout
from tlmed.synthetic import describe_learned, describe_source, is_synthetic
from tlmed.tasks import count_sides, read_task, refuse_labels
from tlmed.voice import SILENT, Voice
from tlmed.words import count, join_names


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
        run: A complete run, or None with `file`.
        source: Another source; its classes must be the run's, by name. With `moved`, where the run's own images lie.
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
    recipe, old, decision = from_json(RECIPE_JSON.read(run)), METRICS_JSON.read(run), read_decision(run)
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
        decision = _decide_anew(run, recipe, old, decision)
    trained = Trained(run, recipe, old["classes"], read_rule(run), read_task(old))
    unsure = check_intact(run, name_files(old, "environment.json", "plan.json", "splits.csv", *list_tables(old)))
    numbers = replace(recipe.stated, **(stated or {}))
    if faults := find_weight_faults(numbers.kappa_weights, count_sides(old)):
        raise InputError(faults)
    own = source is None or moved
    place = source or recipe.data.source
    pooling = read_pooling(old)
    if trained.known is not None and (writers := find_writers(cache_folder())):
        voice.warn(writers)
    for sentence in describe_source(place):
        voice.say(sentence)
    with voice.busy(f"Reading images of {place}"):
        chosen = _gather_own(trained, place) if own else _gather_others(trained, place, grouping, skip_bad)
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
        scores = _compute_scores(trained, chosen, voice)
        samples = make_samples(chosen.images, chosen.rows, scores, read_task(old))
        pooled = pool(samples, pooling, old["positive"]).decide(decision, old["positive"])
        costs = find_costs(recipe, old["classes"])
        scoring = Scoring("test", old["positive"], recipe.seed, decision, prevalence, costs=costs, stated=numbers)
        result = score_pooled(pooled, scoring, chosen.leaked)
        result |= count_copies(pooled, "test", dict(zip(chosen.images.table.paths, chosen.images.sha256, strict=True)))
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


def _decide_anew(run, recipe, old, decision) -> Decision:
    """Return the decision by a rule that the run does not keep, with the shares of its training images."""
    labels = Counter(row["label"] for row in SPLITS_CSV.read(run) if row["split"] == "train")
    rule = find_rule(recipe, old["classes"], [labels[name] for name in old["classes"]])
    return decide_anew(decision, rule, metrics.positive_index(old["classes"], old["positive"]))


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class _Chosen:
    """The images that a run is scored on.

    Attributes:
        images: All images that were read.
        rows: Which of them are predicted, int [m].
        listed: The paths and groups of all images that are to be scored, also of those that are gone or cannot be read.
        leaked: The paths of those that training, validation or an earlier run has seen.
        undecided: The paths of others that are scored, of which it cannot be told.
        sentences: What a user should know of them.
        unsure: Why it is not certain which images the runs know that gave the weights.
    """

    images: ImageSet
    rows: np.ndarray
    listed: tuple[Sequence[str], Sequence[str] | None]
    leaked: list[str]
    undecided: list[str]
    sentences: list[str]
    unsure: list[str]


def _gather_own(trained, place) -> _Chosen:
    """Return a run's own validation and test images that are as they were, of which only the latter are scored."""
    run = trained.run
    elsewhere, unsure = find_known(name_weights(run), _read_identifiers(run))
    if unsure and _read_earlier(run).get("certain"):  # the run was trained when they could be read
        unsure = ["Runs in which the weights began cannot be read as they were: what they know is as RUN recorded it."]
    images, rows, sentences = _recall(trained, place)
    sentences += describe_undecided(images.table, images.sha256, images.splits == "test", name_givers(elsewhere))
    leaked, table = _find_leaked(run, elsewhere), images.table
    hidden = find_undecided(table, images.sha256, elsewhere) & (images.splits == "test")
    undecided = [table.paths[row] for row in rows if hidden[row]]
    tested = [row for row in SPLITS_CSV.read(run) if row["split"] == "test"]
    listed = [row["path"] for row in tested], [row["group"] for row in tested]
    return _Chosen(images, rows, listed, leaked, undecided, sentences, unsure)


def _gather_others(trained, source, grouping, skip_bad) -> _Chosen:
    """Return all images of another source, compared with those that the run knows."""
    run, seed = trained.run, trained.recipe.seed
    there, layout = _read_identifiers(run), _lay_out_like(trained, source, grouping)
    whole = open_source(source, layout)
    images = load(whole, trained.rule, None, seed, skip_bad, known=trained.known)
    _check_classes(images.table.classes, trained.classes)
    conflicts = [leak.text for leak in images.leaks if leak.kind == TWO_LABELS]
    elsewhere, unsure = find_known(name_weights(run), images.table.identifiers)
    familiar = compare_with_run(images, SPLITS_CSV.read(run), elsewhere, there.pseudonyms)
    table, usual = images.table, read_usual(run)
    held = describe_tones(table.paths, images.pixels.tones, table.labels, table.classes, usual)
    sentences = [*dict.fromkeys((*images.warnings, *held)), *conflicts, *familiar.sentences]
    if gap := there.find_gap(table.identifiers):
        sentences.append(f"Whether the run was trained on some of these images cannot be told: {gap}.")
    paths = familiar.images.table.paths
    leaked = [paths[row] for row in np.flatnonzero(familiar.leaked)]
    undecided = [paths[row] for row in np.flatnonzero(familiar.undecided)]
    # Groups may be those that the run recorded; of an image that cannot be read, only the source can name one.
    named = dict(zip(paths, familiar.images.table.groups or [""] * len(paths), strict=True))
    own = whole.groups or [""] * len(whole)
    listed = whole.paths, [named.get(path, group) for path, group in zip(whole.paths, own, strict=True)]
    return _Chosen(familiar.images, np.arange(len(paths)), listed, leaked, undecided, sentences, unsure)


def _read_identifiers(run) -> Identifiers:
    return read_identifiers(ENVIRONMENT_JSON.read(run, "data")["data"])


def _compute_scores(trained, chosen, voice) -> np.ndarray:
    """Return class probabilities of the chosen rows, from features of the store where it can be used."""
    scorer, recipe = load_scorer(trained.run), trained.recipe
    found = _look_up(recipe, scorer, chosen.images, chosen.rows, voice) if recipe.cache != "off" else None
    if found is None:
        return scorer(chosen.images.batches(chosen.rows, recipe.data.batch_size))
    return scorer.finish(found)


def _check_pooling(pooling, table) -> None:
    if faults := find_pooling_faults(pooling, table.paths, table.labels, table.classes, table.groups):
        raise InputError(f"RUN pools scores by {pooling.by}. {fault}" for fault in faults)


def _lay_out_like(trained, source: str, grouping: Grouping | None) -> Layout:
    """Return how a run read its own source, for another one, with groups as the user says, if anything.

    That the run's own images have no groups says nothing of other images: a column with a usual name is taken.
    """
    recipe = trained.recipe
    form, own = find_form(source), recipe.data.grouping
    layout = trained.layout.for_another(alike=form == find_form(recipe.data.source))
    if form not in (TABLE, TFDS):
        own = Grouping(use=own.use, folders=own.folders)
    elif own.column is not None:
        own = replace(own, may_lack=True)
    elif not own.use:
        own = Grouping(ask=False)
    return replace(layout, grouping=grouping or own)


def _recall(trained, source) -> tuple[ImageSet, np.ndarray, list[str]]:
    """Return a run's own images, the rows of those that are scored, and sentences about the others."""
    run, recorded = trained.run, SPLITS_CSV.read(trained.run)
    found = recall_images(trained, source, "--data PLACE --moved")
    splits = found.images.splits
    if not (found.same & (splits == "test")).any():
        raise InputError(
            "At least one test image of RUN must be as it was when RUN was trained. "
            f"Received: {run.path} with data={source}: {'; '.join(found.changes.name()) or 'no test image'}."
        )
    tested = sum(row["split"] == "test" for row in recorded)
    # Validation images are predicted too, as in the run's own table; only test images are scored.
    rows = np.flatnonzero(found.same & (splits != "train"))
    table = found.images.table.take(rows)
    pixels = found.images.pixels
    held = describe_tones(table.paths, pixels.tones[rows], table.labels, table.classes)
    unused = describe_extras(table.paths, [pixels.extras[row] for row in rows])
    columns = ENVIRONMENT_JSON.read(run, "data")["data"].get("columns")
    moved = _describe_columns(found.images, tested, columns)
    return found.images, rows, [*describe_changes(found, tested), *moved, *held, *unused]


def _describe_columns(images, tested, recorded) -> list[str]:
    """Compare the columns of a run's test images with those that it recorded; an older run recorded none.

    The digest of a column is of all test images: where one is missing, only names of columns can be compared.
    """
    if recorded is None:
        return []
    now, since = digest_columns(images.table, images.splits), "the run was trained"
    if int((images.splits == "test").sum()) == tested:
        return describe_columns(recorded, now, since)
    sentences = describe_columns(dict.fromkeys(recorded, ""), dict.fromkeys(now, ""), since)
    if both := [repr(name) for name in now if name in recorded]:
        sentences.append(
            f"Whether {join_names(both)} {'is' if len(both) == 1 else 'are'} as when {since} cannot be told, because "
            "test images are missing: subgroups are by what stands there now."
        )
    return sentences


def _check_classes(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse images of other classes than the run's, by name."""
    if list(found) == list(wanted):
        return
    kinds = {"without": [name for name in wanted if name not in found], "with": [n for n in found if n not in wanted]}
    differ = " and ".join(f"{how} {', '.join(map(repr, names))}" for how, names in kinds.items() if names)
    near = "".join(suggest_spelling(name, wanted) for name in kinds["with"])
    raise InputError(
        f"The images must have the run's classes, by the same names: {', '.join(wanted)}.{near} "
        f"Received: classes={', '.join(found)}; {differ}."
    )


def _find_leaked(run: RunDir, elsewhere: Mapping[str, Learned]) -> list[str]:
    """Return the paths of a run's own images that training, validation or an earlier run (`elsewhere`) has seen."""
    recorded = SPLITS_CSV.read(run)
    digests, groups, splits = ([row[name] for row in recorded] for name in ("sha256", "group", "split"))
    leaked = find_leaked(digests, _read_identifiers(run).own(groups), np.array(splits), elsewhere)
    earlier = set(_read_earlier(run).get("known", ()))  # also where an earlier run has gone since
    return [row["path"] for row, known in zip(recorded, leaked, strict=True) if known or row["path"] in earlier]


def _read_earlier(run: RunDir) -> Mapping:
    """Return what a run recorded of the runs that gave its weights; {} of one that started from no other."""
    return ENVIRONMENT_JSON.read(run).get("earlier", {})


def _look_up(recipe, scorer, images, rows, voice) -> np.ndarray | None:
    """Return features from the store, computed where they are not there; None if it cannot be used."""
    if find_unknown_code(scorer.features):
        return None
    # In float32 even if the run trained on rounded features: its scores are those of its saved network.
    means = Means(name_all(recipe.backbone), "tensorflow", recipe.data.batch_size)
    with computing():
        kept = keep_features(scorer.features, images.pixels, "evaluation", voice, means, rows)
    return None if kept is None else kept[0].take(rows)
