"""The training section of a model card: the settings that always matter, and others that differ from the default."""

import dataclasses
from collections.abc import Iterator, Mapping

from tlmed.export.card_facts import CardFacts
from tlmed.recipe import Hybrid, Images, KFold, Phase, Recipe, from_json
from tlmed.sections.phase_words import name_optimizers
from tlmed.tabulation import Table, texts
from tlmed.tabulation.markdown import code, plain
from tlmed.tasks import SINGLE_LABEL, read_task

_ALWAYS = {
    Recipe: (
        *("class_weight", "sampling", "monitor", "keep", "precision", "cache", "cache_dtype", "engine"),
        *("engine_precision", "deterministic"),
    ),
    Images: ("batch_size",),
    Phase: ("optimizer", "patience"),
    Hybrid: ("scale", "pca", "tap", "pooling", "folds", "grid"),
}
# What the card says elsewhere, or what decides no number of it; a path may name a person.
_ELSEWHERE = {
    Recipe: (
        *("data", "backbone", "phases", "weights", "head", "augment", "seed", "name", "threshold", "prevalence"),
        "stated",
        *("baselines", "examples", "tensorboard", "task"),
    ),
    Images: ("source", "image_size", "split", "inner", "positive"),
    Phase: ("name", "thaw", "epochs", "learning_rate", "batch_norm"),
    Hybrid: ("classifier",),
}
_OF_PHASES = ("keep", "precision", "sampling")  # settings of phases, which a hybrid does not have


def show_training(content: CardFacts) -> str:
    """Return a table of settings, named as in a recipe, in Markdown."""
    recipe = from_json(content.recipe)
    rows = [*_list_data(recipe), *_list_settings(content, recipe), *_list_phases(content)]
    if isinstance(recipe.head, Hybrid):
        tried = {"grid": content.plan["classifier"]["grid"]}  # tlmed's own where the recipe has none
        rows += [(f"head.{name}", tried.get(name, value)) for name, value in _choose(recipe.head)]
    said = "Training: settings of the recipe. Those that are not shown have tlmed's default."
    table = Table(texts("Setting", "Value"), [(name, _say(value)) for name, value in rows])
    return f"{said}\n\n{table.markdown()}"


def tell_classifier(content: CardFacts) -> str:
    """Return what a hybrid's classifier is, or those of several labels are, as sentences in Markdown."""
    chosen = content.metrics["classifier"]
    labels = chosen.get("labels", {})
    settings = "".join(_say_parameters(one, f" for {plain(label)}") for label, one in labels.items())
    each = ", one for each label" if labels else _say_parameters(chosen)
    return (
        f"Classifier: {plain(chosen['name'])} of scikit-learn on {chosen['features']:,} features of the frozen backbone"
        f"{each}{settings}"
        f", chosen in {chosen['folds']} folds of the training images. {_describe_steps(content)}"
    )


def _say_parameters(chosen, where="") -> str:
    parameters = ", ".join(f"{name}={value}" for name, value in chosen.get("parameters", {}).items())
    return f", with {code(parameters)}{where}" if parameters else ""


def _describe_steps(content) -> str:
    """Return the scikit-learn steps from a hybrid's features to its probabilities, as one sentence in Markdown."""
    from tlmed.heads.classifiers import find_classifier  # here, because only a hybrid needs scikit-learn
    from tlmed.heads.pipelines import make_pipeline, prefix

    recipe, chosen = from_json(content.recipe), content.metrics["classifier"]
    head, kind = recipe.head, find_classifier(chosen["name"])
    pipeline = make_pipeline(kind, head.scale, head.pca, recipe.class_weight, recipe.seed)
    own = prefix(pipeline)
    pipeline.set_params(**{f"{own}{name}": value for name, value in chosen.get("parameters", {}).items()})
    steps = ", then ".join(code(step) for _, step in pipeline.steps)
    number = "one for each label" if "labels" in chosen else "one for each class of more than two"
    return (
        f"From features to probabilities: {steps}, then a sigmoid ({number}), fitted in the "
        f"same {chosen['folds']} folds to what the classifier gives for images it was not fitted to "
        "(`CalibratedClassifierCV(ensemble=False)`)."
    )


def _list_data(recipe) -> Iterator[tuple[str, object]]:
    for name, value in _choose(recipe.data):
        yield f"data.{name}", value
    for name in ("split", "inner"):
        if isinstance(fold := getattr(recipe.data, name), KFold):
            yield f"data.{name}", f"fold {fold.fold} of {fold.folds}, of which {fold.val:g} of the rest is val"
    changed = {field.name: value for field, value, default in _walk(recipe.augment) if value != default}
    yield "augment", ", ".join(f"{name}={_say(value)}" for name, value in changed.items()) or "none"


def _list_settings(content, recipe) -> Iterator[tuple[str, object]]:
    phases = content.plan["phases"]
    if (task := read_task(content.plan)) != SINGLE_LABEL:
        yield "task", task
    for name, value in _choose(recipe):
        if phases or name not in _OF_PHASES:
            yield name, value + _say_use(name, content) if name in ("cache", "monitor") else value
    if phases:
        yield "head.loss", _say_loss(recipe.head)


def _say_loss(head) -> str:
    if head.ordinal is not None:
        return f"{head.loss}, {head.ordinal}"
    return f"{head.loss}, gamma {head.gamma:g}" if head.loss == "focal" else head.loss


def _say_use(name, content) -> str:
    """Say what a setting came to: in which phases outputs were kept, by which score a classifier was chosen."""
    if name == "cache":
        return _say_kept(content.plan["phases"])
    chosen = content.metrics.get("classifier")
    return f" (here {chosen['scoring']} in {chosen['folds']} folds of the training images)" if chosen else ""


def _say_kept(phases) -> str:
    """Say in which phases the outputs of frozen blocks were kept."""
    kept = [phase["name"] for phase in phases if phase.get("cache", {}).get("on")]
    return f" (kept in {', '.join(kept)})" if kept else " (nothing was kept)" if phases else ""


def _list_phases(content) -> Iterator[tuple[str, object]]:
    """Yield the settings of phases that the table of phases leaves out: one value, or one for each phase."""
    phases = content.plan["phases"]
    solved, trained = ([phase for phase in phases if bool(phase.get("solver")) == way] for way in (True, False))
    used_by = {"solver": phases, "l2": ()}  # a phase that is solved uses no field of training
    for field in dataclasses.fields(Phase):
        if field.name in _ELSEWHERE[Phase]:
            continue
        known = [phase for phase in used_by.get(field.name, trained) if field.name in phase]
        values = [phase[field.name] for phase in known]
        shown = field.name in _ALWAYS[Phase] or any(value != field.default for value in values)
        if not values or not shown:
            continue
        if len(set(values)) == 1 and len(known) == len(phases):
            yield f"phases.{field.name}", values[0]
        else:
            said = (f"{phase['name']}: {_say(phase[field.name])}" for phase in known)
            yield f"phases.{field.name}", ", ".join(said)
    chosen = {row["phase"]: float(row["l2"]) for row in content.strengths if row["chosen"] == "yes"}
    for phase in solved:
        name, given = phase["name"], phase["l2"]
        yield f"phases.l2 of {name}", f"{given}, which chose {chosen[name]:g}" if name in chosen else given
    for name, found in name_optimizers(phases).items():
        yield f"settings of {name}", found


def _choose(section) -> Iterator[tuple[str, object]]:
    """Yield the fields of a section that the card shows."""
    always, elsewhere = _ALWAYS[type(section)], _ELSEWHERE[type(section)]
    for field, value, default in _walk(section):
        if field.name not in elsewhere and (field.name in always or value != default):
            yield field.name, value


def _walk(section) -> Iterator[tuple[dataclasses.Field, object, object]]:
    """Yield each field of a section with its value and its default."""
    for field in dataclasses.fields(section):
        made = field.default_factory is not dataclasses.MISSING
        yield field, getattr(section, field.name), field.default_factory() if made else field.default


def _say(value) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_say(values)}" for name, values in value.items()) or "none"
    if isinstance(value, tuple | list):
        return ", ".join(map(_say, value))
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
