"""What was asked, what was done and what was found, a paragraph each; and the recipe."""

from collections import Counter
from collections.abc import Mapping

from markupsafe import Markup

from tlmed.answer_units import unit_of
from tlmed.evaluation.label_lines import name_mean, name_monitor
from tlmed.evaluation.lines import (
    describe_below_majority,
    describe_better_baselines,
    describe_reversed,
    describe_validation,
)
from tlmed.pages.amounts import duration, enumerate_names, interval_of, join, number
from tlmed.pages.templating import render
from tlmed.recipe import find_parts, flatten
from tlmed.report.data_check import SEE
from tlmed.report.image_counts import say_seeds
from tlmed.report.loaded_files import RunContent
from tlmed.run_files.check_summary import say_errors
from tlmed.sections.augment_words import say_augmentation
from tlmed.sections.phase_words import say_epoch
from tlmed.tasks import MULTI_LABEL, ORDINAL, PRIMARY, read_task
from tlmed.words import count, name_start, say_preparation, say_undecided


def tell_story(content: RunContent) -> Markup:
    """Return what was asked, what was done and what was found, a paragraph each."""
    recipe, metrics = content.recipe, content.metrics
    data = recipe.get("data", {})
    where = f"on {count(metrics['n'], unit_of(metrics))} of the {metrics['split']} split"
    return render(
        "report/story.html",
        task=read_task(metrics),
        classes=enumerate_names(metrics["classes"]),
        source=data.get("source"),
        backbone=join(recipe.get("backbone")),
        start=name_start(recipe.get("weights")),
        size=" x ".join(map(str, data.get("image_size", ["?", "?"]))),
        training=_name_training(content),
        seed=say_seeds(recipe),
        done=_do(content),
        found=f"{where} {say_primary(metrics)}. {name_weakest(metrics)}",
        doubts=[*list_doubts(metrics), *say_errors(content.summary, SEE)],
    )


def _name_training(content) -> str:
    recipe, phases = content.recipe, content.recipe.get("phases", [])
    if classifier := recipe.get("head", {}).get("classifier"):
        return f"and {classifier} as the classifier of the features"
    steps = count(len(content.plan.get("phases", [])), "phase")
    if isinstance(phases, dict):  # degrees of fine-tuning
        in_phases = f"in {steps} that thaw one {phases.get('unit', 'block')} more each"
    else:
        in_phases = f"in {count(len(phases), 'phase')}"
    by = f" by {name_monitor(recipe.get('monitor'), content.metrics)}" if recipe.get("keep") == "best" else ""
    return f"{in_phases}; the {recipe.get('keep', '')} phase{by} is the result"


def say_earlier(environment: Mapping) -> str:
    """Say which runs gave weights and what they learned from; "" of a run that started from no other.

    Args:
        environment: The content of `environment.json`; older versions did not record it there.
    """
    return " ".join(_say_run(run) for run in environment.get("earlier", {}).get("runs", ()))


def _say_run(run) -> str:
    began = f" It began with {name_start(run['began'])}." if run["began"] else ""
    counts = f"{run['train']:,} in train, {run['val']:,} in val"
    learned = f"The run {run['name']}, which gave weights, learned from images of {run['source']}: {counts}."
    return f"{learned}{began}{say_undecided(run['undecided'])}"


def _do(content) -> str:
    recipe, timing, kept = content.recipe, content.timing, content.metrics.get("kept") or {}
    classifier, changed = content.metrics.get("classifier"), say_augmentation(recipe.get("augment", {}))
    epochs = Counter(row["phase"] for row in content.history)
    # An older version that began the run solved nothing.
    solvers = {phase["name"]: phase.get("solver") for phase in content.plan.get("phases", ())}
    ran = "; ".join(
        f"{phase} {'solved' if solvers.get(phase) else count(number, 'epoch')}" for phase, number in epochs.items()
    )
    return (
        f"{name_start(content.plan.get('weights', recipe.get('weights')))}{_tell_preparation(content.environment)}. "
        + (f"{earlier} " if (earlier := say_earlier(content.environment)) else "")
        + (f"Trained: {ran}. " if ran else "")
        + (f"Training images were changed at random, at most: {changed}. " if changed else "")
        + (f"Kept: phase {kept['name']}, {say_epoch(kept)}. " if "name" in kept else "")
        + (f"Fitted: {classifier['name']}{' for each label' * ('labels' in classifier)}. " if classifier else "")
        + (f"Training took {duration(timing['training_seconds'])}." if "training_seconds" in timing else "")
    )


def _tell_preparation(environment) -> str:
    found = environment.get("weights")
    sources = found if isinstance(found, list) else [found]
    named = [source for source in sources if isinstance(source, Mapping) and {"name", "graph"} <= source.keys()]
    said = (say_preparation(str(source["name"]), str(source["graph"])) for source in named)
    return "".join(f"; {words}" for words in dict.fromkeys(said) if words)


def list_doubts(metrics: Mapping) -> list[str]:
    """Return reasons to doubt a result: classes the wrong way round, baselines or guessing that score higher."""
    reversed_ranks = [*describe_reversed(metrics), *describe_validation(metrics)]
    return [*reversed_ranks, *describe_better_baselines(metrics), *describe_below_majority(metrics)]


def say_primary(metrics: Mapping) -> str:
    """Say the metric that decides, such as "the AUC is 0.9", and of grades the error beside it.

    Args:
        metrics: The content of `metrics.json`.
    """
    primary, found = PRIMARY[read_task(metrics)], metrics["metrics"]
    said = f"the {name_mean(primary, metrics)} is {say_value(found[primary])}"
    if read_task(metrics) != ORDINAL:
        return said
    return f"{said}, and predictions are off by {say_value(found['mean_absolute_error'])} grades on average"


def say_value(entry: Mapping) -> str:
    """Return a metric's value with its interval."""
    beside = f" (95 % interval {interval_of(entry)})" if entry["low"] is not None else ""
    return number(entry["value"]) + beside


def name_weakest(metrics: Mapping) -> str:
    """Return which class is found worst, and how well; nothing where the classes are found equally well.

    Args:
        metrics: `metrics.json`, with `per_class`.
    """
    classes = {label: entry["sensitivity"] for label, entry in metrics["per_class"].items()}
    known = {label: entry for label, entry in classes.items() if entry["value"] is not None}
    values = [entry["value"] for entry in known.values()]
    if not values or min(values) == max(values):
        return ""
    worst = [label for label in known if known[label]["value"] == min(values)]
    # Of few images each, equal values have intervals of different widths: none of them is that of all.
    same = len({(known[label]["low"], known[label]["high"]) for label in worst}) == 1
    value = say_value(known[worst[0]]) if same else number(min(values))
    noun = "label" if read_task(metrics) == MULTI_LABEL else "class"
    first = metrics["per_class"][worst[0]]
    images = f", on {count(first.get('positives', first['n']), unit_of(metrics))}" if len(worst) == 1 else ""
    some = f"{noun}{'s' if noun == 'label' else 'es'}"
    which = f"{noun} is {worst[0]}" if len(worst) == 1 else f"{some} are {enumerate_names(worst)}"
    return f"The weakest {which}: sensitivity {value}{images}."


def show_recipe(source: str, recipe: Mapping, environment: Mapping) -> Markup:
    """Return a recipe's code, below the fields that were set to something else; nothing where there is none.

    Args:
        source: `recipe.py`.
        recipe: `recipe.json`: what decided the run.
        environment: `environment.json`: which fields were set.
    """
    if not source:
        return Markup()
    values, names = flatten(recipe), environment.get("recipe", {}).get("set", [])
    return render(
        "report/recipe.html",
        source=source,
        changed=[(name, values.get(name, find_parts(values, name))) for name in names],
    )
