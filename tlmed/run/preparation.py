"""Before training: build the network, read the images, plan, and name every fault that can be seen by then at once."""

import contextlib
import dataclasses
import importlib.util
import time
from collections.abc import Iterator

import keras

from tlmed import backbones, metrics
from tlmed.backbones.graphs import find_unknown_code
from tlmed.building import assemble, build_backbone
from tlmed.cache import cache_folder, cache_limit, find_writers, limit_features
from tlmed.data import ImageSet, divide
from tlmed.data.redivision import redivide
from tlmed.environment.description import has_gpu
from tlmed.environment.memory import check_address_space, memory_limit
from tlmed.errors import CheckFailed, InputError
from tlmed.evaluation.pooling import describe_pooling
from tlmed.failures import refuse_size
from tlmed.features import feature_model, random_norms
from tlmed.features.early_features import EarlyFeatures, preparing
from tlmed.features.engines import OpenVino, choose_engine
from tlmed.intensity import from_json, to_json
from tlmed.label_texts import NEGATIVE, POSITIVE
from tlmed.plan import Terms, describe_reused, expand, find_schedule_faults, make_plan, memory_needed
from tlmed.recipe import Recipe
from tlmed.recipe.solver_rules import say_trained
from tlmed.replicas import device_class, replicas, workers
from tlmed.run.clock import EARLY
from tlmed.run.job import Job
from tlmed.run.prefixes import choose_features, list_means
from tlmed.run.prepared import Prepared
from tlmed.run.reading_images import (
    choose_recipe_pooling,
    describe_counts,
    describe_synthetic,
    examine_images,
    find_recipe_pooling_faults,
    list_found,
    read_images,
    take_first_fold,
)
from tlmed.run.records import read_start
from tlmed.run.task_faults import find_prior_faults, find_task_faults
from tlmed.run_files import BUILDING
from tlmed.sections import Hybrid, Phase
from tlmed.words import name_start


def prepare(job: Job, read: ImageSet | None = None) -> Prepared:
    """Build the network, read the images, make the plan.

    Args:
        job: The run.
        read: The recipe's images, if they were read already; they are divided anew.

    Raises:
        InputError: With every fault of backbone, weights, image size, schedule, classifier and data.
    """
    recipe, clock, voice = job.recipe, job.clock, job.voice
    faults, backbone, images, early = [], None, None, None
    with (
        clock.stage(BUILDING),
        _collected(faults),
        voice.busy(f"Building {backbones.name_all(recipe.backbone)}"),
    ):
        backbone = build_backbone(recipe, own=job.own)
        faults += _find_network_faults(recipe, backbone.model)
        for line in describe_synthetic(recipe) if read is None else ():
            voice.say(line)
        voice.say(f"Backbone: {backbones.name_all(recipe.backbone)}, {name_start(backbone.name)}")
        for line in backbones.say_preparations(backbone.sources):
            voice.say(line)
    if not faults:  # else only faults are looked for, and imports would make a user wait for them
        _import(recipe)
    clock.reading = time.perf_counter()
    with contextlib.ExitStack() as stack:
        with clock.stage("read images"), _collected(faults), voice.busy(f"Reading images of {recipe.data.source}"):
            if not faults:
                early = _prepare_early(stack, recipe, backbone)
            if recipe.cache != "off" and (writers := find_writers(cache_folder())):
                voice.warn(writers)
            images = _divide_anew(recipe, read) if read is not None else _read_of(job, early)
            images = examine_images(recipe, images)
            faults += _find_label_faults(recipe, images)
            faults += _find_step_faults(recipe, images)
        if faults:
            raise InputError(faults)
        said = (describe_counts(recipe, images), *describe_pooling_of(recipe, images), images.pixels.room.describe())
        for line in (*said, *images.pixels.rule.describe()):
            voice.say(line)
        prepared = _plan_and_compute(job, backbone, images, early)
    for sentence in describe_reused(prepared.plan):
        voice.say(sentence)
    return prepared


def _plan_and_compute(job, backbone, images, early) -> Prepared:
    """Plan, while the engine runs over the images that were read; wait for it, so that the check of the data does not.

    What is computed belongs to training; nothing of it may be done while the check runs, which does not.
    """
    clock, voice = job.clock, job.voice
    if early is not None:
        early.ready.wait()  # Keras builds one network at a time
    with clock.stage("plan"), voice.busy("Planning"):
        prepared = dataclasses.replace(_plan(job.recipe, backbone, images, early is not None), early=early)
    if early is not None and early.is_busy:
        with clock.stage(EARLY), voice.busy("Computing features"):
            early.finish()
    return prepared


def _prepare_early(stack, recipe, backbone) -> EarlyFeatures | None:
    """Begin to prepare features of what is frozen first, where all blocks are frozen and their weights are known."""
    is_hybrid = isinstance(recipe.head, Hybrid)
    frozen = is_hybrid or expand(recipe.phases, backbone.model)[0].thaw == 0
    anew = not is_hybrid and recipe.augment.changes_images and not recipe.augment.views
    if recipe.cache == "off" or anew or not frozen or random_norms(backbone) or replicas() * workers()[1] > 1:
        return None
    # Which images are used is known once all are read.
    if recipe.data.train_share < 1 or recipe.data.inner is not None:
        return None
    if find_unknown_code(backbone.model):
        return None
    tap = (recipe.head.tap,) if is_hybrid else ()
    network = feature_model(backbone.model, *tap, pooling=recipe.head.pooling)
    return stack.enter_context(preparing(network, list_means(recipe)))


def _read_of(job, early) -> ImageSet:
    """Read the images of a job; a run that goes on, or repeats another, keeps to the window that this began with."""
    start = None if job.fresh or job.window is not None else read_start(job.run)
    window = job.window if start is None else from_json(start.get("window"))
    return read_images(job.recipe, job.skip_bad, window, None if early is None else early.add)


def _divide_anew(recipe, read) -> ImageSet:
    return redivide(divide(read, recipe.data.split, recipe.split_seed), recipe.data, recipe.split_seed)


def _import(recipe) -> None:
    """Import slow libraries before the clock of training starts, because TensorFlow is imported before it, too."""
    if isinstance(recipe.head, Hybrid):
        _hybrids()
    if recipe.cache != "off" and choose_engine(recipe.engine, recipe.engine_precision) == OpenVino.name:
        OpenVino.load()


@dataclasses.dataclass(frozen=True, eq=False)
class Foresight:
    """What is known of a run before it trains.

    Attributes:
        recipe: The recipe; of a cross-validation that of the first fold.
        weights: Where the backbone's weights are.
        images: The images in their splits.
        network: The classifier, with random weights; of a hybrid the network that gives its features.
        plan: The content of `plan.json`.
    """

    recipe: Recipe
    weights: str
    images: ImageSet
    network: keras.Model
    plan: dict


def foresee(recipe: Recipe, skip_bad: bool = False) -> Foresight:
    """Read the images and make the plan of a recipe, without its weights; what `train` refuses is refused.

    Args:
        recipe: The recipe. Of a cross-validation the first fold is taken; making it checks how all are divided.
        skip_bad: Leave out images that cannot be read.

    Raises:
        InputError: With every fault of backbone, weights, image size, schedule, classifier and data.
        RunFailed: If training cannot do with this machine's memory.
    """
    # Network and images are checked one after the other even if the first has faults: a user sees all of them at once.
    faults, network, images = [], None, None
    recipe = take_first_fold(recipe)
    size = recipe.data.image_size
    with _collected(faults):
        network = backbones.build(recipe.backbone, "none", size).model
        faults += _find_network_faults(recipe, network)
        weights = backbones.locate(recipe.backbone, recipe.weights, size)
    with _collected(faults):
        images = examine_images(recipe, read_images(recipe, skip_bad))
        faults += _find_label_faults(recipe, images)
        faults += _find_step_faults(recipe, images)
    if faults:
        raise InputError(faults)
    phases = expand(recipe.schedule, network)
    classifier = _assemble(recipe, network, images.table)
    _check_memory(recipe, classifier, phases, len(images.used))
    facts = {"task": recipe.find_task(images.table.is_multi), "window": to_json(images.pixels.rule.intensity)}
    facts |= _describe_preparations(recipe)
    plan = _make_plan(recipe, classifier, phases, len(images.used), **facts)
    return Foresight(recipe, weights, images, classifier, plan)


def check_leaks(job: Job, images: ImageSet) -> None:
    """Warn of leaks between splits, or refuse them if asked to be strict."""
    if job.strict and images.leaks:
        raise CheckFailed([leak.text for leak in images.leaks])
    for sentence in list_found(images, "listed in the run's environment.json"):
        job.voice.warn(sentence)


@contextlib.contextmanager
def _collected(faults: list[str]) -> Iterator[None]:
    """Add the faults of an InputError to a list, to be reported with others."""
    try:
        yield
    except InputError as error:
        faults += error.faults


def _find_network_faults(recipe, network) -> list[str]:
    faults, head = [], recipe.head
    if recipe.tensorboard and importlib.util.find_spec("tensorboard") is None:
        faults.append(
            "`tensorboard` must be installed: `pip install tensorboard` brings it. Received: tensorboard=True."
        )
    if recipe.cache != "off":
        with _collected(faults):
            choose_engine(recipe.engine, recipe.engine_precision)
        with _collected(faults):
            cache_limit()
    with _collected(faults):
        if isinstance(head, Hybrid):
            feature_model(network, head.tap, head.pooling)
        else:
            faults += find_schedule_faults(network, expand(recipe.schedule, network))
    return faults


def _find_label_faults(recipe, images) -> list[str]:
    faults = [*find_task_faults(recipe, images.table), *find_recipe_pooling_faults(recipe, images.table)]
    faults += find_prior_faults(recipe, images)
    if recipe.monitor == "val_auc" and not _can_rank(images.table, images.indices("val")):
        which = "no label has both values in val" if images.table.is_multi else "val holds one class only"
        faults.append(f"`monitor` must be 'val_loss' where {which}. Received: monitor='val_auc'.")
    if isinstance(recipe.head, Hybrid):
        faults += _hybrids().find_hybrid_faults(recipe, images)
    return faults


def _can_rank(table, rows) -> bool:
    """Tell whether an AUC can be computed for some rows: of one label, or of all classes."""
    if not table.is_multi:
        return len(set(table.labels[rows])) > 1
    return any({NEGATIVE, POSITIVE} <= set(column.tolist()) for column in table.labels[rows].T)


def describe_pooling_of(recipe, images) -> list[str]:
    """Return how the scores of samples are pooled, in a sentence; nothing where they are not."""
    table = images.table
    main = None if table.is_multi else metrics.positive_index(table.classes, recipe.data.positive)
    positive = None if main is None else table.classes[main]
    return describe_pooling(choose_recipe_pooling(recipe, table), recipe.data.pool, table.paths, positive)


def _find_step_faults(recipe, images) -> list[str]:
    count, faults = len(images.indices("train")), []
    steps, together = -(-count // recipe.data.batch_size), recipe.steps_per_execution
    if together is not None and steps % together:
        # The steps that are run together would go on into the next epoch.
        faults.append(
            f"`steps_per_execution` must divide the steps of an epoch ({steps}), or be None. "
            f"Received: steps_per_execution={together}."
        )
    # BatchNorm needs images on every replica: the statistics of an empty batch are NaN.
    last = count - (steps - 1) * recipe.data.batch_size
    phases = recipe.phases if isinstance(recipe.phases, tuple) else (recipe.phases,)
    if last < replicas() and any(phase.batch_norm == "update" for phase in phases):
        faults.append(
            f"`data.batch_size` must leave an image for each of {replicas()} replicas in an epoch's last batch where "
            f"batch_norm='update'. Received: data.batch_size={recipe.data.batch_size}, which leaves {last} of {count}."
        )
    return faults


def _plan(recipe, backbone, images, is_known) -> Prepared:
    phases = _schedule(recipe, backbone.model)
    network, task = _assemble(recipe, backbone.model, images.table), recipe.find_task(images.table.is_multi)
    facts = {"task": task, "weights": backbone.name, "window": to_json(images.pixels.rule.intensity)}
    facts |= _describe_preparations(recipe)
    plan = _make_plan(recipe, network, phases, len(images.used), is_known, **facts)
    needed = memory_needed(network, phases, min(recipe.data.batch_size, len(images.used))) if phases else 0
    check_address_space(needed)
    if needed > memory_limit(has_gpu()):
        raise refuse_size(recipe.data.batch_size, recipe.data.image_size)
    return Prepared(images, backbone, network, phases, plan)


def _describe_preparations(recipe) -> dict:
    found = backbones.describe_preparations(recipe.backbone, recipe.weights)
    return {"preparation": found} if found else {}


def _check_memory(recipe, network, phases, images) -> None:
    if phases and memory_needed(network, phases, min(recipe.data.batch_size, images)) > memory_limit(has_gpu()):
        raise refuse_size(recipe.data.batch_size, recipe.data.image_size)


def _schedule(recipe, backbone) -> tuple[Phase, ...]:
    factor = replicas() if recipe.scale_learning_rate else 1
    phases = expand(recipe.schedule, backbone)
    return tuple(dataclasses.replace(phase, learning_rate=phase.learning_rate * factor) for phase in phases)


def _assemble(recipe, backbone, table) -> keras.Model:
    if isinstance(recipe.head, Hybrid):
        return feature_model(backbone, recipe.head.tap, recipe.head.pooling)
    return assemble(recipe, backbone, len(table.classes), table.is_multi)


def _make_plan(recipe, network, phases, images, is_known=False, **facts) -> dict:
    """Return the plan. `is_known`: the backbone was searched for code of a user's own, and has none."""
    if isinstance(recipe.head, Hybrid):
        facts["classifier"] = _hybrids().describe(recipe.head)
        facts["classifier"]["cache"] = choose_features(recipe, network)
        return make_plan(network, phases, backbone=recipe.backbone, **facts)
    if trained := say_trained(recipe):
        facts["trained"] = trained
    augment = recipe.augment
    terms = Terms(
        recipe.cache,
        recipe.cache_dtype,
        augmented=augment.changes_images and not augment.views,
        images=images,
        room=limit_features() if recipe.cache != "off" else 0,
        views=augment.views,
        foreign=None if is_known else find_unknown_code(network.parts.backbone),
        device=device_class(),
    )
    return make_plan(network, phases, terms, backbone=recipe.backbone, **facts)


def _hybrids():
    from tlmed.run import hybrids  # scikit-learn's classifiers and skops take seconds to import

    return hybrids
