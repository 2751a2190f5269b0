"""Labels that are probably wrong: images whose features say something else than their label does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from tlmed.findings import LABEL, WARNING, Finding
from tlmed.gate.checked import Checked
from tlmed.gate.confident_learning import estimate_joint, prune_by_class, prune_by_noise_rate
from tlmed.gate.evidence import Evidence, leave_out_closed, list_labels
from tlmed.gate.grouped_folds import deal_folds, find_owners
from tlmed.gate.noise_rates import DRAWS, fit_noise
from tlmed.logistic import fit_path, project
from tlmed.seeds import derive
from tlmed.words import count, join_names, thousandths

FOLDS, REPEATS = 5, 4
LEAST = 5  # owners of a class: with fewer, a fold may know none of them
LISTED = 10_000  # images in the ranked list
SURE = 0.5  # probability that a label is wrong, from which it is a finding: more of them are right than wrong
# Of the mean loss. Wrong labels ask for strong ones: from 0.1 for clean labels to 3 for 20 % wrong ones.
L2S = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
_LEAST_CHANCE = 1e-12  # probability whose logit is taken
_CURE = "Look at the image, and correct its label or leave it out if it is wrong."
_METHOD = (
    "a logistic curve with rates of wrong labels, fitted to out-of-fold scores (Copas 1988); interval: 2.5th and "
    "97.5th percentile over resamples of groups"
)


@dataclass(frozen=True, eq=False)
class Suspicion:
    """What features say of the labels of one question, for n images.

    Attributes:
        rows: int [n], of the evidence.
        labels: int [n], 0..c - 1.
        names: Of the c answers.
        about: The label that the question is about; "" for classes.
        probabilities: float64 [n, c], from folds, mean over repeats.
        wrong: float64 [n], the probability that each label is wrong.
        told: bool [n], whether wrong labels explain the scores of its class clearly better than none do.
        expected: float64 [1 + draws], how many are wrong; then in resamples of owners.
        least: The same of the classes that are told, and 0 of others.
        l2: The penalty that was chosen.
    """

    rows: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    about: str
    probabilities: np.ndarray
    wrong: np.ndarray
    told: np.ndarray
    expected: np.ndarray
    least: np.ndarray
    l2: float

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the label that each image has, float64 [n]."""
        return self.probabilities[np.arange(len(self.rows)), self.labels]

    @property
    def best(self) -> np.ndarray:
        """The most probable answer other than the label, int [n]."""
        others = self.probabilities.copy()
        others[np.arange(len(self.rows)), self.labels] = -1
        return others.argmax(1)


def check_labels(evidence: Evidence) -> Checked:
    """Look for labels that are wrong.

    Linear heads on principal components of the features are trained on four fifths of the groups and asked about the
    rest, in repeated folds. Images are ranked by self-confidence, the probability of the label that they have;
    confident learning's rules are applied to the same probabilities (`confident_learning`). How many labels are wrong,
    and the probability that each is, come from rates of wrong labels (`noise_rates`); labels more probably wrong than
    right are findings, as many as are wrong by the lower end of the interval (`choose_sure`). On clean labels there are
    few or none, however low the confidence of hard images is.

    Args:
        evidence: With features. Closed images are left out.

    Returns:
        Findings of kind `LABEL`, the most probable ones first. Figures: `estimate` (`wrong`, `low`, `high`, `images`,
        `method`), how many labels are wrong, with a 95 % interval, and the same in `questions` for classes or for each
        label, with `l2`, `joint` (confident learning's counts of given label by true one) and `classes`; `ranked`, the
        images of least self-confidence first: `rank`, `path`, `about` (the label, where images have several), `label`,
        `suggested`, `self_confidence`, `wrong` (its probability), `by_class` and `by_noise_rate` (whether confident
        learning's rules prune it); `left_out`, how many more there are.
    """
    if evidence.features is None:
        return Checked("labels", unchecked=(f"Wrong labels were not looked for: {evidence.why_lacking}.",))
    evidence = leave_out_closed(evidence)
    owners, features, unchecked, found = find_owners(evidence), None, [], []
    for about, rows, labels in list_labels(evidence):
        names = ("no", "yes") if about else evidence.table.classes
        rows, labels, kept, few = _leave_out_rare(rows, labels, owners, names)
        unchecked += _say_rare(few, about)
        if len(kept) < 2:
            unchecked.append(_say_alone(about))
            continue
        if features is None:
            features = project(evidence.features).astype(np.float64)
        seed = derive(evidence.seed, "gate", "labels", about)
        own = np.unique(owners[rows], return_inverse=True)[1]
        found.append(suspect(features[rows], own, seed, Asked(rows, labels, kept, about)))
    figures = _list_figures(evidence, found) if found else {}
    return Checked("labels", _list_findings(evidence, found), figures, tuple(unchecked))


@dataclass(frozen=True, eq=False)
class Asked:
    """A question: its rows, their answers, the names of answers, and the label that it is about."""

    rows: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    about: str


def ask_folds(features, labels, owners, seed) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what heads say of images whose owners they were not trained on, and the penalty.

    The penalty with the least log loss in the first repeat is taken for all.

    Args:
        features: float64 [n, d], rows of `project`.
        labels: int [n], 0..c - 1; every class must occur.
        owners: int [n], from 0.
        seed: Decides the folds.

    Returns:
        Probabilities, float64 [n, c], their mean over repeats; the mean of their logits, likewise; and the penalty.
    """
    n, classes = len(labels), labels.max() + 1
    random, l2s = np.random.RandomState(seed), L2S
    chances, logits = np.zeros((n, classes)), np.zeros((n, classes))
    for _ in range(REPEATS):
        folds, said = deal_folds(labels, owners, FOLDS, random), np.zeros((len(l2s), n, classes))
        for fold in np.unique(folds):
            known, asked = folds != fold, folds == fold
            heads = fit_path(features[known], labels[known], classes, l2s)
            for part, head in zip(said, heads, strict=True):
                part[asked] = head.predict(features[asked])
        said = np.clip(said, _LEAST_CHANCE, 1 - _LEAST_CHANCE)
        losses = -np.log(said[:, np.arange(n), labels]).mean(1)
        best = losses.argmin()
        l2s = (l2s[best],)
        chances += said[best] / REPEATS
        logits += logit(said[best]) / REPEATS
    return chances, logits, l2s[0]


def suspect(features: np.ndarray, owners: np.ndarray, seed: int, asked: Asked) -> Suspicion:
    """Return what features say of the labels of one question.

    Args:
        features: float64 [n, d], rows of `project`.
        owners: int [n], from 0.
        seed: Decides folds and resamples.
        asked: The question.
    """
    labels, classes = asked.labels, len(asked.names)
    chances, logits, l2 = ask_folds(features, labels, owners, seed)
    wrong, told, expected, least = np.zeros(len(labels)), np.zeros(len(labels), bool), 0, np.zeros(1 + DRAWS)
    # Of two classes one is the absence of the other; of more, a wrong label is counted where it was given.
    for number in range(classes) if classes > 2 else [1]:
        noise = fit_noise(logits[:, number], labels == number, owners, seed)
        here = (labels == number) | (classes == 2)
        wrong[here], told[here] = noise.wrong[here], noise.told
        amount = noise.expected.sum(1) if classes == 2 else noise.expected[:, 1]
        expected, least = expected + amount, least + amount * noise.told
    return Suspicion(asked.rows, labels, asked.names, asked.about, chances, wrong, told, expected, least, l2)


def _leave_out_rare(rows, labels, owners, names):
    """Return rows and labels of the classes with enough owners, numbered anew, their names, and those of the others."""
    people = [len(np.unique(owners[rows[labels == number]])) for number in range(len(names))]
    kept = [number for number, many in enumerate(people) if many >= LEAST]
    few = [(name, many) for name, many in zip(names, people, strict=True) if many < LEAST]
    inside = np.isin(labels, kept)
    return rows[inside], np.searchsorted(kept, labels[inside]), tuple(names[number] for number in kept), few


def _say_rare(few: Sequence[tuple[str, int]], about: str) -> list[str]:
    if not few:
        return []
    named = join_names(f"{name!r} ({many:,})" for name, many in few)
    of = f" of {about!r}" if about else ""
    return [
        f"Labels {named}{of} were not checked: that takes {LEAST} images or more that do not belong together "
        "by group or content."
    ]


def _say_alone(about: str) -> str:
    where = f" for {about!r}" if about else ""
    return f"Wrong labels were not looked for{where}: that takes two classes with {LEAST} independent images each."


def choose_sure(part: Suspicion) -> np.ndarray:
    """Return the places of labels that are findings, the most probably wrong first, int [m].

    They are more probably wrong than right, of a class whose scores wrong labels explain clearly better than none do,
    and no more than are wrong by the lower end of the interval: where that is 0, all labels may be right, and images
    that are hard for the features would be called wrong.
    """
    most = round(float(np.percentile(part.least[1:], 2.5)))
    wrong = part.wrong * part.told
    order = np.argsort(-wrong, kind="stable")[:most]
    return order[wrong[order] > SURE]


def _list_findings(evidence: Evidence, found: Iterable[Suspicion]) -> tuple[Finding, ...]:
    sure = [(-part.wrong[at], part.rows[at], part, at) for part in found for at in choose_sure(part)]
    return tuple(_describe(evidence, part, at) for _, _, part, at in sorted(sure, key=lambda one: one[:2]))


def _describe(evidence: Evidence, part: Suspicion, at: int) -> Finding:
    path, other = evidence.table.paths[part.rows[at]], part.best[at]
    label, suggested = part.names[part.labels[at]], part.names[other]
    sure = f"as far as features tell, its label is wrong with a probability of {thousandths(part.wrong[at])}"
    chance = thousandths(part.probabilities[at, other])
    if part.about:
        has = "has" if part.labels[at] else "does not have"
        opposite = "does not have" if part.labels[at] else "has"
        says = f"'{path}' {has} the label {part.about!r}; the other images suggest that it {opposite} it ({chance}): "
    else:
        says = f"'{path}' is labelled {label!r}; the other images suggest {suggested!r} ({chance}): "
    return Finding(LABEL, f"{says}{sure}.", (path,), WARNING, _CURE)


def _list_figures(evidence: Evidence, found: Sequence[Suspicion]) -> dict:
    """Return the figures that `check_labels` documents."""
    ranked = _rank(evidence, found)
    images = sum(len(part.rows) for part in found)
    return {
        # Labels of one image are resampled apart: their sum is as uncertain as if they were independent.
        "estimate": {**_estimate(found), "images": images, "method": _METHOD},
        "questions": [
            {
                "about": part.about,
                "classes": list(part.names),
                "images": len(part.rows),
                "l2": part.l2,
                **_estimate([part]),
                "joint": estimate_joint(part.labels, part.probabilities).round(1).tolist(),
            }
            for part in found
        ],
        "ranked": ranked,
        "left_out": images - len(ranked),
    }


def _estimate(parts: Sequence[Suspicion]) -> dict[str, float]:
    """Return how many labels of some questions are wrong; none need be where a curve without them is about as good."""
    expected, least = sum(part.expected for part in parts), sum(part.least for part in parts)
    low, high, wrong = np.percentile(least[1:], 2.5), np.percentile(expected[1:], 97.5), float(expected[0])
    return {"wrong": round(wrong, 1), "low": round(min(low, wrong), 1), "high": round(max(high, wrong), 1)}


def _rank(evidence: Evidence, found: Sequence[Suspicion]) -> list[dict]:
    confidence = np.concatenate([part.confidence for part in found])
    which = np.repeat(np.arange(len(found)), [len(part.rows) for part in found])
    places = np.concatenate([np.arange(len(part.rows)) for part in found])
    pruned = [(prune_by_class(part.labels, part.probabilities), part.best) for part in found]
    by_rate = [prune_by_noise_rate(part.labels, part.probabilities) for part in found]
    entries = []
    for rank, at in enumerate(np.argsort(confidence, kind="stable")[:LISTED], 1):
        number, place = which[at], places[at]
        part, (by_class, best) = found[number], pruned[number]
        label, other = part.labels[place], best[place]
        suggested = other if part.probabilities[place, other] > confidence[at] else label
        entry = {"rank": rank, "path": evidence.table.paths[part.rows[place]]}
        entry |= {"about": part.about} if part.about else {}
        entry |= {"label": part.names[label], "suggested": part.names[suggested]}
        entry |= {"self_confidence": float(confidence[at]), "wrong": float(part.wrong[place])}
        entries.append({**entry, "by_class": bool(by_class[place]), "by_noise_rate": bool(by_rate[number][place])})
    return entries


def describe_estimate(figures: dict) -> str:
    """Return a sentence on how many labels are wrong.

    Args:
        figures: Of `check_labels`.

    >>> describe_estimate({"estimate": {"wrong": 12.3, "low": 4.0, "high": 20.9, "images": 640}})
    'About 12 of 640 labels are wrong (95 % interval: 4 to 21).'
    >>> describe_estimate({"estimate": {"wrong": 0.1, "low": 0.0, "high": 0.3, "images": 640}})
    'Features show no wrong label among 640 labels (95 % interval: 0 to 0).'
    >>> describe_estimate({"estimate": {"wrong": 12.3, "low": 0.0, "high": 20.9, "images": 640}})
    'From 0 to 21 of 640 labels are wrong (95 % interval): features do not tell whether any is.'
    """
    found = figures["estimate"]
    low, high = round(found["low"]), round(found["high"])
    labels = count(found["images"], "label")
    if not high:
        return f"Features show no wrong label among {labels} (95 % interval: 0 to 0)."
    if not low:
        return f"From 0 to {high:,} of {labels} are wrong (95 % interval): features do not tell whether any is."
    return f"About {round(found['wrong']):,} of {labels} are wrong (95 % interval: {low:,} to {high:,})."
