"""One answer for a file or a group (a patient) of several samples: their scores are pooled into one row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed.answer_units import FILE, GROUP, IMAGE, unit_of
from tlmed.evaluation.decisions import Decision, apply_decision
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.unit_labels import find_mixed, label_units, say_mixed
from tlmed.label_vectors import are_vectors
from tlmed.metrics import positive_index
from tlmed.part_names import split_part
from tlmed.pseudonyms import name_file_group, names_owner
from tlmed.tasks import MULTI_LABEL, SINGLE_LABEL
from tlmed.words import count, listed

_HIGHEST = {"max": 1, "top3": 3}  # scores of a unit that count
_NAMED = 3  # units that a sentence names; it counts the others
_SAID = {"mean": "the mean score", "max": "the highest score", "top3": "the mean of the three highest scores"}


@dataclass(frozen=True)
class Pooling:
    """How samples become units.

    Attributes:
        how: "mean", "max" or "top3"; None: each sample is a unit of its own.
        by: What a unit is, "file" or "group".
    """

    how: str | None = None
    by: str = FILE

    @property
    def unit(self) -> str:
        """Return what has one answer: "image", "file" or "group"."""
        return self.by if self.how else IMAGE

    def name(self, paths: Sequence[str], groups: Sequence[str] | None) -> list[str]:
        """Return the unit of each sample: itself, its file, or its group; a sample without a group counts by its file.

        >>> Pooling("mean", "group").name(["a.nii#plane=1", "b.png"], ["p1", ""])
        ['p1', 'b.png']
        """
        if not self.how:
            return list(paths)
        files = [split_part(path)[0] for path in paths]
        if self.by == FILE or groups is None:
            return files
        return [group if names_owner(group) else file for group, file in zip(groups, files, strict=True)]

    def number_files(self, paths: Sequence[str]) -> np.ndarray | None:
        """Return the file of each sample, int [n]; None where nothing is pooled.

        New files are answered one by one, also by a run that pools by group.

        >>> Pooling("mean", "group").number_files(["a.nii#plane=1", "a.nii#plane=2", "b.png"]).tolist()
        [0, 0, 1]
        """
        return number_units(replace(self, by=FILE).name(paths, None))[1] if self.how else None


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Pooled:
    """Predictions of samples, and those of the units that they make up.

    Attributes:
        samples: A row for each sample.
        units: A row for each unit; where each sample is one, the samples themselves.
        members: The row in `units` of each sample, int [n].
        pooling: How they were pooled.
    """

    samples: Predictions
    units: Predictions
    members: np.ndarray
    pooling: Pooling

    @property
    def are_pooled(self) -> bool:
        """Tell whether units are another thing than samples."""
        return self.units is not self.samples

    def find_units(self, paths: Collection[str]) -> set[str]:
        """Return the units of some samples, such as those that training knows; paths without a row have none."""
        wanted = set(paths)
        chosen = [row for row, path in enumerate(self.samples.paths) if path in wanted]
        return {self.units.paths[unit] for unit in self.members[chosen].tolist()}

    def predict(self, decision: Decision, positive: str | None) -> "Pooled":
        """Return the predictions by thresholds that somebody stated; nothing else changes.

        Args:
            decision: Made of those thresholds.
            positive: The positive of two classes, by default the second in the order of classes.
        """
        units, samples = (_predict(part, decision, positive) for part in (self.units, self.samples))
        return replace(self, samples=samples if self.are_pooled else units, units=units)

    def decide(self, decision: Decision, positive: str | None) -> "Pooled":
        """Return the predictions by a decision that was made on units.

        The threshold holds for samples, too: by "max", a unit is positive exactly where one of its samples is. The
        temperature was fitted to units, so that only they have calibrated scores.
        """
        units = apply_decision(self.units, decision, positive)
        if not self.are_pooled:
            return replace(self, samples=units, units=units)
        samples = apply_decision(self.samples, decision, positive)
        return replace(self, samples=replace(samples, calibrated=None), units=units)


def _predict(predictions, decision, positive) -> Predictions:
    main = None if predictions.is_multi else positive_index(predictions.classes, positive)
    return replace(predictions, predictions=decision.choose(predictions.scores, main, predictions.task))


def have_parts(paths: Sequence[str]) -> bool:
    """Tell whether some file has several samples.

    >>> have_parts(["a.nii#plane=1", "b.nii#plane=1"]), have_parts(["a.nii#plane=1", "a.nii#plane=2"])
    (False, True)
    """
    return len({split_part(path)[0] for path in paths}) < len(set(paths))


def fill_groups(paths: Sequence[str], groups: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return groups in which the samples of one file are a group, too, where the data name none for them.

    They depend on each other as the images of one patient do.

    >>> fill_groups(["a.nii#plane=1", "a.nii#plane=2", "b.png"], None), fill_groups(["a.png"], None)
    (('file:a.nii', 'file:a.nii', ''), None)
    """
    if not have_parts(paths):
        return None if groups is None else tuple(groups)
    parts, named = map(split_part, paths), groups or [""] * len(paths)
    return tuple(
        group or (name_file_group(file) if part else "") for group, (file, part) in zip(named, parts, strict=True)
    )


def choose_pooling(
    how: str | None, by: str, paths: Sequence[str], labels: Sequence[int], groups: Sequence[str] | None
) -> Pooling:
    """Return what `pool` and `pool_by` of a recipe mean for some samples.

    `"auto"` asks nothing of samples that are whole files. For parts of files it is the mean by file, because the
    question is mostly about the volume or the patient, and many similar samples are no more than one answer.

    >>> choose_pooling("auto", "file", ["a.nii#plane=1", "a.nii#plane=2"], [0, 0], None)
    Pooling(how='mean', by='file')
    >>> choose_pooling("auto", "file", ["a.nii#plane=1", "a.nii#plane=2"], [0, 1], None).how
    """
    if how != "auto":
        return Pooling(how, by)
    pooling = Pooling("mean", by)
    if by == FILE and (not have_parts(paths) or find_mixed(pooling.name(paths, groups), np.asarray(labels))):
        return Pooling()
    return pooling


def say_unknown_groups(asked: Mapping) -> list[str]:
    """Say of a run that pools by group that single files are answered; nothing of other runs.

    >>> len(say_unknown_groups({"pool": "mean", "unit": "group"})), say_unknown_groups({})
    (1, [])
    """
    if read_pooling(asked).by != GROUP:
        return []
    return [
        "Each file is answered by itself: which files are of one group is not known here, and the scores and the "
        "threshold of the run are those of groups."
    ]


def read_pooling(metrics: Mapping) -> Pooling:
    """Return how a run pools the scores of samples, from its `metrics.json`; versions that pooled nothing say nothing.

    >>> read_pooling({"unit": "group", "pool": "max"}), read_pooling({}).how
    (Pooling(how='max', by='group'), None)
    """
    unit = unit_of(metrics)
    return Pooling() if unit == IMAGE else Pooling(metrics["pool"], unit)


def find_pooling_faults(
    pooling: Pooling, paths: Sequence[str], labels: Sequence[int], classes: Sequence[str], groups: Sequence[str] | None
) -> list[str]:
    """Return why samples cannot be pooled: no sample has a group, or those of a unit differ in class, or in a label.

    >>> find_pooling_faults(Pooling("max", "group"), ["a", "b"], [0, 1], ["ill", "well"], ["p1", "p1"])[0][-35:]
    'Received: p1 (1 of ill, 1 of well).'
    """
    if pooling.how is None:
        return []
    if pooling.by == GROUP and not any(map(names_owner, groups or ())):
        return [
            "`pool_by='group'` needs groups, such as a column of patients (`--group COLUMN`). Received: "
            f"{count(len(paths), 'image')} without groups."
        ]
    names, labels = pooling.name(paths, groups), np.asarray(labels)
    mixed = find_mixed(names, labels)
    if not mixed:
        return []
    cure = "`pool_by='file'`" if pooling.by == GROUP else "`pool=None`"
    must = "have the same labels in all its images" if are_vectors(labels) else "have one label"
    said = (f"{name} ({amounts})" for name, amounts in say_mixed(names, labels, classes, mixed).items())
    return [
        f"A {pooling.by} must {must} to have one answer: give it {'them' if are_vectors(labels) else 'one'}, leave it "
        f"out, or set {cure}. Received: {listed(said, _NAMED)}."
    ]


def describe_pooling(
    pooling: Pooling, how: str | None, paths: Sequence[str], positive: str | None, none: str = "data.pool=none"
) -> list[str]:
    """Say how scores are pooled, and how to change that where the recipe left it open; nothing without parts.

    Args:
        pooling: From `choose_pooling`.
        how: `pool` of the recipe.
        paths: The samples.
        positive: The positive one of two classes, whose scores decide what is highest; None for more.
        none: What the user writes to pool nothing.

    >>> describe_pooling(Pooling("max", "group"), "max", ["a.png"], "ill")
    ["One answer per group: the highest score of its images for 'ill'."]
    """
    if pooling.how:
        open_ = how == "auto" and pooling.by == FILE
        change = f" (`{none}`: an answer per image)" if open_ else ""
        return [f"One answer per {pooling.by}: {say_how(pooling, positive)}{change}."]
    if how == "auto" and have_parts(paths):
        return ["One answer per image, because images of one file have several labels (`data.pool`)."]
    return []


def say_how(pooling: Pooling, positive: str | None) -> str:
    """Say what the answer for a unit is.

    >>> say_how(Pooling("mean"), "ill"), say_how(Pooling("top3"), "ill")
    ('the mean score of its images', "the mean of the three highest scores of its images for 'ill'")
    """
    whose = "" if pooling.how == "mean" or positive is None else f" for {positive!r}"
    return f"{_SAID[pooling.how]} of its images{whose}"


def say_pooling(metrics: Mapping) -> str:
    """Say how the scores of `metrics.json` were pooled; "" where they were not.

    >>> say_pooling({"unit": "file", "pool": "max"})
    'One answer per file: the highest score of its images.'
    """
    return " ".join(describe_pooling(read_pooling(metrics), None, (), metrics.get("positive")))


def pool(samples: Predictions, pooling: Pooling, positive: str | None = None) -> Pooled:
    """Return samples with the units that they make up; their predicted classes are by a threshold of 0.5.

    A unit has the split and the label of its samples; of several labels those that are known of any of them. Where
    samples of one unit are in several splits, it is a unit in each. A trait that differs within a unit has all its
    values there.

    Args:
        samples: Of any splits; `find_pooling_faults` must find nothing.
        pooling: How.
        positive: The positive of two classes, by default the second in the order of classes.
    """
    named, paths = samples.groups, samples.paths
    samples = replace(samples, groups=fill_groups(paths, named))
    if pooling.how is None:
        return Pooled(samples, samples, np.arange(len(paths)), pooling)
    keys = zip(samples.splits, pooling.name(paths, named), strict=True)
    found, members = number_units(list(keys))
    first = np.unique(members, return_index=True)[1]
    main = None if samples.is_multi else positive_index(samples.classes, positive)
    scores = pool_scores(samples.scores, members, pooling.how, main, samples.task)
    units = replace(
        replace(samples, groups=list_unit_groups(pooling, paths, named), calibrated=None, traits={}).take(first),
        paths=tuple(name for _, name in found),
        labels=label_units(samples.labels, members),
        scores=scores,
        traits={name: _join_traits(texts, members) for name, texts in samples.traits.items()},
        unit=pooling.unit,
    )
    return Pooled(samples, apply_decision(units, None, positive), members, pooling)


def list_unit_groups(pooling: Pooling, paths: Sequence[str], groups: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the group that the unit of each sample belongs to; "" where the unit stands alone, None if all do.

    >>> list_unit_groups(Pooling("mean"), ["a.nii#plane=1", "b.png"], ["file:a.nii", "p1"])
    ('', 'p1')
    """
    if pooling.how is None:
        return fill_groups(paths, groups)
    known = [group if names_owner(group) else "" for group in groups or ()]
    return tuple(known) if pooling.by == FILE and any(known) else None


def number_units(names: Sequence) -> tuple[list, np.ndarray]:
    """Return units in the order in which they come, and the number of the unit of each sample.

    >>> number_units(["b", "a", "b"])[0], number_units(["b", "a", "b"])[1].tolist()
    (['b', 'a'], [0, 1, 0])
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return list(numbers), np.array([numbers[name] for name in names])


def find_telling(scores: np.ndarray, members: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Return for each unit the row of the sample that speaks most for the unit's class: the first of equal ones.

    Args:
        scores: Of the samples, float [n, k].
        members: The unit of each sample, int [n].
        chosen: The class of each unit, int [m].

    >>> find_telling(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]), [1]).tolist()
    [1]
    """
    own = scores[np.arange(len(members)), np.asarray(chosen)[members]]
    order = np.lexsort((-own, members))
    return order[np.unique(members[order], return_index=True)[1]]


def _join_traits(texts, members) -> tuple[str, ...]:
    found = [[] for _ in range(members.max() + 1)]
    for text, unit in zip(texts, members.tolist(), strict=True):
        found[unit].append(text)
    return tuple(" + ".join(sorted(set(values))) for values in found)


def pool_scores(
    scores: np.ndarray, members: np.ndarray, how: str, main: int | None, task: str = SINGLE_LABEL
) -> np.ndarray:
    """Return the scores of units; each row sums to 1 if those of samples do.

    "mean" averages all samples. "max" and "top3" take the highest, or the mean of the three highest (of all, where
    there are fewer): of two classes those of the positive one, and the other class has the rest, because one positive
    sample makes a unit positive (the assumption of multiple-instance learning: Dietterich et al., Artificial
    Intelligence 1997, 89:31-71). Of more classes none is positive: each takes its own highest, and their sum is made 1.
    Of several labels each takes its own highest, as it is.

    Args:
        scores: Of the samples, float [n, k].
        members: The unit of each sample, 0..m-1, each with a sample, int [n].
        how: "mean", "max" or "top3".
        main: The number of the positive one of two classes; None for more, and for labels.
        task: Of `tlmed.tasks`.

    Returns:
        float [m, k].

    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    >>> pool_scores(scores, np.array([0, 0, 1]), "max", 1).round(2).tolist()
    [[0.2, 0.8], [0.4, 0.6]]
    >>> pool_scores(np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]), np.array([0, 0]), "max", None).round(2).tolist()
    [[0.47, 0.47, 0.06]]
    """
    scores = np.asarray(scores, float)
    if how == "mean":
        return _average(scores, members)
    if main is None:
        highest = np.stack([_average_highest(column, members, _HIGHEST[how]) for column in scores.T], axis=1)
        return highest if task == MULTI_LABEL else highest / highest.sum(axis=1, keepdims=True)
    highest = _average_highest(scores[:, main], members, _HIGHEST[how])
    return np.stack([highest if column == main else 1 - highest for column in range(2)], axis=1)


def _average(values, members) -> np.ndarray:
    """Return the mean of the rows of each unit; of equal values that value, to the bit, so that ties stay ties.

    Sums are compensated (Neumaier 1974): the mean of 0.84, 0.19 and 0.47 is 0.5, and not a little less, which would be
    the other side of a threshold.
    """
    amounts = np.bincount(members)
    order, starts = np.argsort(members, kind="stable"), np.cumsum(amounts) - amounts
    base = values[order[starts]]
    sums, lost, are_equal = base.copy(), np.zeros_like(base), np.ones(base.shape, bool)
    for place in range(1, amounts.max(initial=0)):
        units = np.flatnonzero(amounts > place)
        added, held = values[order[starts[units] + place]], sums[units]
        sums[units] = total = held + added
        lost[units] += np.where(np.abs(held) >= np.abs(added), held - total + added, added - total + held)
        are_equal[units] &= added == base[units]
    means = (sums + lost) / amounts.reshape(-1, *[1] * (values.ndim - 1))
    return np.where(are_equal, base, means)


def _average_highest(values, members, most: int) -> np.ndarray:
    """Return the mean of the highest values of each unit, float [m]."""
    order = np.lexsort((-values, members))  # by unit, and there from the highest on
    values, members = values[order], members[order]
    starts = np.searchsorted(members, members)
    chosen = np.arange(len(members)) - starts < most
    return _average(values[chosen], members[chosen])
