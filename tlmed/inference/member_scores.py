"""What several runs of the same images wrote down: who trained on which, and the scores that each gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tlmed.data.recorded import SAME, compare_rows
from tlmed.evaluation.decisions import Decision, decide
from tlmed.evaluation.pooled_csv import read_samples
from tlmed.evaluation.pooling import Pooled, Pooling, pool, read_pooling
from tlmed.evaluation.predictions import Predictions, predict_classes
from tlmed.inference.stated_costs import find_costs, find_rule
from tlmed.inference.trained_runs import Trained
from tlmed.label_vectors import read_labels
from tlmed.run_files import METRICS_JSON, SPLITS_CSV
from tlmed.tasks import MULTI_LABEL
from tlmed.words import thousandths

_NAMED = 3  # images that an error names of each kind; it counts the others


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class MemberScores:
    """The n images of m runs, and the scores of k classes that the runs gave.

    Attributes:
        first: The first run: classes, task and recipe are its own.
        paths: Of the images, n texts.
        labels: True classes, int [n]; or vectors of labels [n, k].
        groups: Who each image belongs to, n texts, or None.
        sha256: The digest of each image.
        splits: In which split each run has each image, objects [m, n].
        scores: Class probabilities, float [m, n, k]; NaN where a run gave none, as for its training images.
        positive: The positive one of two classes.
        pooling: How samples become units.
    """

    first: Trained
    paths: tuple[str, ...]
    labels: np.ndarray
    groups: tuple[str, ...] | None
    sha256: tuple[str, ...]
    splits: np.ndarray
    scores: np.ndarray
    positive: str | None
    pooling: Pooling

    @property
    def share_validation(self) -> bool:
        """Tell whether all runs have the same validation images."""
        return bool((self.splits == "val").all(axis=0)[(self.splits == "val").any(axis=0)].all())

    def average(self, by: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the mean scores of each image over some runs, float [n, k]; NaN where there are none.

        Args:
            by: Which runs score which image, bool [m, n].
            weights: How much each run counts, float [m]; of those that score an image, they are made to sum to 1.
        """
        return average_scores(self.scores, np.where(by, np.asarray(weights)[:, None], 0.0))

    def pool(self, rows: np.ndarray, scores: np.ndarray, split: str) -> Pooled:
        """Return predictions of some images, and of the units that they make up; no threshold decides yet.

        Args:
            rows: Which images, int [r].
            scores: Of these, float [r, k].
            split: The split that they count as.
        """
        task, classes = self.first.task, tuple(self.first.classes)
        samples = Predictions(
            tuple(self.paths[row] for row in rows),
            (split,) * len(rows),
            self.labels[rows],
            scores,
            predict_classes(scores, None, task=task),
            classes,
            None if self.groups is None else tuple(self.groups[row] for row in rows),
            by_scores=True,
            task=task,
        )
        return pool(samples, self.pooling, self.positive)

    def decide(self, members: np.ndarray, weights: np.ndarray) -> Decision:
        """Choose threshold and temperature of some runs that answer together, on their validation images.

        Each validation image is scored by those of the runs that were validated on it: a run that was trained on it
        knows it too well. A test image of all of them has no part in it. Where each run has other validation images,
        the scores are means of fewer runs than answer, which a note says.

        Args:
            members: Which runs, bool [m].
            weights: As for `average`.
        """
        asked = np.flatnonzero(members & (np.asarray(weights) > 0))
        by = self.splits[asked] == "val"
        rows = np.flatnonzero(by.any(axis=0))
        shares = np.where(by[:, rows], np.asarray(weights)[asked, None], 0.0)
        scores = average_scores(self.scores[np.ix_(asked, rows)], shares)
        pooled, recipe = self.pool(rows, scores, "val"), self.first.recipe
        costs = find_costs(recipe, self.first.classes)
        rule = (
            recipe.threshold if self.first.task == MULTI_LABEL else find_rule(recipe, self.first.classes, self._counts)
        )
        decision = decide(pooled.units, self.positive, rule, costs, recipe.prevalence)
        first = np.unique(pooled.members, return_index=True)[1]  # a unit is whole in each of the runs
        return _note_fewer(decision, by[:, rows[first]].sum(axis=0).mean(), len(asked), self.pooling.unit)

    @cached_property
    def _counts(self) -> np.ndarray:
        """Return how many training images of each class the runs have, those of all added up, int [k]."""
        amount = self.scores.shape[2]
        return np.sum([np.bincount(self.labels[own == "train"], minlength=amount) for own in self.splits], axis=0)


def average_scores(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return weighted means of scores over networks; each row sums to 1 if those of the networks do.

    The mean of probabilities is the answer of "soft voting" (Dietterich, Ensemble methods in machine learning, 2000).

    Args:
        scores: Of m networks, float [m, n, k]; NaN counts nowhere, whatever its weight.
        weights: How much each network counts for each image, float [m, n] or [m, 1], 0 or more.

    Returns:
        float [n, k]; NaN where no network with a weight scored an image.

    >>> scores = np.array([[[0.9, 0.1]], [[0.5, 0.5]], [[np.nan, np.nan]]])
    >>> average_scores(scores, np.array([[1.0], [3.0], [4.0]])).round(3).tolist()
    [[0.6, 0.4]]
    """
    known = ~np.isnan(scores).any(axis=2)
    weights = np.where(known, weights, 0.0)
    total = weights.sum(axis=0)
    sums = np.einsum("mn,mnk->nk", weights, np.where(known[..., None], scores, 0.0))
    with np.errstate(invalid="ignore"):
        return sums / total[:, None]


def _note_fewer(decision: Decision, scored: float, members: int, unit: str) -> Decision:
    """Note that validation images, or their units, were scored by fewer networks than answer, if they were."""
    if scored >= members:
        return decision
    said = (
        f"Each of these {unit}s was scored by {thousandths(scored).removesuffix('.000')} of {members} members on "
        "average, those that were validated on it; the mean of all is less extreme."
    )

    def add(part):
        return part and {**part, "note": " ".join(filter(None, [part.get("note"), said]))}

    labels = tuple(_note_fewer(label, scored, members, unit) for label in decision.labels)
    if labels:
        return Decision(None, decision.calibration, labels=labels)
    return Decision(add(decision.operating_point), add(decision.calibration), decision.rule)


def read_member_scores(members: Sequence[Trained]) -> MemberScores:
    """Read the splits and the predictions of several runs.

    Args:
        members: The runs, in order. They must be of the same images and ask the same: `find_differences`.
    """
    first = members[0]
    tables = [SPLITS_CSV.read(member.run) for member in members]
    paths = tuple(row["path"] for row in tables[0])
    places = {path: place for place, path in enumerate(paths)}
    splits = np.full((len(members), len(paths)), "", dtype=object)
    scores = np.full((len(members), len(paths), len(first.classes)), np.nan)
    for number, (member, rows) in enumerate(zip(members, tables, strict=True)):
        splits[number, [places[row["path"]] for row in rows]] = [row["split"] for row in rows]
        found = read_samples(member.run.path, METRICS_JSON.read(member.run))
        scores[number, [places[path] for path in found.paths]] = found.scores
    metrics, groups = METRICS_JSON.read(first.run), tuple(row["group"] for row in tables[0])
    return MemberScores(
        first,
        paths,
        read_labels([row["label"] for row in tables[0]], first.classes, first.task == MULTI_LABEL),
        groups if any(groups) else None,
        tuple(row["sha256"] for row in tables[0]),
        splits,
        scores,
        metrics.get("positive"),
        read_pooling(metrics),
    )


def find_differences(first: Trained, other: Trained) -> list[str]:
    """Return in what two runs differ that cannot answer together: in their questions or their images.

    What may differ is how a member finds its answer: its network, a classifier, the size and the window of its images.
    """
    ours, theirs = METRICS_JSON.read(first.run), METRICS_JSON.read(other.run)
    asked = {
        "classes": (list(first.classes), list(other.classes)),
        "task": (first.task, other.task),
        "positive class": (ours.get("positive"), theirs.get("positive")),
        "unit": tuple(f"{way.how} by {way.by}" if way.how else "image" for way in map(read_pooling, (ours, theirs))),
        "samples of a file": (first.recipe.data.slicing, other.recipe.data.slicing),
    }
    faults = [f"{name} ({_say(there)}; not {_say(here)})" for name, (here, there) in asked.items() if here != there]
    changes = compare_rows(SPLITS_CSV.read(first.run), SPLITS_CSV.read(other.run), SAME)
    return faults + ([f"images ({'; '.join(named)})"] if (named := changes.name(_NAMED)) else [])


def _say(value) -> str:
    return ", ".join(value) if isinstance(value, list) else "none" if value is None else str(value)


def note_differences(first: Trained, other: Trained) -> list[str]:
    """Return what two runs decide in another way: the ensemble decides as the first does. One line each."""
    names = ("threshold", "costs", "cost_ratio", "logit_adjustment", "prevalence")
    pairs = {name: (getattr(first.recipe, name), getattr(other.recipe, name)) for name in names}
    return [f"{name}={theirs!r}, not {ours!r}" for name, (ours, theirs) in pairs.items() if ours != theirs]


def describe_reading(first: Trained, other: Trained) -> list[str]:
    """Return how a run finds its answer in another way than the first one does, which is no fault. One line each."""
    known, classifier = first.rule.describe(), METRICS_JSON.read(other.run).get("classifier")
    said = [line for line in other.rule.describe() if line not in known]
    return said + ([f"Hybrid: {classifier['name']} on the features of its network"] if classifier else [])
