"""What was asked, what was done and what was found, in three sentences; and the recipe."""

from collections import Counter
from collections.abc import Mapping

from tlmed.evaluation.lines import describe_better_baselines, describe_reversed
from tlmed.evaluation.page import bullets, text
from tlmed.pages.amounts import duration, interval_of, join, number
from tlmed.recipe import flatten
from tlmed.report.content import Content
from tlmed.report.words import enumerate_names, name_metric
from tlmed.words import count, name_start, say_preparation


def tell_story(content: Content) -> str:
    """Return the run in three paragraphs of HTML."""
    return f"<p>{_ask(content)}</p><p>{_do(content)}</p><p>{_find(content.metrics)}</p>"


def _ask(content) -> str:
    recipe = content.recipe
    data = recipe.get("data", {})
    size = text(" x ".join(map(str, data.get("image_size", ["?", "?"]))))
    return (
        f"<b>Asked:</b> tell {enumerate_names(content.metrics['classes'])} apart in images from "
        f"<code>{text(data.get('source'))}</code>, with {text(join(recipe.get('backbone')))} starting from "
        f"{text(name_start(recipe.get('weights')))}, on {size} pixels, {_name_training(content)}. "
        f"Seed {text(recipe.get('seed'))}."
    )


def _name_training(content) -> str:
    recipe, phases = content.recipe, content.recipe.get("phases", [])
    if classifier := recipe.get("head", {}).get("classifier"):
        return f"and {text(classifier)} as the classifier of the features"
    steps = count(len(content.plan.get("phases", [])), "phase")
    if isinstance(phases, dict):  # degrees of fine-tuning
        in_phases = f"in {steps} that thaw one {text(phases.get('unit', 'block'))} more each"
    else:
        in_phases = f"in {count(len(phases), 'phase')}"
    by = f" by {name_metric(recipe.get('monitor'))}" if recipe.get("keep") == "best" else ""
    return f"{in_phases}; the {text(recipe.get('keep'))} phase{by} is the result"


def _do(content) -> str:
    recipe, timing, kept = content.recipe, content.timing, content.metrics.get("kept") or {}
    classifier = content.metrics.get("classifier")
    epochs = Counter(row["phase"] for row in content.history)
    ran = "; ".join(f"{text(phase)} {count(number, 'epoch')}" for phase, number in epochs.items())
    return (
        f"<b>Done:</b> {text(name_start(content.plan.get('weights', recipe.get('weights'))))}"
        f"{text(_tell_preparation(content.environment))}. "
        + (f"Trained: {ran}. " if ran else "")
        + (f"Kept: phase {text(kept['name'])}, epoch {text(kept.get('best_epoch'))}. " if "name" in kept else "")
        + (f"Fitted: {text(classifier['name'])}. " if classifier else "")
        + (f"Training took {duration(timing['training_seconds'])}." if "training_seconds" in timing else "")
    )


def _tell_preparation(environment) -> str:
    found = environment.get("weights")
    sources = found if isinstance(found, list) else [found]
    named = [source for source in sources if isinstance(source, Mapping) and {"name", "graph"} <= source.keys()]
    said = (say_preparation(str(source["name"]), str(source["graph"])) for source in named)
    return "".join(f"; {words}" for words in dict.fromkeys(said) if words)


def _find(metrics) -> str:
    where = f"on {count(metrics['n'], 'image')} of the {text(metrics['split'])} split"
    auc = say_value(metrics["metrics"]["auc"])
    return f"<b>Found:</b> {where} the AUC is {auc}. {name_weakest(metrics)}{say_doubts(metrics)}"


def say_doubts(metrics: Mapping) -> str:
    """Return what speaks against a result: classes the wrong way round, baselines that score higher; as HTML."""
    doubts = (*describe_reversed(metrics), *describe_better_baselines(metrics))
    return "".join(f" <b>{text(doubt)}</b>" for doubt in doubts)


def say_value(entry: Mapping) -> str:
    """Return a metric's value with its interval."""
    beside = f" (95 % interval {interval_of(entry)})" if entry["low"] is not None else ""
    return number(entry["value"]) + beside


def name_weakest(metrics: Mapping) -> str:
    """Return which class is found worst, and how well, as HTML; nothing where the classes are found equally well.

    Args:
        metrics: `metrics.json`, with `per_class`.
    """
    classes = {label: entry["sensitivity"] for label, entry in metrics["per_class"].items()}
    known = {label: entry for label, entry in classes.items() if entry["value"] is not None}
    values = [entry["value"] for entry in known.values()]
    if not values or min(values) == max(values):
        return ""
    worst = [label for label in known if known[label]["value"] == min(values)]
    images = f", on {count(metrics['per_class'][worst[0]]['n'], 'image')}" if len(worst) == 1 else ""
    which = f"class is {text(worst[0])}" if len(worst) == 1 else f"classes are {enumerate_names(worst)}"
    return f"The weakest {which}: sensitivity {say_value(known[worst[0]])}{images}."


def show_recipe(source: str, recipe: Mapping, environment: Mapping) -> str:
    """Return a recipe's code as HTML, below the fields that were set to something else; nothing where there is none.

    Args:
        source: `recipe.py`.
        recipe: `recipe.json`: what decided the run.
        environment: `environment.json`: which fields were set.
    """
    if not source:
        return ""
    values, names = flatten(recipe), environment.get("recipe", {}).get("set", [])
    changed = bullets(f"<code>{text(name)}</code>: {text(values.get(name))}" for name in names)
    before = f"<p>As the file says, but for what was set to something else:</p>{changed}" if changed else ""
    return f"{before}<pre>{text(source)}</pre>"
