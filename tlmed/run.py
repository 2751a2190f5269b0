"""The story of one run, readable from top to bottom: prepare, train, keep, evaluate, report."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tlmed import backbones, metrics
from tlmed.blocks import partition
from tlmed.data import ImageSet, load, open_source
from tlmed.environment import describe_environment, memory_limit, peak_memory_mb
from tlmed.errors import CheckFailed, InputError
from tlmed.evaluation.baselines import linear_probe, majority_class
from tlmed.evaluation.predictions import write_predictions
from tlmed.failures import explained
from tlmed.heads import POOLING_LAYERS, attach_head, augmentation
from tlmed.inference import describe_metrics, load_model, make_predictions, score
from tlmed.phases import Classifier, reestimate_statistics, thaw
from tlmed.plan import find_thaw_faults, make_plan, memory_needed
from tlmed.recipe import MONITORS, Recipe, find_recipe, load_recipe, to_source
from tlmed.report import write_report
from tlmed.rundir import RunDir, atomic, write_csv, write_json, write_text
from tlmed.seeds import derive
from tlmed.training import PhaseResult, class_weights, fit_phase

THRESHOLD = 0.5
MOST_WARNINGS = 10  # on screen; all are in the run
STATISTICS_IMAGES = 512  # as many as BatchNorm statistics are re-estimated on


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: Its directory.
    """

    path: Path

    @property
    def metrics(self) -> dict:
        """Return the content of `metrics.json`."""
        return RunDir(self.path).json("metrics.json")

    def model(self) -> keras.Model:
        """Load the trained network: raw RGB images, 0..255, in; one probability per class out."""
        return load_model(RunDir(self.path))


@dataclass(frozen=True)
class Voice:
    """What a run says while it works; silent by default.

    Attributes:
        say: Takes a line for the user.
        warn: Takes a warning.
        progress: Makes a Keras callback that shows a phase, given its name, epochs and steps per epoch.
    """

    say: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None
    progress: Callable[[str, int, int], keras.callbacks.Callback] | None = None


@dataclass
class Clock:
    """Seconds of each stage, and of the whole from when the first image is read."""

    begin: float = field(default_factory=time.perf_counter)
    reading: float = 0.0
    stages: list[dict] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as one stage."""
        start = time.perf_counter()
        yield
        self.stages.append({"name": name, "seconds": round(time.perf_counter() - start, 3)})


def build(recipe: Recipe, num_classes: int) -> Classifier:
    """Build a recipe's network, compiled for its first phase; see `Recipe.build`."""
    if not isinstance(num_classes, int) or num_classes < 2:
        raise InputError(f"`num_classes` must be a whole number of 2 or more. Received: num_classes={num_classes!r}.")
    backbone = build_backbone(recipe)
    if faults := find_thaw_faults(partition(backbone.model), recipe.phases):
        raise InputError(faults)
    return thaw(assemble(recipe, backbone.model, num_classes), recipe.phases[0])


def build_backbone(recipe: Recipe, weights: str | None = None) -> backbones.Backbone:
    """Build a recipe's backbone, with other weights if asked."""
    size = recipe.data.image_size
    return backbones.build(recipe.backbone, weights or recipe.weights, size, derive(recipe.seed, "backbone"))


def assemble(recipe: Recipe, backbone: keras.Model, num_classes: int) -> Classifier:
    """Put a recipe's head on a backbone; every layer is still trainable."""
    head, augment = recipe.head, recipe.augment
    return attach_head(
        backbone,
        num_classes,
        dropout=head.dropout,
        pooling=head.pooling,
        units=head.units,
        augment=augmentation(augment.flip, augment.rotation, augment.zoom, augment.contrast),
        seed=recipe.seed,
    )


def train(
    recipe: Recipe | str | Path,
    out: str | Path | None = None,
    data: str | Path | None = None,
    *,
    skip_bad: bool = False,
    strict: bool = False,
    fresh: bool = False,
    recipe_file: Path | None = None,
    voice: Voice = Voice(),
) -> Run:
    """Train a recipe and evaluate the result.

    A run that was stopped continues behind its last finished phase; a complete one is returned as it is.

    Args:
        recipe: A recipe, its file, or a shipped recipe's name.
        out: The run directory; by default `runs/<recipe>-<time>`.
        data: Where the images come from, instead of the recipe's own source.
        skip_bad: Leave out images that cannot be read, and list them in the run.
        strict: Refuse data with leaks between splits or with one image under two labels.
        fresh: Start over where a run is already.
        recipe_file: The file that `recipe` was loaded from; the run keeps a copy.
        voice: Where to tell what happens.

    Raises:
        InputError: If the recipe, the data or the weights cannot be used (all faults are named).
        CheckFailed: If `strict` is set and the data has leaks.
        RunFailed: If the loss is no longer finite, or memory or disk run out.
    """
    if not isinstance(recipe, Recipe):
        recipe_file = find_recipe(recipe)
        recipe = load_recipe(recipe_file)
    if data is not None:
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, source=str(data)))
    name = recipe_file.stem if recipe_file else "recipe"
    run = RunDir(Path(out or f"runs/{name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    if not fresh and run.exists and _same_recipe(run, recipe) and run.complete:
        voice.say(f"{run.path} is complete already; --fresh trains it again.")
        return Run(run.path)

    keras.utils.set_random_seed(recipe.seed)
    tf.config.experimental.enable_op_determinism()
    clock = Clock()
    with explained(run, recipe.data.batch_size, recipe.data.image_size):
        images, backbone, model, plan = _prepare(recipe, skip_bad, clock, voice)
        _check_leaks(images, strict, voice)
        _open(run, recipe, recipe_file, images, fresh)
        write_json(run / "plan.json", plan)
        write_json(run / "environment.json", _describe_run(recipe, backbone, images))
        results, earlier = _train_phases(recipe, run, model, images, backbone.source.name, clock, voice)
        kept = _keep(recipe, run, model, results, voice)
        trained = time.perf_counter()
        _evaluate(recipe, run, model, images, kept, clock, voice)
        _write_timing(run, clock, trained, results, earlier, len(images.indices("train")))
        write_report(run.path)
        run.finish()
    return Run(run.path)


def preview(recipe: Recipe) -> tuple[list[str], dict]:
    """Return what a recipe would do, without training: some sentences, and the content of `plan.json`.

    Raises:
        InputError: With every fault of backbone, weights, image size, thawing and data.
    """
    faults, network, table = [], None, None
    size = recipe.data.image_size
    with _collected(faults):
        network = backbones.build(recipe.backbone, "none", size).model
        faults += find_thaw_faults(partition(network), recipe.phases)
        weights = backbones.locate(recipe.backbone, recipe.weights, size)
    with _collected(faults):
        table = open_source(recipe.data.source)
        metrics.positive_index(table.classes, recipe.data.positive)
    if faults:
        raise InputError(faults)
    plan = make_plan(assemble(recipe, network, len(table.classes)), recipe.phases)
    words = [
        f"Backbone: {recipe.backbone}, {plan['parameters']:,} parameters with the head",
        f"Weights: {weights}",
        f"Images: {len(table.paths)} of {recipe.data.source}; classes: {', '.join(table.classes)}",
    ]
    return words, plan


@contextlib.contextmanager
def _collected(faults: list[str]) -> Iterator[None]:
    """Add the faults of an InputError to a list, to be reported with others."""
    try:
        yield
    except InputError as error:
        faults += error.faults


def _same_recipe(run, recipe) -> bool:
    """Tell whether a run directory holds this recipe; another one is an error that names the fields."""
    old = _flatten(run.json("recipe.json")) if (run / "recipe.json").exists() else None
    if old is None:
        return False
    new = _flatten(_to_json(recipe))
    if old != new:
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        differ = [f"{key}={old.get(key)!r} there, {new.get(key)!r} here" for key in keys]
        raise InputError(
            f"`--out` holds a run of another recipe; choose another directory, or --fresh to start over. "
            f"Received: {run.path}: {'; '.join(differ)}."
        )
    return True


def _to_json(recipe) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def _flatten(content, path="") -> dict:
    """Return nested dictionaries and lists as one dictionary with dotted keys."""
    if isinstance(content, dict):
        parts = (_flatten(part, f"{path}{name}.") for name, part in content.items())
        return {key: value for part in parts for key, value in part.items()}
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return _flatten(dict(enumerate(content)), path)
    return {path.rstrip("."): content}


def _prepare(recipe, skip_bad, clock, voice):
    """Build the network, read the images, make the plan: every fault that planning can see, at once."""
    faults, backbone, images = [], None, None
    with clock.stage("build network"), _collected(faults):
        backbone = build_backbone(recipe)
        faults += find_thaw_faults(partition(backbone.model), recipe.phases)
        voice.say(f"Backbone: {recipe.backbone}, weights {backbone.source.name}")
    clock.reading = time.perf_counter()
    with clock.stage("read images"), _collected(faults):
        settings = recipe.data
        images = load(settings.source, settings.image_size, settings.split, recipe.seed, skip_bad)
        faults += _find_label_faults(recipe, images)
    if faults:
        raise InputError(faults)
    voice.say(_describe_images(recipe, images))
    with clock.stage("plan"):
        model = assemble(recipe, backbone.model, len(images.table.classes))
        plan = make_plan(model, recipe.phases, backbone=recipe.backbone, weights=backbone.source.name)
        if memory_needed(model, recipe.phases, min(recipe.data.batch_size, len(images.splits))) > memory_limit():
            raise MemoryError
    return images, backbone, model, plan


def _find_label_faults(recipe, images) -> list[str]:
    faults = []
    with _collected(faults):
        metrics.positive_index(images.table.classes, recipe.data.positive)
    if len(set(images.table.labels[images.indices("val")])) < 2 and recipe.monitor == "val_auc":
        faults.append("`monitor` must be 'val_loss' where val holds one class only. Received: monitor='val_auc'.")
    return faults


def _describe_images(recipe, images) -> str:
    counts = ", ".join(f"{split} {len(images.indices(split))}" for split in ("train", "val", "test"))
    classes = ", ".join(images.table.classes)
    positive = metrics.positive_index(images.table.classes, recipe.data.positive)
    marked = f"; positive: {images.table.classes[positive]}" if positive is not None else ""
    return f"Images: {len(images.splits)} from {recipe.data.source} ({counts}); classes: {classes}{marked}"


def _check_leaks(images: ImageSet, strict: bool, voice: Voice) -> None:
    if strict and images.leaks:
        raise CheckFailed(images.leaks)
    found = [*images.warnings, *images.leaks]
    for sentence in found[:MOST_WARNINGS]:
        voice.warn(sentence)
    if len(found) > MOST_WARNINGS:
        voice.warn(f"{len(found) - MOST_WARNINGS} more like these are listed in the run's environment.json.")


def _open(run, recipe, recipe_file, images, fresh) -> None:
    """Make the run directory, or go on in it: only with the recipe and the images that it began with."""
    if fresh:
        run.clear()
    run.start()
    table = images.table
    groups = table.groups or [""] * len(table.paths)
    names = (table.classes[label] for label in table.labels)
    rows = list(zip(table.paths, names, groups, images.splits, images.sha256, strict=True))
    with atomic(run.progress / "splits.csv") as part:
        write_csv(part, ("path", "label", "group", "split", "sha256"), rows)
        new = part.read_bytes()
    if (run / "splits.csv").exists() and (run / "splits.csv").read_bytes() != new:
        raise InputError(
            f"A run continues with the images that it began with; --fresh starts over. "
            f"Received: {run.path}, whose splits.csv differs."
        )
    (run.progress / "splits.csv").replace(run / "splits.csv")
    write_json(run / "recipe.json", _to_json(recipe))
    write_text(run / "recipe.py", recipe_file.read_text("utf-8") if recipe_file else to_source(recipe))


def _describe_run(recipe, backbone, images) -> dict:
    return {
        **describe_environment(),
        "seed": recipe.seed,
        "weights": dataclasses.asdict(backbone.source),
        "data": {
            "source": recipe.data.source,
            "images": len(images.splits),
            "classes": list(images.table.classes),
            "split": "made" if images.split_made else "given",
            "left_out": [{"path": path, "reason": reason} for path, reason in images.broken],
        },
        "warnings": [*images.warnings, *images.leaks],
    }


def _train_phases(recipe, run, model, images, source, clock, voice) -> tuple[list[PhaseResult], float]:
    """Train phase after phase, each from the best epoch of the one before; finished ones are not repeated.

    Returns:
        How each phase ended, and the seconds of those that an earlier, stopped command had trained.
    """
    notes = run.progress / "phases.json"
    results = [PhaseResult(**row) for row in json.loads(notes.read_text())] if notes.exists() else []
    earlier = sum(result.seconds for result in results)
    run.keep_history([result.name for result in results])
    if results:
        model.plain().load_weights(_weights_file(run, results[-1].name))
        voice.say(f"Continuing behind phase {results[-1].name!r}.")
    elif source == "none":
        with clock.stage("re-estimate statistics"):
            _wake(recipe, model, images)
    for phase in recipe.phases[len(results) :]:
        run.mark(f"Training phase {phase.name!r}.")
        with clock.stage(f"phase {phase.name}"):
            results.append(_train_phase(recipe, run, thaw(model, phase), phase, images, voice))
        with atomic(_weights_file(run, phase.name)) as part:
            model.plain().save_weights(part)
        write_json(notes, [dataclasses.asdict(result) for result in results])
    return results, earlier


def _weights_file(run, phase_name) -> Path:
    return run.progress / f"{phase_name}.weights.h5"


def _wake(recipe, model, images) -> None:
    """Give random weights BatchNorm statistics of the training images: with Keras's own they are dead."""
    chosen = np.random.RandomState(derive(recipe.seed, "statistics")).permutation(images.indices("train"))
    batches = images.batches(chosen[:STATISTICS_IMAGES], recipe.data.batch_size)
    reestimate_statistics(model, (pixels for pixels, _ in batches))


def _train_phase(recipe, run, model, phase, images, voice) -> PhaseResult:
    train, val, size = images.indices("train"), images.indices("val"), recipe.data.batch_size
    steps = -(-len(train) // size)
    labels = images.table.labels
    weights = class_weights(labels[train]) if recipe.class_weight == "balanced" else None
    shown = voice.progress(phase.name, phase.epochs, steps) if voice.progress else contextlib.nullcontext()
    with shown as callback:
        return fit_phase(
            model,
            phase,
            images.training_batches(train, size, derive(recipe.seed, "phase", phase.name)),
            steps,
            images.batches(val, size),
            labels[val],
            monitor=recipe.monitor,
            class_weight=weights,
            record=run.append_history,
            callbacks=[callback] if callback else [],
        )


def _keep(recipe, run, model, results, voice) -> PhaseResult:
    """Give the network the weights of the phase that the recipe keeps, and save it."""
    best = max if MONITORS[recipe.monitor] == "max" else min
    kept = best(results, key=lambda result: result.score) if recipe.keep == "best" else results[-1]
    model.plain().load_weights(_weights_file(run, kept.name))
    with atomic(run / "model.keras") as part:
        model.save(part)
    voice.say(f"Kept: phase {kept.name!r}, epoch {kept.best_epoch}, {recipe.monitor} {kept.score:.4f}")
    return kept


def _evaluate(recipe, run, model, images, kept, clock, voice) -> None:
    """Score validation and test images, and write predictions and metrics."""
    run.mark("Evaluating.")
    rows = np.concatenate([images.indices("val"), images.indices("test")])
    with clock.stage("evaluate"):
        scores = model.predict(images.batches(rows, recipe.data.batch_size), verbose=0)
    predictions = make_predictions(images, rows, scores, recipe.data.positive, THRESHOLD)
    write_predictions(run / "predictions.csv", predictions)
    result = score(predictions, "test", recipe.data.positive, recipe.seed)
    result["threshold"] = THRESHOLD if result["positive"] else None
    result["kept"] = dataclasses.asdict(kept)
    if recipe.baselines:
        with clock.stage("baselines"):
            result["baselines"] = _score_baselines(recipe, images)
    write_json(run / "metrics.json", result)
    for line in describe_metrics(result):
        voice.say(line)


def _score_baselines(recipe, images) -> dict:
    """Score what needs no transfer on the test images: random weights below a linear classifier, and no network."""
    table, train, test = images.table, images.indices("train"), images.indices("test")
    network = build_backbone(recipe, "none").model
    _wake(recipe, network, images)
    pooled = keras.Model(network.inputs[0], POOLING_LAYERS[recipe.head.pooling]()(network.outputs[0]))
    rows = np.concatenate([train, test])
    features = pooled.predict(images.batches(rows, recipe.data.batch_size), verbose=0)
    classes = len(table.classes)
    probe = linear_probe(features[: len(train)], table.labels[train], features[len(train) :], classes)
    majority = majority_class(table.labels[train], len(test), classes)
    described = {
        "random_weights": ("A linear classifier on the features of randomly initialised weights.", probe),
        "majority_class": ("The shares of the classes among the training images, for every image.", majority),
    }
    return {
        name: {"description": words, **_score_baseline(recipe, images, test, scores)}
        for name, (words, scores) in described.items()
    }


def _score_baseline(recipe, images, test, scores) -> dict:
    predictions = make_predictions(images, test, scores, recipe.data.positive, THRESHOLD)
    return score(predictions, "test", recipe.data.positive, recipe.seed)["metrics"]


def _write_timing(run, clock, trained, results, earlier, images) -> None:
    seconds = sum(result.seconds for result in results)
    write_json(
        run / "timing.json",
        {
            "training_seconds": round(trained - clock.reading + earlier, 3),
            "total_seconds": round(time.perf_counter() - clock.begin + earlier, 3),
            "images_per_second": round(images * sum(result.epochs for result in results) / seconds, 2),
            "peak_memory_mb": peak_memory_mb(),
            "stages": clock.stages,
        },
    )
