"""The approach and the cost of a run: the review's name, the backbone, images, seconds, parameters, memory."""

from collections.abc import Mapping, Sequence
from sys import float_info

# As the review calls them (Kim et al., BMC Medical Imaging 2022, 22:69), and what it compares them with.
FEATURE_EXTRACTOR = "feature extractor"
HYBRID = "feature extractor hybrid"
FINE_TUNING = "fine-tuning"
FROM_SCRATCH = "fine-tuning from scratch"
RANDOM = "random initialisation"
MIXED = "differs by fold"
ENSEMBLE = "ensemble"
UNKNOWN = "unknown"
UNSTATED = "not stated"  # of a modality
APPROACHES = (FEATURE_EXTRACTOR, HYBRID, FINE_TUNING, FROM_SCRATCH, RANDOM, MIXED, UNKNOWN, ENSEMBLE)

COSTS = ("train_images", "training_seconds", "trainable_parameters", "peak_memory_mb", "images_per_second")


def find_approach(recipe: Mapping, plan: Mapping, metrics: Mapping) -> str:
    """Return which of the review's approaches made the network that was kept.

    Weights that an earlier phase trained, and the kept one went on from, are trained weights.

    Args:
        recipe: `recipe.json`.
        plan: `plan.json`.
        metrics: `metrics.json`; `classifier` tells a hybrid, `kept` the phase.

    >>> plan = {"phases": [{"name": "head", "fine_tuning_ratio": 0.0}, {"name": "top", "fine_tuning_ratio": 0.4}]}
    >>> find_approach({"weights": "imagenet"}, plan, {"kept": {"name": "head"}})
    'feature extractor'
    >>> find_approach({"weights": "imagenet"}, plan, {"kept": {"name": "top"}})
    'fine-tuning'
    """
    if "classifier" in metrics:
        return HYBRID
    shares = [phase.get("fine_tuning_ratio") for phase in _find_chain(plan, metrics)]
    if not shares or None in shares:
        return UNKNOWN
    weights = recipe.get("weights", "imagenet")
    if max(shares) == 0:
        return FEATURE_EXTRACTOR
    if all(name == "none" for name in (weights if isinstance(weights, list) else [weights])):
        return RANDOM
    return FROM_SCRATCH if max(shares) >= 1 else FINE_TUNING


def _find_chain(plan, metrics) -> Sequence[Mapping]:
    """Return the kept phase and the earlier phases that its weights went through."""
    phases = plan.get("phases", [])
    names = [phase.get("name") for phase in phases]
    kept = (metrics.get("kept") or {}).get("name")
    last = names.index(kept) if kept in names else len(phases) - 1
    first = last
    while first > 0 and phases[first].get("start", "previous") == "previous":
        first -= 1
    return phases[first : last + 1]


def find_costs(plan: Mapping, metrics: Mapping, timing: Mapping, train_images: int) -> dict[str, float | None]:
    """Return what the network that was kept cost, by the names in `COSTS`; None where the run does not say.

    Trainable parameters are those of the kept phase. A hybrid trains none: its classifier is no network.
    """
    chain = _find_chain(plan, metrics)
    trainable = 0 if "classifier" in metrics else to_number(chain[-1].get("trainable_parameters")) if chain else None
    names = ("training_seconds", "peak_memory_mb", "images_per_second")
    found = {"train_images": train_images, "trainable_parameters": trainable}
    found |= {name: to_number(timing.get(name)) for name in names}
    return {name: found[name] for name in COSTS}


def join_costs(folds: Sequence[Mapping[str, float | None]], timing: Mapping) -> dict[str, float | None]:
    """Return the cost of a cross-validation: all folds' seconds, the largest network and memory, mean images and speed.

    Args:
        folds: What `find_costs` returns, of each fold.
        timing: `timing.json` of the whole.
    """
    columns = {name: [fold[name] for fold in folds] for name in COSTS}
    known = {name: values for name, values in columns.items() if None not in values}
    found = {name: max(known[name]) for name in ("trainable_parameters", "peak_memory_mb") if name in known}
    found |= {name: sum(known[name]) / len(folds) for name in ("train_images", "images_per_second") if name in known}
    found["training_seconds"] = to_number(timing.get("training_seconds"))
    return {name: found.get(name) for name in COSTS}


def add_costs(members: Sequence[Mapping[str, float | None]], timing: Mapping) -> dict[str, float | None]:
    """Return the cost of an ensemble: as of folds, but with the parameters of all members, as all of them answer.

    Args:
        members: What `find_costs` returns, of each member.
        timing: `timing.json` of the whole.
    """
    trainable = [member["trainable_parameters"] for member in members]
    return join_costs(members, timing) | {"trainable_parameters": None if None in trainable else sum(trainable)}


def say_images(amount: float) -> str:
    """Return a number of images, which may be a mean over folds.

    >>> say_images(1067), say_images(202 / 3)
    ('1,067', '67.3')
    """
    return f"{amount:,.1f}".removesuffix(".0")


def to_number(value: object) -> float | None:
    """Return a finite number as it is, and None for anything else.

    >>> to_number(3), to_number("3"), to_number(None), to_number(True)
    (3, None, None, None)
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)  # a bool is an int in Python
    return value if is_number and abs(value) <= float_info.max else None
