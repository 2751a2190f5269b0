"""The story of one run, readable from top to bottom: prepare, train, keep, evaluate, report."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from tlmed.comparison.checks import check_means
from tlmed.data import ImageSet
from tlmed.environment.packages import check_installed
from tlmed.errors import InputError
from tlmed.failures import explained
from tlmed.inference.scorer import load_model
from tlmed.intact import check_intact, reading
from tlmed.intensity import Intensity
from tlmed.lock import write_lock
from tlmed.recipe import Recipe, RecipeFile, read_recipe
from tlmed.replicas import choose_strategy, grow_memory
from tlmed.report import write_report
from tlmed.run.clock import Clock
from tlmed.run.crossvalidation import cross_validate, is_cross_validation
from tlmed.run.example_pictures import write_examples
from tlmed.run.gate_check import check_images, write_findings
from tlmed.run.job import Job
from tlmed.run.outcome import Outcome
from tlmed.run.phase_training import Begun, read_begun, train_phases
from tlmed.run.preparation import check_leaks, prepare
from tlmed.run.prepared import Prepared
from tlmed.run.records import (
    describe_rows,
    describe_run,
    flat_fields,
    holds_complete,
    keep_choices,
    open_run,
    say_complete,
    warn_of_changes,
    write_start,
    write_timing,
)
from tlmed.run.scoring import evaluate_run
from tlmed.run.unusual_images import keep_novelty
from tlmed.run.workers import Workers, working_together
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, PLAN_JSON
from tlmed.rundir import RunDir, check_single
from tlmed.sections import Hybrid
from tlmed.training import open_voice
from tlmed.voice import SILENT, Voice


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: Its directory.
    """

    path: Path

    @property
    def metrics(self) -> dict:
        """Return the content of `metrics.json`; where it cannot be verified, as without a lock, Python warns.

        Raises:
            InputError: If the file, or one of a cross-validation's folds, is another run's or was edited.
        """
        run = RunDir(self.path)
        for part in run.folds or (run,):
            _check(part, "metrics.json")
        with reading(run, "metrics.json"):
            content = METRICS_JSON.read(run)
            if run.folds:
                check_means(run.path, content, {fold.path.name: METRICS_JSON.read(fold) for fold in run.folds})
        return content

    def model(self) -> keras.Model:
        """Load the trained network: raw RGB images, 0..255, in; one probability per class out, of a hybrid features.

        Raises:
            InputError: Of a cross-validation, which has a network for each fold, or if the file is another run's.
        """
        run = RunDir(self.path)
        check_single(run)
        _check(run, "recipe.json", "model.keras")
        return load_model(run)


def _check(run, *names) -> None:
    for sentence in check_intact(run, names):
        warnings.warn(sentence, stacklevel=3)


def train(
    recipe: Recipe | str | Path,
    out: str | Path | None = None,
    data: str | Path | None = None,
    *,
    backbone: keras.Model | None = None,
    skip_bad: bool = False,
    strict: bool = False,
    fresh: bool = False,
    report: bool = True,
    recipe_file: RecipeFile | None = None,
    choices: Mapping[str, dict] | None = None,
    window: Intensity | None = None,
    voice: Voice | None = None,
    verbose: bool | str = "auto",
) -> Run:
    """Train a recipe and evaluate the result.

    A stopped run continues after the last step that was saved; a complete one is returned as it is. With
    `split=KFold(...)` a run for each fold is trained below the run directory, which holds their mean.

    Args:
        recipe: A recipe, its file, or a shipped recipe's name.
        out: The run directory; by default `runs/<recipe>-<time>`.
        data: Where the images come from, instead of the recipe's own source.
        backbone: A network of your own instead of the recipe's: raw RGB images, 0..255, at the recipe's size, to a
            feature map, tokens or a vector.
        skip_bad: Leave out images that cannot be read, and list them in the run.
        strict: Refuse data with leaks between splits or with one image under two labels.
        fresh: Start over where a run is already.
        report: Write `report.html`, which takes about a second; without it, `tlmed.report.write_report(out)` does.
        recipe_file: The file that `recipe` is from, as `read_recipe` read it; the run keeps a copy.
        choices: If this run repeats another: whether each phase keeps the outputs of its frozen blocks, as `cache` of
            the other run's plan, by phase. Such a run does not go on if stopped. None: as this machine's memory and
            disk suggest.
        window: If this run repeats another: what of its images' values was black and white there.
        voice: Where to tell what happens, instead of what `verbose` says.
        verbose: True shows what the command shows, False nothing; `"auto"` shows it in a terminal or a notebook.

    Raises:
        InputError: If the recipe, the data or the weights cannot be used (all faults are named).
        CheckFailed: If `strict` is set and the data has leaks.
        RunFailed: If the loss is no longer finite, a frozen weight moved, memory or disk run out, or a worker is lost.
    """
    check_installed()
    voice = voice or open_voice(verbose)
    if not isinstance(recipe, Recipe):
        recipe_file = read_recipe(recipe)
        recipe = recipe_file.recipe
    if data is not None:
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, source=str(data)))
    if backbone is not None:
        recipe = dataclasses.replace(recipe, backbone=f"own:{backbone.name}", weights="own")
    name = recipe_file.path.stem if recipe_file else "recipe"
    if out is None:
        out = f"runs/{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        # Said before training, because `tlmed status` and a run that continues need the name.
        voice.say(f"Run directory: {out}")
    out = Path(out)
    if RunDir(out).is_ensemble:  # before images are read
        raise InputError(f"`--out` must be a new or empty directory, or a run's. Received: {out}, an ensemble.")
    job = Job(
        recipe,
        RunDir(out),
        voice,
        own=backbone,
        skip_bad=skip_bad,
        strict=strict,
        fresh=fresh,
        report=report,
        recipe_file=recipe_file,
        choices=choices,
        window=window,
    )
    if is_cross_validation(recipe):
        cross_validate(job, _make_fold_trainer(_train_one, backbone))
    else:
        _train_one(job)
    return Run(out)


def _make_fold_trainer(train_one: Callable[..., None], backbone: keras.Model | None) -> Callable[..., None]:
    """Return a function that trains one fold after another, on images that are read once.

    Each fold begins with the weights that the user's network has now. A network that Keras
    cannot make again is trained itself: it would take what it learnt to the next fold, whose test images it has seen.
    """
    if backbone is not None and not backbone.built:
        raise InputError(
            "`backbone` must have its weights before a cross-validation, which gives them to each fold: call it on an "
            f"image first. Received: model={backbone.name!r}, not built."
        )
    weights = backbone.get_weights() if backbone is not None else None
    read = []

    def train_fold(job: Job, begin: Callable[[ImageSet], None]) -> None:
        if backbone is not None:
            backbone.set_weights(weights)

        def prepared(images: ImageSet) -> None:
            read[:] = [images]
            begin(images)

        train_one(job, begin=prepared, read=read[0] if read else None)

    return train_fold


def _train_one(job: Job, begin=lambda images: None, read: ImageSet | None = None) -> None:
    """Train one network, or one classifier, and evaluate it.

    For a fold of a cross-validation: `begin` is called with the images before anything is written, and `read` are the
    images if an earlier fold read them.
    """
    out, fields = job.run.path, flat_fields(job.recipe)
    del fields["data.source"]  # the images themselves are compared
    with working_together(fields, out, job.voice.warn) as workers:
        voice = job.voice if workers.is_chief else SILENT
        job = dataclasses.replace(job, run=workers.run, voice=voice, clock=Clock())
        if workers.decide(lambda: not job.fresh and holds_complete(job)):
            job.run.finish()  # an earlier command may have been killed in its last step
            job.voice.say(say_complete(job))
            return
        with contextlib.ExitStack() as stack:
            prepared = stack.enter_context(_prepared(job, workers, job.choices is None, read))
            found = check_images(job, prepared.images, read is None) if workers.is_chief else None
            begin(prepared.images)
            stack.enter_context(open_run(job, workers, prepared.images))
            write_findings(job, found)
            outcome = _train(job, workers, prepared)
            keep_novelty(job, prepared.images, outcome)
            evaluate_run(job, prepared.images, outcome)
            if workers.is_chief:
                write_examples(job, prepared.images)
                write_timing(job, outcome)
                with job.voice.busy("Writing the report"):
                    write_lock(job.run)
                    if job.report:
                        write_report(job.run.path)
                job.run.finish()
            workers.wait()  # one that left before the chief is done would count as lost
        job.voice.say(f"Run: {out}" + (f"\nReport: {out / 'report.html'}" if job.report else ""))


def rehearse(
    recipe: Recipe,
    out: Path,
    epochs: int,
    *,
    skip_bad: bool = False,
    choices: Mapping[str, dict] | None = None,
    window: Intensity | None = None,
    voice: Voice = SILENT,
) -> None:
    """Train the first epochs of a recipe's first phase to obtain their `history.csv`; the run stays unfinished.

    Args:
        recipe: A recipe with phases.
        out: A new directory.
        epochs: How many, if the phase has as many.
        skip_bad: As for `train`.
        choices: As for `train`.
        window: As for `train`.
        voice: As for `train`.

    Raises:
        InputError, RunFailed: As `train`.
    """
    job = Job(recipe, RunDir(out), voice, skip_bad=skip_bad, choices=choices, window=window)
    workers = Workers(job.run)
    with (
        _prepared(job, workers, continues=False) as prepared,
        open_run(job, workers, prepared.images),
    ):
        # Not a phase of fewer epochs, whose learning rate would fall sooner.
        _train(job, workers, dataclasses.replace(prepared, phases=prepared.phases[:1], most=epochs))


@contextlib.contextmanager
def _prepared(job: Job, workers: Workers, continues: bool, read: ImageSet | None = None) -> Iterator[Prepared]:
    """Choose devices, set global seeds, build, read and plan; errors of the block are explained to the user.

    If a run that `continues` is stopped, the message says that the same command goes on with it.
    """
    grow_memory()
    recipe, data = job.recipe, job.recipe.data
    strategy = choose_strategy(recipe.distribute, max(1, len(workers.addresses)), data.batch_size, job.voice.warn)
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()
    continues = continues and workers.is_chief  # the others write to a folder that is deleted when they end
    with strategy.scope(), explained(job.run, data.batch_size, data.image_size, continues):
        prepared = prepare(job, read)
        try:
            check_leaks(job, prepared.images)
            workers.compare("images", describe_rows(prepared.images))
            yield prepared
        finally:
            if prepared.early is not None:
                prepared.early.give_up()


def _write_plan(job, workers, prepared, begun: Begun | None) -> None:
    run, voice = job.run, job.voice
    keep_choices(run, prepared.plan, job.choices or {})
    PLAN_JSON.write(run, prepared.plan)
    with voice.busy("Recording versions and devices"):
        environment = describe_run(job, prepared, workers.addresses)
    warn_of_changes(run, environment, voice, begun.place if begun else "")
    ENVIRONMENT_JSON.write(run, environment)
    write_start(run, prepared.images, prepared.plan, environment)


def _train(job, workers, prepared) -> Outcome:
    """Write down what is about to be trained, and train it."""
    if not isinstance(job.recipe.head, Hybrid):
        begun = read_begun(job, prepared)
        _write_plan(job, workers, prepared, begun)
        return train_phases(job, prepared, begun)
    _write_plan(job, workers, prepared, None)
    from tlmed.run.hybrids import train_classifier  # scikit-learn's classifiers and skops take seconds to import

    return train_classifier(job, prepared)
