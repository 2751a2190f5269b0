"""Answers to the items of a reporting checklist, from what the run recorded and nothing else."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from tlmed.answer_units import say_undecided, unit_of
from tlmed.environment_changes import find_software
from tlmed.evaluation.label_lines import name_mean, name_monitor, name_whole
from tlmed.evaluation.missing_images import describe_read_units
from tlmed.fitting_in import STRETCH, describe_fit
from tlmed.identifiers import read_identifiers
from tlmed.intensity import from_json
from tlmed.metrics import say_positive
from tlmed.metrics.names import list_once, name_metric
from tlmed.pages.amounts import enumerate_names, interval_of, join, number
from tlmed.pages.glossary import anchor
from tlmed.pseudonyms import are_patients, name_units
from tlmed.report.copies_across import NOT_SOUGHT, say_found_copies, say_identical
from tlmed.report.image_counts import (
    SHOWN,
    count_known,
    count_shared_groups,
    count_splits,
    describe_splits,
    find_made,
    find_split_seed,
    is_synthetic,
    list_left_out,
    say_attributes,
    say_copies,
    say_formats,
    say_hidden,
    say_test_apart,
)
from tlmed.report.loaded_files import RunContent
from tlmed.report.summary import say_earlier
from tlmed.sections.training import EMA, TOP3
from tlmed.split_names import SPLITS
from tlmed.tabulation import CODE, Cell, say
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import RANDOM, begin_sentence, count, listed, name_start

_WHY = "Why they are wrong"


@dataclass(frozen=True)
class Answer:
    """A run's answer to an item.

    Attributes:
        said: What the run recorded; "" where it recorded nothing.
        left: What the author has to add; "" where nothing is missing.
    """

    said: str | Cell
    left: str = ""


def answer(content: RunContent, titles: Collection[str]) -> dict[int, Answer]:
    """Return a run's answers by the number of the item in CLAIM 2024; items without an answer are left out.

    Args:
        content: The run.
        titles: The sections of the page, which answers link to.
    """
    answers = {number: fill(content, titles) for number, fill in _FILLED.items()}
    return {number: found for number, found in answers.items() if found.said}


def _see(titles, *wanted) -> tuple[str | Cell, ...]:
    """Return links to those of some sections that the page has."""
    found = [say(title, link=f"#{anchor(title)}") for title in wanted if title in titles]
    # "and" stands before each link; the first one is cut off.
    parts = [part for each in found for part in (" and ", each)][1:]
    return (" See ", *parts, ".") if parts else ()


def _tell_source(content, titles) -> Answer:
    source = content.recipe.get("data", {}).get("source") or content.environment.get("data", {}).get("source")
    if source is None:
        return Answer("")
    drawn = ", synthetic images drawn by a program" if is_synthetic(content) else ""
    said = say(say(source, mark=CODE), f"{drawn}.", *_see(titles, "Data"))
    return Answer(said, "Where, when and by whom they were collected")


def _tell_excluded(content, titles) -> Answer:
    found = list_left_out(content.environment)
    lacking = describe_read_units(content.metrics.get("units", {}), unit_of(content.metrics))
    said = " ".join([f"Left out of the source: {'; '.join(found)}.", *lacking]) if found else ""
    return Answer(said, "Who was included and excluded before, by which criteria")


def _tell_preprocessing(content, titles) -> Answer:
    data = content.recipe.get("data", {})
    size = data.get("image_size")
    if not size:
        return Answer("")
    formats = say_formats(content.environment)
    read = f"{formats} " if formats else ""
    return Answer(
        f"{read}Resized to {' x '.join(map(str, size))} pixels (antialiased bilinear, 8 bit); the scaling that "
        f"{join(content.recipe.get('backbone'))} expects is part of the model. "
        f"Window: {from_json(content.plan.get('window')).describe()}. "
        f"Shape: {describe_fit(data.get('fit', STRETCH), size, data.get('spacing'))}.",
        "What was done to the images before",
    )


def _tell_missing(content, titles) -> Answer:
    left_out = content.environment.get("data", {}).get("left_out")
    if left_out is None:
        return Answer("")
    return Answer(f"{count(len(left_out), 'image')} left out as unreadable.", "Cases and labels that were missing")


def _tell_acquisition(content, titles) -> Answer:
    return Answer(say_attributes(content.recipe), "Devices, settings and protocols")


def _name_strata(metrics) -> str:
    return "label" if read_task(metrics) == MULTI_LABEL else "class"


def _tell_partition(content, titles) -> Answer:
    said = describe_splits(content.environment, content.recipe).capitalize()
    if not said:
        return Answer("")
    made, sizes = find_made(content.environment, content.recipe), count_splits(content.splits)
    how = (
        ""
        if made == ()
        else f": at random, stratified by {_name_strata(content.metrics)}, groups and identical files kept whole, "
        f"seed {find_split_seed(content.recipe)}"
    )
    left = "" if made == SPLITS else "How the given ones were assigned"
    return Answer(say(f"{said}{how}{';' if how else ':'} {sizes}.", *_see(titles, "Data")), left)


def _tell_level(content, titles) -> Answer:
    if any(row.get("group") for row in content.splits):
        shared = count_shared_groups(content.splits)
        said = (
            f"{count(shared, 'group')} in several partitions"
            if shared
            else f"Groups: none has images in two partitions, {SHOWN}"
        )
        groups = {row["group"] for row in content.splits if row["group"]}
        pseudonyms = read_identifiers(content.environment.get("data", {})).pseudonyms
        if not are_patients(groups, pseudonyms):
            said += f"; groups are {name_units(groups)}, and no patient is named"
        said = "; ".join(filter(None, (said, say_found_copies(content.kept, content.summary))))
        where = _see(titles, "Data", "Check of the data")
        return Answer(say(f"{said}.", *where), "What a group is, a patient or an examination")
    unit = read_identifiers(content.environment.get("data", {})).unit
    used = content.recipe.get("data", {}).get("groups", True)
    why = (
        "tlmed found no column that names groups (patients)"
        if used
        else "groups (patients) are switched off in the recipe"
    )
    said = "; ".join(
        (say_identical(content.splits, unit), say_found_copies(content.kept, content.summary) or NOT_SOUGHT, why)
    )
    return Answer(
        say(f"{said}.", *_see(titles, "Check of the data")), "Whether images of one patient are in several partitions"
    )


def _tell_size(content, titles) -> Answer:
    metrics = content.metrics
    groups = f" of {count(metrics['groups'], 'group')}" if metrics.get("groups") is not None else ""
    return Answer(f"Tested on {count(metrics['n'], unit_of(metrics))}{groups}.", "How many were intended, and why")


def _tell_model(content, titles) -> Answer:
    backbone = content.recipe.get("backbone")
    if backbone is None:
        return Answer("")
    head = content.recipe.get("head", {}).get("classifier")
    top = f" and {head} on its features" if head else " and a head of its own"
    said = (
        f"{join(backbone)}{top}; raw RGB images in, a probability for each of "
        f"{enumerate_names(content.metrics['classes'])} out."
    )
    return Answer(say(said, *_see(titles, "Phases", "Classifier", "Recipe")))


def _tell_software(content, titles) -> Answer:
    versions = content.environment.get("versions", {})
    named = ", ".join(
        f"{name} {versions[name]}" for name in ("tlmed", "tensorflow", "keras", "scikit-learn") if name in versions
    )
    if not named:
        return Answer("")
    changed = find_software(content.environment.get("changed", []))
    began = f" The run was stopped and went on with them; it began with others: {listed(changed)}." if changed else ""
    return Answer(say(f"{named}.{began}", *_see(titles, "Environment")))


def _tell_start(content, titles) -> Answer:
    weights = join(content.plan.get("weights", content.recipe.get("weights")))
    if not weights:
        return Answer("")
    start = name_start(weights)
    rest, backbone = _say_head_start(content), "backbone at random" if start == RANDOM else f"backbone from {start}"
    said = "all at random" if start == RANDOM and rest == _AT_RANDOM else f"{backbone}, {rest}"
    seed = content.recipe.get("seed", "")
    earlier, certain = say_earlier(content.environment), content.environment.get("earlier", {}).get("certain")
    left = "On which images the weights were trained" if _is_start_unnamed(content) and not certain else ""
    where = _see(titles, "Environment")
    return Answer(say(f"Weights: {said}; seed {seed}.{earlier and ' '}{earlier}", *where), left)


_AT_RANDOM = "the rest at random"


def _say_head_start(content) -> str:
    """Say from what the head began: what is solved or fitted in one go depends on no first values."""
    if "classifier" in content.metrics:
        return "a classifier without first values of tlmed"
    solved = any(phase.get("solver") for phase in content.plan.get("phases", [])[:1])
    return "a head that is solved, which depends on no first values" if solved else _AT_RANDOM


def _is_start_unnamed(content) -> bool:
    """Tell whether the name of some weights does not say what they were trained on, as `imagenet/keras` does."""
    found = content.environment.get("weights")
    names = [source.get("name", "") for source in (found if isinstance(found, list) else [found or {}])]
    return any(name == "own" or name.startswith(("file:", "run:", "hub:", "hf:")) for name in names)


def _tell_training(content, titles) -> Answer:
    where = _see(titles, "Phases", "Classifier", "Recipe")
    return Answer(say("Every setting is in the recipe; code and machine are recorded.", *where) if where else "")


def _tell_selection(content, titles) -> Answer:
    monitor = name_monitor(content.recipe.get("monitor", "val_auc"), content.metrics)
    if found := content.metrics.get("classifier"):
        folds = count(found["folds"], "fold")
        return Answer(say(f"Parameters by {folds} inside the training split.", *_see(titles, "Classifier")))
    if "keep" not in content.recipe:
        return Answer("")
    chosen = "; ".join([*_say_strengths(content), *_say_epochs(content, monitor)])
    return Answer(f"{begin_sentence(chosen)}; {say_test_apart(content.metrics, content.copies)}.")


def _say_strengths(content) -> list[str]:
    """Say by what the penalty of each solved head was chosen, or that it was given."""
    said = []
    for phase in content.plan.get("phases", []):
        if not phase.get("solver"):
            continue
        if phase["l2"] != "auto":
            said.append(f"the strength of L2 in phase {phase['name']} was given")
            continue
        rows = [row for row in content.strengths if row["phase"] == phase["name"]]
        weighed = " with classes weighted" * any(row["val_weighted_loss"] != row["val_loss"] for row in rows)
        folds = any(row["judged_on"] == "folds" for row in rows)
        where = "folds of the training images" if folds else "validation images"
        said.append(f"the strength of L2 in phase {phase['name']} by the log loss{weighed} of {where}")
    return said


def _say_epochs(content, monitor) -> list[str]:
    """Say by what an epoch of each trained phase was chosen, and the phase."""
    phases = content.plan.get("phases", [])
    trained = [phase for phase in phases if not phase.get("solver")]
    averaged = ", or an average of weights where that is no worse" * any(
        it.get("average") in (EMA, TOP3) for it in trained
    )
    last = f"the best phase by {monitor}" if content.recipe["keep"] == "best" else "the last phase"
    if not phases or len(trained) == len(phases):
        return [f"the best epoch of each phase by {monitor}{averaged}, then {last}"]
    return [f"the best epoch of each phase that was trained by {monitor}{averaged}, then {last}"] if trained else []


def _tell_ensembling(content, titles) -> Answer:
    found = content.metrics.get("classifier")
    kind = _name_classifier(found) if found else "one network"
    return Answer(f"The result is {kind}; predictions of several models are not combined.")


def _name_classifier(found) -> str:
    return f"one classifier{' for each label' if 'labels' in found else ''} ({found['name']})"


def _tell_metrics(content, titles) -> Answer:
    names = ", ".join(map(name_metric, list_once(content.metrics)))
    return Answer(say(f"{names}.", *_see(titles, "Scores")), "Why these")


def _tell_uncertainty(content, titles) -> Answer:
    methods = dict.fromkeys(entry["method"] for entry in list_once(content.metrics).values() if entry["method"])
    return Answer(f"95 % intervals: {'; '.join(methods)}." if methods else "")


def _tell_explanations(content, titles) -> Answer:
    methods = dict.fromkeys(each["method"] for each in content.examples.get("examples", []) if each["method"])
    said = say(f"{' and '.join(methods)}.", *_see(titles, "Examples")) if methods else ""
    return Answer(said, "How it was validated in the study")


def _tell_internal(content, titles) -> Answer:
    metrics = content.metrics
    where = f"{count(metrics['n'], unit_of(metrics))} of the {metrics['split']} split"
    known = "; ".join(filter(None, (count_known(metrics), say_copies(content.copies))))
    apart = f"; {known}" if known else f" and held out of training{say_hidden(metrics)}"
    said = say(f"On {where}, of the same source{apart}.", *_see(titles, "Scores"))
    return Answer(said, "Whether that source is internal")


def _tell_numbers(content, titles) -> Answer:
    said = count_splits(content.splits)
    if "left_out" in content.environment.get("data", {}):
        said += f"; left out: {'; '.join(list_left_out(content.environment)) or 'no image'}"
    return Answer(say(f"{said}.", *_see(titles, "Data")), "Exclusions before, and a flow chart")


def _tell_characteristics(content, titles) -> Answer:
    columns = content.metrics.get("subgroups", {})
    said = say(f"Results by {enumerate_names(columns)}.", *_see(titles, "Subgroups")) if columns else ""
    return Answer(said, "Characteristics in each partition")


def _tell_performance(content, titles) -> Answer:
    said = f"{_say_values(content.metrics, ['auc'])}, and others."
    return Answer(say(said, *_see(titles, "Scores", "Calibration")))


def _say_values(metrics, names) -> str:
    """Return scores with intervals as the beginning of a sentence; then those without the known test images."""
    leaks = metrics.get("without_leaks")
    words = {name: name_mean(name, metrics) for name in names}
    said = begin_sentence(_list_values(metrics["metrics"], words))
    if not leaks or not said:
        return said
    left = {name: name_whole(name, metrics) for name in names}
    rest = _list_values(leaks["metrics"], left) if leaks["n"] else "none is left"
    known = count(leaks["leaked"], f"known {unit_of(metrics)}")
    return f"{said}; without the {known}{say_undecided(metrics)} {rest}"


def _list_values(entries, names) -> str:
    found = [(said, entries[name], interval_of(entries[name])) for name, said in names.items() if name in entries]
    return ", ".join(f"{said} {number(it['value'])}" + (f" ({beside})" if beside else "") for said, it, beside in found)


def _tell_diagnosis(content, titles) -> Answer:
    said = _say_values(content.metrics, ["sensitivity", "specificity"])
    metrics = content.metrics
    asked = metrics.get("positive_asked", False)
    main = say_positive(metrics["classes"], metrics.get("positive"), asked, " The positive class is {}.")
    return Answer(say(f"{said}.{main}", *_see(titles, "Scores", "Operating point")) if said else "")


def _tell_failures(content, titles) -> Answer:
    if read_task(content.metrics) == MULTI_LABEL:
        loss = content.metrics["metrics"]["hamming_loss"]
        return Answer(say(f"{number(loss['value'])} of the labels predicted wrong.", *_see(titles, "Scores")), _WHY)
    wrong = int((content.scored.predictions != content.scored.labels).sum())
    where = _see(titles, "Curves and confusion", "Examples")
    said = f"{count(wrong, unit_of(content.metrics))} of {content.metrics['n']:,} predicted wrong."
    return Answer(say(said, *where), _WHY)


def _tell_details(content, titles) -> Answer:
    where = _see(titles, "Recipe")
    said = say("Recipe, plan, environment and hashes are in the run directory.", *where)
    return Answer(said, "The protocol of the study")


_FILLED: Mapping[int, Callable[[RunContent, Collection[str]], Answer]] = {
    7: _tell_source,
    8: _tell_excluded,
    9: _tell_preprocessing,
    12: _tell_missing,
    13: _tell_acquisition,
    19: _tell_partition,
    20: _tell_level,
    21: _tell_size,
    22: _tell_model,
    23: _tell_software,
    24: _tell_start,
    25: _tell_training,
    26: _tell_selection,
    27: _tell_ensembling,
    28: _tell_metrics,
    29: _tell_uncertainty,
    31: _tell_explanations,
    32: _tell_internal,
    35: _tell_numbers,
    36: _tell_characteristics,
    37: _tell_performance,
    38: _tell_diagnosis,
    39: _tell_failures,
    42: _tell_details,
}
