"""The fingerprint of data: what they are, in numbers, before anything is trained on them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence, leave_out_closed, list_labels
from tlmed.gate.grouped_folds import find_owners
from tlmed.gate.neighbours import find_neighbours
from tlmed.gate.verdict import FINGERPRINT
from tlmed.logistic import project
from tlmed.metrics import binary_auc
from tlmed.seeds import derive
from tlmed.split_names import PLACES

_COMPONENTS = 64  # principal components of features, in which distances are measured
_MOST = 4000  # images whose distances are measured: all pairs are
_FITTED = 0.9  # of the ratios of distances
_LEAST = 20  # images, or pairs of neighbours, from which a number is given


def describe_data(evidence: Evidence) -> Checked:
    """Return what the data are, in numbers; nothing is judged.

    Args:
        evidence: Of the images, with features or without.

    Returns:
        Figures:

        - `task`: "single-label" or "multi-label"; `images`; `classes`, by name the number of images (or with a label);
          `splits`, by name the number of images of each class;
        - `imbalance_ratio`: the most frequent class by the rarest; None if one has no image;
        - `groups`: `number`, and `images_each` (`min`, `median`, `max`); None where none are named;
        - `sizes`: `height` and `width` in pixels (`min`, `median`, `max`), None if unknown; `spacing`, the same in
          millimetres; `bits` and `formats`, how many images have each;
        - `intensity`: mean and standard deviation of the gray levels of network input, 0 to 255, averaged over images;
        - `intrinsic_dimension` of the features by the two nearest neighbours (Facco, d'Errico, Rodriguez & Laio,
          Scientific Reports 2017, 7:12140); `nearest_neighbour_auc`: how well the nearest image of
          another group tells the class, an AUC against the rest, mean over classes or labels. Each is None without
          features or with fewer than 20 images, of which closed ones are left out.
    """
    table = evidence.table
    figures = {
        "task": "multi-label" if table.is_multi else "single-label",
        "images": len(table),
        "classes": {name: int(table.has(number).sum()) for number, name in enumerate(table.classes)},
        "splits": _count_splits(evidence),
        "imbalance_ratio": _compare_classes(evidence),
        "groups": _describe_groups(table.groups),
        "sizes": _describe_sizes(evidence),
        "intensity": {
            "mean": round(float(evidence.frames["mean"].mean()), 1),
            "deviation": round(float(evidence.frames["deviation"].mean()), 1),
        },
        **_describe_features(evidence),
    }
    return Checked(FINGERPRINT, figures=figures)


def _count_splits(evidence: Evidence) -> dict:
    table = evidence.table
    return {
        split: {
            name: int((table.has(number) & (evidence.splits == split)).sum())
            for number, name in enumerate(table.classes)
        }
        for split in PLACES
        if (evidence.splits == split).any()
    }


def _compare_classes(evidence: Evidence) -> float | None:
    table = evidence.table
    amounts = [int(table.has(number).sum()) for number in range(len(table.classes))]
    return round(max(amounts) / min(amounts), 2) if min(amounts) else None


def _describe_groups(groups: Sequence[str] | None) -> dict | None:
    if groups is None or not any(groups):
        return None
    amounts = [amount for group, amount in Counter(groups).items() if group]
    return {"number": len(amounts), "images_each": _span(amounts)}


def _span(values: Sequence[float]) -> dict:
    return {"min": min(values), "median": float(np.median(values)), "max": max(values)}


def _describe_sizes(evidence: Evidence) -> dict:
    files = evidence.files
    known = [facts for facts in files if facts.height and facts.width]
    spacings = [side for facts in files if facts.spacing for side in facts.spacing]
    return {
        "height": _span([facts.height for facts in known]) if known else None,
        "width": _span([facts.width for facts in known]) if known else None,
        "spacing": _span(spacings) if spacings else None,
        "bits": {
            str(bits): amount for bits, amount in sorted(Counter(facts.bits for facts in files if facts.bits).items())
        },
        "formats": dict(sorted(Counter(facts.format for facts in files if facts.format).items())),
    }


def _describe_features(evidence: Evidence) -> dict:
    """Return what the features tell; None for what cannot be told."""
    evidence = leave_out_closed(evidence)
    nothing = {"intrinsic_dimension": None, "nearest_neighbour_auc": None}
    if evidence.features is None or len(evidence) < _LEAST:
        return nothing
    rows = np.arange(len(evidence))
    if len(rows) > _MOST:
        random = np.random.RandomState(derive(evidence.seed, "gate", FINGERPRINT))
        rows = np.sort(random.permutation(rows)[:_MOST])
    features, owners = project(evidence.features, _COMPONENTS)[rows], find_owners(evidence)[rows]
    copies = {pair.rows[1] for pair in evidence.copies}  # which make the distances to nearest neighbours small
    dimension = measure_dimension(evidence.features[[row for row in rows.tolist() if row not in copies]])
    area = _rate_neighbours(evidence, rows, features, owners)
    return {
        "intrinsic_dimension": None if dimension is None else round(dimension, 1),
        "nearest_neighbour_auc": None if area is None else round(area, 4),
    }


def measure_dimension(features: np.ndarray) -> float | None:
    """Return the intrinsic dimension of points by the ratio of the distances to their two nearest neighbours.

    Where points are spread evenly, whatever their density, the ratio x of the second distance to the first has the
    distribution 1 - x^-d. The slope d of -log(1 - share of smaller ratios) against log x is fitted through the origin,
    without the largest tenth of ratios, which near-copies have (Facco et al., Scientific Reports 2017, 7:12140).
    Copies, whose distance is 0, are left out.

    Args:
        features: float [n, d].

    Returns:
        None if fewer than 20 points are left.
    """
    distances = find_neighbours(features, 2)[0].astype(np.float64)
    apart = distances[:, 0] > 1e-6 * max(distances.max(), 1e-300)
    if apart.sum() < _LEAST:
        return None
    logs = np.sort(np.log(distances[apart, 1] / distances[apart, 0]))
    kept = int(_FITTED * len(logs))
    heights = -np.log1p(-np.arange(1, kept + 1) / len(logs))
    return float(logs[:kept] @ heights / np.square(logs[:kept]).sum()) if logs[:kept].any() else None


def _rate_neighbours(evidence: Evidence, rows, features, owners) -> float | None:
    """Return how well the nearest image of another owner tells the class, mean over classes or labels."""
    areas, place = [], np.full(len(evidence), -1)
    place[rows] = np.arange(len(rows))
    for _, known, answers in list_labels(evidence):
        here = place[known]
        inside = here >= 0
        part, labels = here[inside], np.asarray(answers)[inside]
        numbers = [number for number in np.unique(labels) if len(np.unique(owners[part[labels == number]])) > 1]
        if len(numbers) < 2:
            continue
        nearest = _measure_nearest(features[part], owners[part], labels, numbers)
        sides = numbers[1:] if len(numbers) == 2 else numbers
        for number in sides:
            own = numbers.index(number)
            others = np.delete(nearest, own, axis=1).min(axis=1)
            areas.append(binary_auc(labels == number, others - nearest[:, own]))
    return float(np.mean(areas)) if areas else None


def _measure_nearest(features, owners, labels, numbers) -> np.ndarray:
    """Return the distance of each image to the nearest image of each class that is of another owner, float [n, c]."""
    nearest = np.empty((len(features), len(numbers)))
    squares = np.square(features).sum(1)
    for start in range(0, len(features), 512):
        here = slice(start, start + 512)
        table = squares[here, None] + squares - 2 * features[here] @ features.T
        table[owners[here, None] == owners] = np.inf
        for column, number in enumerate(numbers):
            nearest[here, column] = np.sqrt(np.maximum(table[:, labels == number].min(axis=1), 0))
    return nearest
