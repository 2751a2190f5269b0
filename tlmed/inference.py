"""Score images with a trained network: those of a run, another data set, or loose files."""

import tlmed.tensorflow_start

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tlmed import metrics
from tlmed.backbones import name_all
from tlmed.backbones.ancestry import find_known, name_weights
from tlmed.backbones.graphs import find_unknown_code
from tlmed.backbones.own import register_layers
from tlmed.backbones.saved import load_network, summarise
from tlmed.cache import cache_folder, find_writers
from tlmed.columns import Grouping, spell, suggest_spelling
from tlmed.data import ImageSet, KnownPixels, load, open_source, read_files
from tlmed.data.extras import describe_extras
from tlmed.data.familiar import compare_with_run
from tlmed.data.findings import TWO_LABELS
from tlmed.data.leaks import find_leaked
from tlmed.data.learned import Learned
from tlmed.data.recorded import describe_changes, describe_columns, recall
from tlmed.data.sources import find_gap
from tlmed.data.table import describe_classes
from tlmed.data.tones import describe_tones, note_tones
from tlmed.errors import CHANGED, InputError, RunFailed, TlmedError
from tlmed.evaluation.decisions import (
    Decision,
    describe_contradictions,
    describe_exchanged,
    describe_hard_scores,
    read_decision,
)
from tlmed.evaluation.explanations import Explainer, Place, make_explainer, name_in, open_folder, save_explanations
from tlmed.evaluation.lines import describe_left_out
from tlmed.evaluation.measures import score
from tlmed.evaluation.predictions import (
    Predictions,
    describe_ties,
    list_columns,
    predict_classes,
    read_predictions,
    write_predictions,
)
from tlmed.features.kept import Means, keep_features
from tlmed.heads import split_head
from tlmed.intact import check_intact
from tlmed.recipe import from_json
from tlmed.regular_files import sha256
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.synthetic import describe_learned, describe_source, is_synthetic
from tlmed.targets import check_folder, check_targets, is_marked, writing_out
from tlmed.voice import SILENT, Voice
from tlmed.words import count, listed

BATCH_SIZE = 32
_EVALUATION = ("predictions.csv", "metrics.json", "evaluation.html")
_DIGEST = "predictions_sha256"  # by which an evaluation knows its own table


def make_predictions(
    images: ImageSet, rows: np.ndarray, scores: np.ndarray, positive: str | None, decision: Decision
) -> Predictions:
    """Return the predictions for some rows of an image set.

    Args:
        images: The images.
        rows: Which of them were scored [n].
        scores: Class probabilities [n, classes].
        positive: The positive one of two classes.
        decision: The threshold by which it is predicted, and the temperature that calibrates.
    """
    table, calibrated = images.table, metrics.apply_temperature(scores, decision.temperature)
    scores = np.asarray(scores, "float64")
    return Predictions(
        paths=tuple(table.paths[row] for row in rows),
        splits=tuple(str(images.splits[row]) for row in rows),
        labels=table.labels[rows],
        scores=scores,
        predictions=predict_classes(scores, metrics.positive_index(table.classes, positive), decision.threshold),
        classes=table.classes,
        groups=tuple(table.groups[row] for row in rows) if table.groups else None,
        calibrated=calibrated,
        traits={name: tuple(texts[row] for row in rows) for name, texts in table.traits.items()},
        by_scores=decision.threshold is None,
    )


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
) -> tuple[Predictions, dict]:
    """Score a run on its own test images, or on all images of another source, or score a file of predictions.

    The run's own images are those of its `splits.csv`, in the splits that stand there. What the source has besides, and
    what is no longer as it was (content, label or group), is named and not scored.

    Images are predicted by the threshold, and probabilities calibrated at the temperature, that the run's validation
    images chose. Columns of a CSV beside those that tlmed knows make subgroups, each scored by itself.

    Args:
        run: A complete run, or None with `file`.
        source: Another source; its classes must be the run's, by name. With `moved`, where the run's own images lie.
        file: A CSV of predictions, ours or not; its test rows are scored, or all rows if they are of one split.
        positive: The positive one of two classes of `file`.
        prevalence: The share of positives for predictive values, by default the recipe's.
        skip_bad: Leave out images of another source that cannot be read.
        voice: Where to tell of features; those of a frozen network come from the store where another run has put them.
        moved: Whether `source` holds the run's own images, at another place.
        grouping: Which column of another source, or of `file`, names the groups; None: as in the run, or the one with
            a usual name.

    Returns:
        The predictions, and the content of `metrics.json`.

    Raises:
        InputError: If something cannot be read, the classes differ, or no test image of the run is left as it was.
    """
    if run is None:
        predictions = read_predictions(file, grouping or Grouping(), positive)
        split = _choose_split(file, predictions)
        chosen = predictions.of(split)
        notes = [*predictions.notes, *describe_classes(len(predictions.classes), len(chosen.paths))]
        notes += metrics.describe_default(predictions.classes, positive)
        notes += _find_shared_groups(predictions, split)
        notes += describe_contradictions(chosen, positive)
        notes += describe_ties(chosen, positive)
        notes += describe_exchanged(chosen)
        notes += describe_hard_scores(chosen)
        for note in notes:
            voice.warn(note)
        others = Counter(name for name in predictions.splits if name != split)
        evaluated = {"predictions": str(file), "not_scored": dict(sorted(others.items())), "warnings": notes}
        with voice.busy(f"Scoring {count(len(chosen.paths), 'row')}"):
            result = {**score(predictions, split, positive, 0, prevalence=prevalence), "evaluated": evaluated}
        for sentence in describe_left_out(result):
            voice.say(sentence)
        return predictions, result
    recipe, old, decision = from_json(RECIPE_JSON.read(run)), METRICS_JSON.read(run), read_decision(run)
    unsure = check_intact(run, _name_files(old, "environment.json", "splits.csv", "predictions.csv"))
    prevalence = recipe.prevalence if prevalence is None else prevalence
    if prevalence is not None and len(old["classes"]) != 2:
        raise InputError(
            f"`prevalence` needs exactly two classes. Received: prevalence={prevalence} with {len(old['classes'])}."
        )
    cached = recipe.cache != "off"
    known = KnownPixels(cache_folder(), recipe.data.image_size) if cached else None
    if cached and (writers := find_writers(cache_folder())):
        voice.warn(writers)
    place = source or recipe.data.source
    elsewhere, unknown = find_known(name_weights(run), place)
    for sentence in describe_source(place):
        voice.say(sentence)
    with voice.busy(f"Reading images of {place}"):
        if source is None or moved:
            images, rows, seen = _recall(run, recipe, place, old["classes"], known)
            leaked = _find_leaked(run, elsewhere)
        else:
            grouping = grouping or _group_like(recipe, source)
            table = open_source(source, grouping)
            images = load(table, recipe.data.image_size, None, recipe.seed, skip_bad, known=known)
            _check_classes(images.table.classes, old["classes"])
            conflicts = [leak.text for leak in images.leaks if leak.kind == TWO_LABELS]
            familiar = compare_with_run(images, SPLITS_CSV.read(run), elsewhere, grouping.use)
            table, usual = images.table, _read_usual(run)
            held = describe_tones(table.paths, images.pixels.tones, table.labels, table.classes, usual)
            seen = [*dict.fromkeys((*images.warnings, *held)), *conflicts, *familiar.sentences]
            images = familiar.images
            leaked = [images.table.paths[row] for row in np.flatnonzero(familiar.leaked)]
            if gap := find_gap(recipe.data.source, source):
                seen.append(f"Whether the run was trained on some of these images cannot be told: {gap}.")
            rows = np.arange(len(images.splits))
    default = metrics.describe_default(old["classes"], recipe.data.positive, "tlmed train ... --positive")
    seen = [*default, *seen, *unsure, *unknown, *([] if is_synthetic(place) else describe_learned(recipe.data.source))]
    for warning in seen:
        voice.warn(warning)
    scorer = load_scorer(run)
    with voice.busy(f"Scoring {count(len(rows), 'image')}"):
        found = _look_up(recipe, scorer, images, rows, voice) if cached else None
        scores = scorer(images.batches(rows, recipe.data.batch_size)) if found is None else scorer.finish(found)
        predictions = make_predictions(images, rows, scores, old["positive"], decision)
        result = score(predictions, "test", old["positive"], recipe.seed, decision, prevalence, leaked)
    for note in (ties := describe_ties(predictions.of("test"))):
        voice.warn(note)
    seen += ties
    return predictions, {**result, "evaluated": {"run": str(run.path), "data": images.table.source, "warnings": seen}}


def _name_files(metrics, *others: str) -> list[str]:
    """Return the files of a run that give its scores, and others that a command reads; `metrics` tell a hybrid."""
    hybrid = ["classifier.skops"] if "classifier" in metrics else []
    return ["recipe.json", "metrics.json", *others, "model.keras", *hybrid]


def _find_shared_groups(predictions: Predictions, split: str) -> list[str]:
    """Return a sentence where groups of the rows that are scored have rows in other splits of the file, too."""
    if predictions.groups is None:
        return []
    pairs = [(spell(group), part == split) for group, part in zip(predictions.groups, predictions.splits, strict=True)]
    shared = {group for group, scored in pairs if scored} & {group for group, scored in pairs if not scored}
    rows = sum(scored and group in shared for group, scored in pairs)
    named = {group for group in predictions.groups if spell(group) in shared}
    if not rows:
        return []
    return [
        f"{count(rows, 'row')} of {split!r} belong to groups that have rows in other splits of the file, too "
        f"({listed(sorted(named), 3)}): if the network learnt from those, it knows them."
    ]


def _group_like(recipe, source: str) -> Grouping:
    """Return how a run found its groups, for another source; one without columns has none."""
    has_columns = source.startswith("tfds:") or source.lower().endswith(".csv")
    return recipe.data.grouping if has_columns else Grouping(use=recipe.data.groups)


def _recall(run, recipe, source, classes, known) -> tuple[ImageSet, np.ndarray, list[str]]:
    """Return a run's own images, which of them are scored, and what is to be said of those that are not."""
    recorded = SPLITS_CSV.read(run)
    try:
        data = ENVIRONMENT_JSON.read(run)["data"]
        left_out = [entry["path"] for entry in data["left_out"]]
    except (KeyError, TypeError) as error:
        raise _not_written(run, "environment.json", "which images were left out") from error
    try:
        table = open_source(source, recipe.data.grouping)
        found = recall(table, recipe.data.image_size, recorded, classes, left_out, known)
    except InputError as error:
        hint = "Where the images of RUN lie elsewhere by now, `--data PLACE --moved` says where."
        raise InputError([*error.faults, hint]) from error
    splits = found.images.splits
    if not (found.same & (splits == "test")).any():
        raise InputError(
            "A test image of RUN must be left as it was when RUN was trained. "
            f"Received: {run.path} with data={source}: {'; '.join(found.changes.name()) or 'no test image'}."
        )
    tested = sum(row["split"] == "test" for row in recorded)
    rows = np.flatnonzero(found.same & (splits != "train"))
    table = found.images.table.take(rows)
    pixels = found.images.pixels
    held = describe_tones(table.paths, pixels.tones[rows], table.labels, table.classes)
    unused = describe_extras(table.paths, [pixels.extras[row] for row in rows])
    moved = describe_columns(found, tested, data.get("columns"))
    return found.images, rows, [*describe_changes(found, tested), *moved, *held, *unused]


def _not_written(run, name, what) -> InputError:
    return InputError(f"`{name}` must say {what}, as `tlmed train` writes it. Received: {run / name}.")


def _choose_split(file, predictions: Predictions) -> str:
    """Return the split of a file of predictions that is scored: never one of several at random."""
    splits = sorted(set(predictions.splits))
    if "test" not in splits and len(splits) > 1:
        raise InputError(
            "Predictions must have rows of the split 'test', or be of one split only. "
            f"Received: {file}, splits {listed(splits)}."
        )
    return "test" if "test" in splits else splits[0]


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
    """Return the paths of a run's own images that training or validation knows, or runs before (`elsewhere`)."""
    recorded = SPLITS_CSV.read(run)
    digests, groups, splits = ([row[name] for row in recorded] for name in ("sha256", "group", "split"))
    leaked = find_leaked(digests, groups, np.array(splits), elsewhere)
    return [row["path"] for row, known in zip(recorded, leaked, strict=True) if known]


def _look_up(recipe, scorer, images, rows, voice) -> np.ndarray | None:
    """Return features from the store, computed where they are not there; None if it cannot be used."""
    if find_unknown_code(scorer.features):
        return None
    # Also of a run that trained on rounded features: its scores, too, are those of its network.
    means = Means(name_all(recipe.backbone), "tensorflow", recipe.data.batch_size)
    with _computing():
        kept = keep_features(scorer.features, images.pixels, "evaluation", voice, means, rows)
    return None if kept is None else kept[0].take(rows)


def check_evaluation_folder(folder: Path, force: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Refuse a folder that an evaluation cannot be written to, before it is made.

    Args:
        folder: The folder.
        force: Whether an earlier evaluation may be written over.
        inputs: What the command reads.

    Raises:
        InputError: If it cannot be written to, is a run's, or holds files that may not be written over.
    """
    check_folder(folder, _EVALUATION)
    made = _read_evaluated(folder)
    own = {
        folder / "metrics.json": lambda file: made is not None,
        folder / "evaluation.html": lambda file: is_marked(file, "evaluate"),
        folder / "predictions.csv": lambda file: made is not None and made.get(_DIGEST) == sha256(file),
    }
    check_targets("--out", own, force, inputs)


def _read_evaluated(folder: Path) -> dict | None:
    """Return what an evaluation in a folder says of itself; None where there is none."""
    try:
        return METRICS_JSON.read(RunDir(folder)).get("evaluated")
    except InputError:
        return None


def write_evaluation(
    folder: Path, predictions: Predictions, result: dict, force: bool = False, inputs: Sequence[Path] = ()
) -> None:
    """Write `predictions.csv` and `metrics.json` into a folder, which is made if it is missing.

    Args:
        folder: The folder.
        predictions: From `evaluate`, as is `result`.
        result: The content of `metrics.json`.
        force: Write over an earlier evaluation.
        inputs: What was read, which is never written over.

    Raises:
        InputError: As `check_evaluation_folder`, or if they cannot be written.
    """
    check_evaluation_folder(folder, force, inputs)
    with writing_out(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_predictions(folder / "predictions.csv", predictions)
        evaluated = {**result["evaluated"], _DIGEST: sha256(folder / "predictions.csv")}
        METRICS_JSON.write(folder, {**result, "evaluated": evaluated})


def load_model(run: RunDir) -> keras.Model:
    """Load a run's network; a file that would run code is refused by Keras's safe mode."""
    recipe = from_json(RECIPE_JSON.read(run))
    register_layers(recipe.backbone)
    network, size = load_network(run / "model.keras", compile=True), recipe.data.image_size
    if network.input_shape[1:3] != size:
        raise InputError(
            f"`model.keras` must take images of the recipe's size, {size}. "
            f"Received: {run / 'model.keras'}, which takes {network.input_shape[1:3]}."
        )
    return network


@contextlib.contextmanager
def _computing() -> Iterator[None]:
    """Turn what can go wrong while a network works on images into one clear line."""
    try:
        yield
    except TlmedError:
        raise
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise RunFailed("Scoring must fit into memory. Received: a network or images that do not.") from error
    except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
        if CHANGED in str(error):
            raise RunFailed(f"{CHANGED} Received: one that is no longer as it was a moment ago.") from error
        raise InputError(
            f"The network of RUN must be able to score the images. Received: {summarise(error)}."
        ) from error


@dataclass(frozen=True)
class Scorer:
    """What turns raw images into class probabilities.

    Attributes:
        features: A network from images [batch, height, width, 3], RGB 0..255, to features [batch, d].
        finish: Features [n, d] to class probabilities [n, classes].
        network: All of it, from images to probabilities; None for a hybrid, whose end is no network.
    """

    features: keras.Model
    finish: Callable[[np.ndarray], np.ndarray]
    network: keras.Model | None = None

    def __call__(self, batches: tf.data.Dataset) -> np.ndarray:
        """Return class probabilities [n, classes] for batches of raw images."""
        with _computing():
            features = self.features.predict(batches, verbose=0)
        return self.finish(features)

    def explainer(self, method: str | None = None, block: str | None = None, **options) -> Explainer:
        """Prepare a method that shows where the evidence lies; see `make_explainer`."""
        if self.network is None:
            return make_explainer(self.features, method, block, self.finish, **options)
        return make_explainer(self.network, method, block, **options)


def load_scorer(run: RunDir) -> Scorer:
    """Load a run's network, with its head or with its classifier."""
    network, result = load_model(run), METRICS_JSON.read(run)
    classes = result["classes"]
    if "classifier" not in result:
        if network.output_shape[1] != len(classes):
            raise InputError(
                f"`model.keras` must give a probability for each of {count(len(classes), 'class')}. "
                f"Received: {run / 'model.keras'}, which gives {network.output_shape[1]}."
            )
        features, head = split_head(network)
        finish = _finite(run, lambda found: head.predict(found, batch_size=BATCH_SIZE, verbose=0))
        return Scorer(features, finish, network)
    from tlmed.heads.hybrid import predict_probabilities
    from tlmed.heads.skops_files import load_classifier

    classifier = load_classifier(run / "classifier.skops")
    return Scorer(network, _finite(run, lambda found: predict_probabilities(classifier, found, len(classes))))


def _finite(run, finish: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from features to scores that refuses those that are not finite: some classifiers take any."""

    def check(features: np.ndarray) -> np.ndarray:
        scores = finish(features) if np.isfinite(features).all() else np.full((len(features), 1), np.nan)
        if bad := int((~np.isfinite(scores).all(axis=1)).sum()):
            raise InputError(
                "The network of RUN must give finite features and scores. "
                f"Received: {run.path}, which does not for {bad:,} of {count(len(scores), 'image')}."
            )
        return scores

    return check


def predict(
    run: RunDir,
    paths: Sequence[str | Path],
    skip_bad: bool = False,
    explain: Path | None = None,
    method: str | None = None,
    block: str | None = None,
    force: bool = False,
    voice: Voice = SILENT,
) -> tuple[list[str], list[tuple], list[tuple[str, str]]]:
    """Predict the class of images: files, and folders with everything below them.

    Args:
        run: A complete run.
        paths: Files and folders.
        skip_bad: Leave out images that cannot be read, instead of refusing all.
        explain: A folder for a picture of each image that shows where the evidence for its class lies.
        method: How it is found, one of `tlmed.evaluation.explanations.METHODS`; None: Grad-CAM, or occlusion where
            that is all that can be had.
        block: The block that Grad-CAM and Grad-CAM++ show; None: the last.
        force: Write over earlier explanations.
        voice: Where to warn of images with odd values, or with pages that are not used.

    Returns:
        The columns `path`, `prediction` (by the run's threshold), `score_<class>`, `calibrated_<class>` and
        `image_note` (a single colour, all but black, or values unlike those of training; empty for others); one row per
        image; path and reason of what was left out.

    Raises:
        InputError: If a path is missing, an image cannot be read, the network cannot be explained like that, or the
            folder for the pictures lies in one of `paths` or holds files that may not be written over.
    """
    old, settings, decision = METRICS_JSON.read(run), from_json(RECIPE_JSON.read(run)).data, read_decision(run)
    classes = old["classes"]
    for warning in check_intact(run, _name_files(old, "environment.json")):
        voice.warn(warning)
    for warning in describe_learned(settings.source):
        voice.warn(warning)
    names, files, broken = read_files(paths, settings.image_size, skip_bad)
    tones, usual = files.pixels.tones, _read_usual(run)
    for warning in (*describe_tones(names, tones, usual=usual), *describe_extras(names, files.pixels.extras)):
        voice.warn(warning)
    scorer = load_scorer(run)
    explainer = None if explain is None else scorer.explainer(method, block)
    if explainer is not None:
        place = Place(explain, names, force)
        open_folder(explain, paths)
        name_in(place, explainer.method)
    scores = scorer(files.batches(BATCH_SIZE))
    chosen = predict_classes(scores, metrics.positive_index(classes, old["positive"]), decision.threshold)
    if explainer is not None:
        with writing_out(explain, "--explain"), _computing():
            save_explanations(place, files.batches(BATCH_SIZE), chosen, scores, classes, explainer)
    tables = np.concatenate([scores, metrics.apply_temperature(scores, decision.temperature)], axis=1, dtype=float)
    lines = zip(names, chosen, tables.tolist(), note_tones(tones, usual), strict=True)
    rows = [(name, classes[choice], *row, note) for name, choice, row, note in lines]
    return list_columns(classes), rows, broken


def _read_usual(run) -> dict[str, int] | None:
    """Return how many values a run's training images usually have; None for runs that did not record it yet."""
    try:
        usual = ENVIRONMENT_JSON.read(run)["data"].get("values")
        return None if usual is None else {name: int(usual[name]) for name in ("fewest", "most")}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_written(run, "environment.json", "how many values the training images have") from error
