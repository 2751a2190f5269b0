"""What experience tells about new images: those that are most like them count most.

It is the warm start of automated machine learning: data sets are described by numbers, and what did well on those that
are nearest is tried first (Brazdil, Soares & Pinto da Costa, Machine Learning 2003, 50:251; Feurer, Springenberg &
Hutter, Initializing Bayesian hyperparameter optimization via meta-learning, AAAI 2015). The numbers are not all of the
same size, so each difference is divided by the spread of its number over all sets.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.advising.experience import Experience, name_weights
from tlmed.advising.trials import AUC

# A set counts 0.61 of one that is the same at the distance of the third nearest set, and at no less than 0.5. So three
# sets always have a say: in a small table, a narrower width would let one set with all of its chance decide.
_SAY, _WIDTH = 3, 0.5
_NEAREST = 10  # sets that count; Feurer et al. took 25 of 57 sets
# A difference is divided by no less than this, so that sets which are nearly the same do not come apart.
_LEAST = {
    **{"images": 0.3, "classes": 0.15, "ratio": 0.15, "groups": 0.1, "side": 0.2, "gray": 0.5},
    **{"intrinsic_dimension": 0.1, "nearest_neighbour_auc": 0.05, "detail": 0.05},
}
_MODALITY = "modality"


@dataclass(frozen=True)
class Neighbour:
    """A set of the table, as far as it is like some new images.

    Attributes:
        name: Its name.
        distance: 0: nothing differs; 1: the mean difference is one standard deviation.
        weight: What its rows count, above 0 and up to 1.
        rows: Its rows.
    """

    name: str
    distance: float
    weight: float
    rows: tuple[Experience, ...]


def find_nearest(rows: Iterable[Experience], fingerprint: Mapping) -> list[Neighbour]:
    """Return the sets of a table from the most to the least alike, the ten nearest of them.

    The distance is the mean over what is known of both sets of |difference| / spread, where the spread is the standard
    deviation over these sets and the new one: an L1 distance, as Feurer et al. have it. Sizes, ratios and dimensions
    are compared by their logarithms; another modality is a difference of 1. The weight is exp(-(distance/width)² / 2),
    where the width is the distance of the third nearest set, 0.5 at least. A set that is in the table with several
    fingerprints counts once: its weight is shared.

    Args:
        rows: From `read_experience`.
        fingerprint: Of the new images, as `advice.json` has it; what is not known is None or missing.
    """
    places: dict[tuple, list[Experience]] = {}
    for row in rows:
        places.setdefault((row.set, str(row.fingerprint)), []).append(row)
    new, known = _to_numbers(fingerprint), [_to_numbers(part[0].fingerprint) for part in places.values()]
    spreads = _measure_spreads([*known, new])
    found = [
        (_compare(numbers, new, part[0].modality, fingerprint.get(_MODALITY), spreads), part)
        for numbers, part in zip(known, places.values(), strict=True)
    ]
    ordered = sorted(found, key=lambda pair: pair[0])
    names = list(dict.fromkeys(part[0].set for _, part in ordered))[:_NEAREST]  # a set may have several fingerprints
    nearest = [pair for pair in ordered if pair[1][0].set in names]
    entries, closest = Counter(part[0].set for _, part in nearest), {}
    for distance, part in nearest:
        closest.setdefault(part[0].set, distance)
    width = max([_WIDTH, *list(closest.values())[:_SAY]])
    return [
        Neighbour(part[0].set, distance, weigh(distance, width) / entries[part[0].set], tuple(part))
        for distance, part in nearest
    ]


def weigh(distance: float, width: float) -> float:
    """Return what a set counts at a distance.

    >>> weigh(0, 0.5), round(weigh(0.5, 0.5), 2), round(weigh(1, 0.5), 2)
    (1.0, 0.61, 0.14)
    """
    return max(math.exp(-((distance / width) ** 2) / 2), 1e-12)  # never 0: far ones are compared, too


def _to_numbers(fingerprint: Mapping) -> dict[str, float]:
    """Return what is known of images, as numbers whose differences mean something."""
    images, groups = fingerprint.get("images"), fingerprint.get("groups")
    sides = [fingerprint.get(name) for name in ("height", "width")]
    detail = [share for share in (fingerprint.get("detail") or {}).values() if share is not None]
    found = {name: _log(fingerprint.get(name)) for name in ("images", "classes", "ratio", "intrinsic_dimension")}
    found |= {
        "groups": groups / images if groups and images else None,  # 1: each image is of another patient
        "side": _log(math.prod(sides) ** 0.5) if all(sides) else None,
        "gray": None if fingerprint.get("gray") is None else float(fingerprint["gray"]),
        "nearest_neighbour_auc": fingerprint.get("nearest_neighbour_auc"),
        "detail": float(np.mean(detail)) if detail else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _log(value) -> float | None:
    return math.log10(value) if value else None


def _measure_spreads(numbers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    known = {name: [each[name] for each in numbers if name in each] for name in _LEAST}
    return {name: max(float(np.std(values)) if values else 0.0, _LEAST[name]) for name, values in known.items()}


def _compare(first, second, modality, other, spreads) -> float:
    """Return the distance of two sets; 1 where nothing is known of both."""
    parts = [abs(first[name] - second[name]) / spreads[name] for name in first.keys() & second.keys()]
    if modality and other:
        parts.append(float(modality != other))
    return float(np.mean(sorted(parts))) if parts else 1.0  # sorted: sums of floats depend on their order


def order_backbones(
    rows: Iterable[Experience],
    fingerprint: Mapping,
    at_hand: Sequence[str],
    kind: str | None = None,
    metric: str = AUC,
) -> list[str]:
    """Return backbones in the order in which they should be tried, by what they scored on sets that are alike.

    Args:
        rows: From `read_experience`.
        fingerprint: Of the new images, as `advice.json` has it.
        at_hand: The backbones, as NAME or NAME=WEIGHTS (by default those of ImageNet); cheap ones first. Those of which
            the table knows nothing follow the others in this order.
        kind: Of training, by which they are compared; None: by each recipe that two of them were trained with. A probe
            alone tells little of which is best once its blocks are thawed.
        metric: In which the table has to hold their scores.
    """
    known = _rate_backbones(rows, fingerprint, at_hand, kind, metric)
    return sorted(at_hand, key=lambda name: (name not in known, -known.get(name, 0.0)))  # equal ones: cheap first


def list_compared(rows: Iterable[Experience], fingerprint: Mapping, at_hand: Sequence[str]) -> list[str]:
    """Return the backbones that the table compares with others at hand; see `order_backbones` for the arguments."""
    known = _rate_backbones(rows, fingerprint, at_hand, None, AUC)
    return [name for name in at_hand if name in known]


def _rate_backbones(rows, fingerprint, at_hand, kind, metric) -> dict[str, float]:
    keys = {read_backbone(name): name for name in reversed(at_hand)}
    chosen = [row for row in rows if kind in (None, row.kind) and row.metric == metric]
    nearest = find_nearest(chosen, fingerprint)
    worth = estimate_worth(nearest, lambda row: (row.backbone, row.weights), keys, lambda row: row.recipe)
    return {keys[key]: value for key, value in worth.items()}


def read_backbone(name: str) -> tuple[str, str]:
    """Return a backbone and its weights as the table calls them, from NAME or NAME=WEIGHTS."""
    backbone, _, weights = name.partition("=")
    return backbone, name_weights(weights or "imagenet")


def estimate_worth(
    neighbours: Sequence[Neighbour],
    get_key: Callable[[Experience], object],
    keys: Iterable,
    get_block: Callable[[Experience], object] = lambda row: None,
) -> dict[object, float]:
    """Return how far each of some choices scores above the others, over sets by their weight.

    Sets differ in how hard they are, and not each has a score of each choice. So score = block + choice is fitted by
    weighted least squares; where each block has each choice, that is the weighted mean of what the choice scored above
    the mean of its block. A block that has one choice alone tells nothing of which is better.

    Args:
        neighbours: From `find_nearest`.
        get_key: Returns the choice that a row is of.
        keys: The choices in question.
        get_block: Returns in what rows of a set must agree to be compared, such as their recipe; a block is that part
            of a set. Those of one set share its weight.

    Returns:
        The worth of each choice of which something is known; their mean is 0.
    """
    keys, cells = set(keys), []
    for number, neighbour in enumerate(neighbours):
        blocks: dict[object, dict[object, list[float]]] = {}
        for row in neighbour.rows:
            if get_key(row) in keys:
                blocks.setdefault(get_block(row), {}).setdefault(get_key(row), []).append(row.score)
        told = {name: scores for name, scores in blocks.items() if len(scores) > 1}
        for place, scores in enumerate(told.values()):
            weight = neighbour.weight / len(told)
            cells += [((number, place), key, float(np.mean(values)), weight) for key, values in scores.items()]
    places, names = sorted({cell[0] for cell in cells}), list(dict.fromkeys(cell[1] for cell in cells))
    if not cells:
        return {}
    table = np.zeros((len(cells), len(places) + len(names)))
    for row, (place, key, _, _) in zip(table, cells, strict=True):
        row[[places.index(place), len(places) + names.index(key)]] = 1
    roots = np.sqrt([cell[3] for cell in cells])
    # Blocks and choices are known but for a constant, which the shortest solution leaves somewhere: it is taken off.
    fitted = np.linalg.lstsq(table * roots[:, None], roots * [cell[2] for cell in cells], rcond=None)[0][len(places) :]
    return dict(zip(names, (fitted - fitted.mean()).tolist(), strict=True))
