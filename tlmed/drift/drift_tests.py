"""The tests of what came in against the test split: of scores, predicted classes, unusual images, and true classes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from tlmed.drift.incoming_rows import Batch
from tlmed.drift.owned_samples import TwoSamples
from tlmed.drift.stability_index import measure_stability
from tlmed.drift.two_sample_tests import DRAWS, Tested, compare_scores, compare_shares
from tlmed.label_texts import UNKNOWN
from tlmed.novelty.known_images import ALARM
from tlmed.seeds import derive

SCORES, CLASSES, UNUSUAL, TRUTH = "scores", "classes", "unusual", "truth"


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Reference:
    """What a run answered for its test split.

    Attributes:
        batch: The answers, with labels.
        classes: Their names, in order.
        main: The positive one of two classes; None for more, and for labels.
        tested: p-values of test images being like training images, float [t]; None where the run keeps none.
        testers: Whom each of these belongs to, int [t].
        paths: Of the images, files or groups that were answered.
    """

    batch: Batch
    classes: tuple[str, ...]
    main: int | None = None
    tested: np.ndarray | None = None
    testers: np.ndarray | None = None
    paths: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Tell whether an image may have several labels."""
        return self.batch.guesses.ndim == 2


def list_drift_tests(reference: Reference, batch: Batch, seed: int, draws: int = DRAWS) -> list[dict]:
    """Return the tests of a batch against the test split; p-values are not corrected yet for how many there are.

    Args:
        reference: The test split.
        batch: What came in.
        seed: Decides the draws.
        draws: How often patients are dealt to the two samples, where they have several rows.

    Returns:
        For each test `kind`, `name` (of the class, or ""), `test`, `statistic`, `p`, `there` and `here` (a mean, or
        the share of each class, in which each patient counts once), and of scores `psi`.
    """
    samples = TwoSamples(reference.batch.owners, batch.owners)
    return [
        *_compare_all_scores(reference, batch, samples, seed, draws),
        *_compare_classes(reference, batch, samples, seed, draws),
        *_compare_unusual(reference, batch, seed, draws),
        *_compare_truth(reference, batch, seed, draws),
    ]


def _enter(kind: str, name: str, found: Tested, there: object, here: object, **more) -> dict:
    about = {"kind": kind, "name": name, "test": found.name, "statistic": found.statistic, "p": found.p}
    return {**about, "there": there, "here": here, **more}


def _compare_all_scores(reference, batch, samples, seed, draws) -> list[dict]:
    columns = range(len(reference.classes)) if reference.main is None else [reference.main]
    found = []
    for column in columns:
        name, first, second = reference.classes[column], reference.batch.scores[:, column], batch.scores[:, column]
        tested = compare_scores(first, second, samples, derive(seed, "drift", SCORES, name), draws)
        psi = measure_stability(first, second, samples, derive(seed, "drift", "psi", name))
        means = map(float, samples.average(first, second))
        found.append(_enter(SCORES, name, tested, *means, psi={**asdict(psi), "verdict": psi.verdict}))
    return found


def _compare_classes(reference, batch, samples, seed, draws) -> list[dict]:
    first, second = reference.batch.guesses, batch.guesses
    if not reference.several:
        tested = compare_shares(first, second, samples, derive(seed, "drift", CLASSES), draws)
        kinds = np.eye(len(reference.classes))
        shares = (
            dict(zip(reference.classes, part.tolist(), strict=True))
            for part in samples.average(kinds[first], kinds[second])
        )
        return [_enter(CLASSES, "", tested, *shares)]
    found = []
    for column, name in enumerate(reference.classes):
        parts = first[:, column], second[:, column]
        tested = compare_shares(*parts, samples, derive(seed, "drift", CLASSES, name), draws)
        found.append(_enter(CLASSES, name, tested, *map(float, samples.average(*parts))))
    return found


def share_kinds(kinds: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Return the share of each class, 0..1.

    >>> share_kinds(np.array([0, 0, 1, 0]), ("ill", "well"))
    {'ill': 0.75, 'well': 0.25}
    """
    counts = np.bincount(kinds, minlength=len(classes))
    return dict(zip(classes, (counts / max(len(kinds), 1)).tolist(), strict=True))


def _compare_unusual(reference, batch, seed, draws) -> list[dict]:
    if reference.tested is None or batch.unusual is None:
        return []
    known = ~np.isnan(batch.unusual)
    if not known.any() or not len(reference.tested):
        return []
    first, second = reference.tested < ALARM, batch.unusual[known] < ALARM
    samples = TwoSamples(reference.testers, batch.owners[known])
    parts = first.astype(int), second.astype(int)
    tested = compare_shares(*parts, samples, derive(seed, "drift", UNUSUAL), draws)
    return [_enter(UNUSUAL, "", tested, *map(float, samples.average(*parts)))]


def _compare_truth(reference, batch, seed, draws) -> list[dict]:
    """Compare the probabilities that the true classes get: they fall where a network no longer knows them."""
    if batch.labels is None or reference.several:
        return []
    parts = [(part, np.flatnonzero(part.labels != UNKNOWN)) for part in (reference.batch, batch)]
    if any(not len(rows) for _, rows in parts):
        return []
    first, second = (part.scores[rows, part.labels[rows]] for part, rows in parts)
    samples = TwoSamples(*(part.owners[rows] for part, rows in parts))
    tested = compare_scores(first, second, samples, derive(seed, "drift", TRUTH), draws)
    return [_enter(TRUTH, "", tested, *map(float, samples.average(first, second)))]
