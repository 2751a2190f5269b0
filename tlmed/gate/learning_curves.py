"""Enough images? What a linear head would score with more of them, and how many a test needs."""

from collections.abc import Mapping

import numpy as np

from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence, list_labels
from tlmed.gate.grouped_folds import find_owners
from tlmed.gate.needed_images import (
    Expected,
    correlate_owners,
    count_needed,
    find_width,
    find_width_of,
    simulate_design,
)
from tlmed.gate.nested_subsets import (
    FOLDS,
    LEAST_OWNERS,
    Points,
    Question,
    count_repeats,
    list_shares,
    measure_points,
)
from tlmed.gate.power_laws import fit_laws
from tlmed.logistic import project
from tlmed.metrics import positive_index
from tlmed.metrics.areas import newcombe
from tlmed.metrics.proportions import t_95
from tlmed.seeds import derive
from tlmed.words import count, span, thousandths

NAME, TIMES = "forecast", (2, 4)
_MOST_IMAGES = 10_000  # a curve of more tells little more, and takes long
_MANY_IMAGES, _COMPONENTS = (
    3_000,
    (256, 128),
)  # principal components of features, up to so many images and from there on


def forecast(evidence: Evidence, width: float = 0.05) -> Checked:
    """Tell what AUC more images would bring, and how many images a test needs.

    A linear head is fitted on nested subsets of the training images, from a tenth to all of them, in repeated folds of
    these images by groups: images of the validation and test split are not looked at. An inverse power law is fitted
    to its AUC (Viering & Loog, The shape of learning curves: a review, IEEE TPAMI 2022, 45:7799-7819).

    Args:
        evidence: The images, with features.
        width: Of the 95 % interval that a test's AUC is to have, above 0 and below 1.

    Returns:
        No findings. `figures` has:

        - `metric`: which AUC; `images`, `owners`: how many training images there are, and groups of them (copies of a
          file belong together), `folds`, `repeats`;
        - `points`: `n` images that the head was fitted on, its `auc`, and `low` and `high` of the 95 % interval;
        - `fit`: `a`, `b` and `c` of the most probable a - b n^-c;
        - `forecast`: for 2 and 4 `times` as many images: the `n` that the head is fitted on, and the `auc` that the
          same procedure measures then, with the 90 % interval from `low` to `high`. The images at hand are taken to
          be among them;
        - `needed`: the `width`, the `auc` that is expected, how many test `images` give it if they are independent
          (Hanley & McNeil 1982), and `images_by_groups` and `groups` if they have groups like the training images,
          whose scores are `alike` (a correlation), so that `design` times as many are needed;
        - `test`: how many `images` the test split has, the `width` of the interval that they would give, and what it
          `says` of that: only where it is not measured;
        - `sentences`: the rest in words.
    """
    owners = find_owners(evidence)
    trained = np.flatnonzero(np.asarray(evidence.splits) == "train")
    if evidence.features is None:
        return _leave(f"How the AUC grows with the number of images: {evidence.why_lacking}")
    random = np.random.RandomState(derive(evidence.seed, "gate", NAME))
    chosen = _choose(owners, trained, random)
    whose = np.unique(owners[chosen], return_inverse=True)[1] if len(chosen) else owners[:0]
    questions, names, left = _ask(evidence, chosen, whose)
    if not questions:
        return _leave(
            "How the AUC grows with the number of images: "
            f"two classes need {LEAST_OWNERS} groups or single images in training, each. {' '.join(left)}".rstrip()
        )
    smallest = min(len(np.unique(whose[q.rows[q.answers == one]])) for q in questions for one in _sides(q))
    repeats = count_repeats(len(chosen), len(questions))
    features = project(evidence.features[chosen], _COMPONENTS[len(chosen) > _MANY_IMAGES])
    points = measure_points(features, questions, whose, list_shares([smallest]), repeats, random)
    figures = {
        "metric": _name_metric(evidence, names),
        "images": len(trained),
        "owners": len(np.unique(owners[trained])),
        "folds": FOLDS,
        "repeats": repeats,
        **_describe_curve(points, len(trained) / len(chosen)),
        **_describe_test((questions, whose), points, width, _count_tested(evidence, names), random),
    }
    figures["test"]["says"] = _say_test(figures)
    return Checked(NAME, figures=figures | {"sentences": _say(figures)}, unchecked=tuple(left))


def _leave(why: str) -> Checked:
    return Checked(NAME, unchecked=(why if why.endswith(".") else f"{why}.",))


def _choose(owners, trained, random) -> np.ndarray:
    """Return the training images that the curve is measured on: all, or those of owners drawn from many."""
    if len(trained) <= _MOST_IMAGES:
        return trained
    whose = np.unique(owners[trained], return_inverse=True)[1]
    places = random.permutation(whose.max() + 1)
    before = np.cumsum(np.bincount(places[whose]))
    return trained[before[places[whose]] <= _MOST_IMAGES]


def _ask(evidence, chosen, whose) -> tuple[list[Question], list[str], list[str]]:
    """Return what heads are asked, the names of classes and labels that are rated, and sentences on the others."""
    questions, names, left = [], [], []
    place = np.full(len(evidence), -1)
    place[chosen] = np.arange(len(chosen))
    for label, rows, answers in list_labels(evidence):
        mine = np.isin(rows, chosen)
        rows, answers = place[rows[mine]], np.asarray(answers)[mine]
        classes = 2 if evidence.table.is_multi else len(evidence.table.classes)
        sizes = [len(np.unique(whose[rows[answers == one]])) for one in range(classes)]
        rest = [len(np.unique(whose[rows[answers != one]])) for one in range(classes)]
        good = [one for one in range(classes) if min(sizes[one], rest[one]) >= LEAST_OWNERS]
        rated = good if classes > 2 else [_find_main(evidence)] if len(good) == 2 else []
        own = [label] if evidence.table.is_multi else [evidence.table.classes[one] for one in rated]
        for one in range(classes):
            if one not in good and (classes > 2 or one == 1 or not evidence.table.is_multi):
                name = label or evidence.table.classes[one]
                left.append(
                    f"{name!r} has no learning curve: {count(sizes[one], 'group')} or single images with it, and "
                    f"{rest[one]:,} without it, are in training, and {LEAST_OWNERS} of each are needed."
                )
        if rated:
            questions.append(Question(rows, answers, classes, tuple(rated)))
            names += own
    return questions, names, left


def _find_main(evidence) -> int:
    """Return which of two answers is the positive one; of a label it is that an image has it."""
    table = evidence.table
    return 1 if table.is_multi else positive_index(table.classes, evidence.positive)


def _sides(question) -> tuple[int, ...]:
    return (0, 1) if question.classes == 2 else question.rated


def _name_metric(evidence, names) -> str:
    if evidence.table.is_multi:
        return "AUC of a label" if len(names) == 1 else f"mean AUC of {count(len(names), 'label')}"
    return "AUC" if len(evidence.table.classes) == 2 else f"mean AUC of {count(len(names), 'class')} against the rest"


def _describe_curve(points: Points, more: float) -> dict:
    """Return the points, the law and the forecasts; `more` images are at hand than the curve was measured on."""
    areas, spreads = points.areas.mean(axis=0), np.sqrt(np.diag(points.tested + points.drawn) + points.trained)
    half = t_95(points.freedom) * spreads
    now = fit_laws(points)
    return {
        "points": [
            {"n": round(n), "auc": area, "low": max(area - own, 0.0), "high": min(area + own, 1.0)}
            for n, area, own in zip(points.sizes.tolist(), areas.tolist(), half.tolist(), strict=True)
        ],
        "fit": {
            name: float(values[now.best])
            for name, values in (("a", now.limits), ("b", now.slopes), ("c", now.exponents))
        },
        "forecast": [_foresee(points, times, times * more) for times in TIMES],
    }


def _foresee(points, times, steps) -> dict:
    images = points.sizes[-1] * steps
    low, middle, high = fit_laws(points, steps).foresee(images)
    return {"times": times, "n": round(images), "auc": middle, "low": low, "high": high}


def _count_tested(evidence, names) -> list[tuple[int, int]]:
    """Return how many test images have each label, or are of each class, and how many are known not to."""
    table, test = evidence.table, np.asarray(evidence.splits) == "test"
    found = []
    for name in names:
        number = list(table.classes).index(name)
        has = table.has(number) & test
        known = (table.labels[:, number] >= 0) & test if table.is_multi else test
        found.append((int(has.sum()), int((known & ~has).sum())))
    return found


def _describe_test(asked, points: Points, width, tested, random) -> dict:
    """Return how many test images an interval of a width needs, and how wide it is with those at hand."""
    questions, whose = asked
    plain, grouped, alike = [], [], []
    labels = [(question, label) for question in questions for label in question.rated]
    for (question, label), area, scores in zip(labels, points.part_areas.tolist(), points.scores, strict=True):
        positive, own = question.answers == label, whose[question.rows]
        cautious = newcombe(area, len(np.unique(own[positive])), len(np.unique(own[~positive])))[0]
        area = area if 0 < area < 1 else cautious
        alike.append(correlate_owners(scores[question.rows], positive, own))
        share = float(positive.mean())
        plain.append(Expected(area, share))
        design = simulate_design(area, positive, own, alike[-1], random) if len(np.unique(own)) < len(own) else 1.0
        grouped.append(Expected(area, share, max(design, 1.0)))
    correlations = _correlate(points.parts)
    independent, by_groups = (count_needed(tested, correlations, width) for tested in (plain, grouped))
    ratio = find_width(grouped, correlations, by_groups) / find_width(plain, correlations, by_groups)
    return {
        "needed": {
            "width": width,
            "auc": float(np.mean([one.area for one in plain])),
            "images": independent,
            "images_by_groups": by_groups,
            "groups": round(by_groups * len(np.unique(whose)) / len(whose)),
            "alike": float(np.mean(alike)),
            "design": ratio**2,
        },
        "test": {"images": max(map(sum, tested)), "width": _rate_test(grouped, correlations, tested)},
    }


def _rate_test(grouped, correlations, tested) -> float | None:
    """Return how wide the interval of the test images at hand is; None if one kind is missing in them."""
    return min(find_width_of(grouped, correlations, tested), 1.0) if min(map(min, tested)) else None


def _correlate(influences) -> np.ndarray:
    """Return the correlations of several AUCs from the influences of owners, float [k, k]."""
    together = influences @ influences.T
    spread = np.sqrt(np.diag(together))
    found = np.where(np.outer(spread, spread) > 0, together / np.maximum(np.outer(spread, spread), 1e-300), 0.0)
    np.fill_diagonal(found, 1.0)
    return found


def _say(figures: Mapping) -> list[str]:
    """Return the figures as sentences."""
    last, metric, needed = figures["points"][-1], figures["metric"], figures["needed"]
    said = [
        f"A linear head on the features, fitted on {last['n']:,} training images and tested on others, has "
        f"{_a(metric)} of {thousandths(last['auc'])} (95 % interval {_range(last)})."
    ]
    said += [
        f"With {one['times']} times as many images, {thousandths(one['auc'])} is to be expected (90 % interval "
        f"{_range(one)})."
        for one in figures["forecast"]
    ]
    wide = f"a 95 % interval of {thousandths(needed['width'])} or less from end to end"
    said.append(
        f"For {wide}, at an AUC of {thousandths(needed['auc'])}, a test needs about {needed['images']:,} images, if "
        "they are independent of each other."
    )
    if needed["images_by_groups"] > needed["images"]:
        said.append(
            f"If they have groups like the training images, it needs about {needed['images_by_groups']:,} images of "
            f"{needed['groups']:,} groups."
        )
    return said


def _say_test(figures: Mapping) -> list[str]:
    """Say how wide the interval of the test images at hand would be; nothing where there are none."""
    test, needed = figures["test"], figures["needed"]
    if not test["images"]:
        return []
    images = count(test["images"], "test image")
    if test["width"] is None:
        return [f"The {images} here cannot give an interval: a class or label is missing in them."]
    like = ", if they have groups like the training images" if needed["images_by_groups"] > needed["images"] else ""
    return [
        f"The {images} here would give an interval of about {thousandths(test['width'])} from end to end{like}, for an "
        f"AUC of {thousandths(needed['auc'])}."
    ]


def _a(metric) -> str:
    return f"an {metric}" if metric.startswith("AUC") else f"a {metric}"


def _range(entry) -> str:
    return span(entry["auc"], entry["low"], entry["high"])
