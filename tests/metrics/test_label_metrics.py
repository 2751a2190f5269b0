"""Metrics of several labels per image: scikit-learn's numbers, unknown labels left out, intervals by groups."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from tlmed.errors import InputError
from tlmed.metrics.label_metrics import MEANS, evaluate_labels, macro_area

NAMES = ("edema", "mass", "effusion")


def draw(n, seed=0, k=3, groups=None):
    """Return labels that depend on each other, scores and predictions; images of a group are alike."""
    random = np.random.default_rng(seed)
    owners = np.arange(n) if groups is None else np.repeat(np.arange(groups), n // groups)
    shared = random.normal(size=(owners.max() + 1, 1))[owners] * 0.7 + random.normal(size=(n, 1)) * 0.5
    labels = (shared + random.normal(size=(n, k)) > np.linspace(0.2, 0.8, k)).astype(int)
    scores = 1 / (1 + np.exp(-(shared + 1.2 * labels + random.normal(size=(n, k)) - 1)))
    return labels, scores, (scores >= 0.5).astype(int), owners


def values(found):
    return {name: entry["value"] for name, entry in found["metrics"].items()}


def test_values_are_those_of_scikit_learn():
    labels, scores, guesses, _ = draw(90)
    found = values(evaluate_labels(labels, scores, guesses, NAMES))
    pairs = list(zip(labels.T, scores.T, guesses.T, strict=True))
    expected = {
        "auc": theirs.roc_auc_score(labels, scores, average="macro"),
        "auc_micro": theirs.roc_auc_score(labels, scores, average="micro"),
        "average_precision": theirs.average_precision_score(labels, scores, average="macro"),
        "average_precision_micro": theirs.average_precision_score(labels, scores, average="micro"),
        "f1": theirs.f1_score(labels, guesses, average="macro"),
        "f1_micro": theirs.f1_score(labels, guesses, average="micro"),
        "exact_match": theirs.accuracy_score(labels, guesses),
        "hamming_loss": theirs.hamming_loss(labels, guesses),
        "sensitivity": theirs.recall_score(labels, guesses, average="macro"),
        "ppv": theirs.precision_score(labels, guesses, average="macro"),
        "accuracy": np.mean([theirs.accuracy_score(own, guess) for own, _, guess in pairs]),
        "mcc": np.mean([theirs.matthews_corrcoef(own, guess) for own, _, guess in pairs]),
        "log_loss": np.mean([theirs.log_loss(own, score) for own, score, _ in pairs]),
        "brier": np.mean([theirs.brier_score_loss(own, score) for own, score, _ in pairs]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-10)
    assert macro_area(labels, scores) == pytest.approx(expected["auc"], abs=1e-10)


def test_what_is_not_known_counts_nowhere():
    labels, scores, guesses, _ = draw(80)
    labels[np.random.default_rng(1).random(labels.shape) < 0.2] = -1
    found = evaluate_labels(labels, scores, guesses, NAMES)
    known, whole = labels >= 0, (labels >= 0).all(axis=1)
    assert [entry["unknown"] for entry in found["per_class"].values()] == (~known).sum(axis=0).tolist()
    areas = [theirs.roc_auc_score(labels[rows, c], scores[rows, c]) for c, rows in enumerate(known.T)]
    expected = {
        "auc": np.mean(areas),
        "auc_micro": theirs.roc_auc_score(labels[known], scores[known]),
        "exact_match": (labels == guesses)[whole].all(axis=1).mean(),
        "hamming_loss": (labels != guesses)[known].mean(),
    }
    assert {name: values(found)[name] for name in expected} == pytest.approx(expected, abs=1e-10)
    note = found["metrics"]["exact_match"]["note"]
    assert note == f"Of the {whole.sum()} of 80 images of which all labels are known."


def test_a_label_without_both_values_has_a_reason_and_is_left_out_of_the_mean():
    labels, scores, guesses, _ = draw(60)
    labels[:, 0], labels[:, 2] = 0, -1
    found = evaluate_labels(labels, scores, guesses, NAMES)
    assert found["per_class"]["edema"]["auc"]["reason"] == "No image is of class 'edema'."
    assert found["per_class"]["effusion"]["auc"]["reason"] == "The label is not known of any image."
    assert found["metrics"]["auc"]["value"] == pytest.approx(theirs.roc_auc_score(labels[:, 1], scores[:, 1]))
    assert found["metrics"]["auc"]["note"] == "Mean without 'edema', 'effusion', where it is undefined."
    assert found["metrics"]["exact_match"]["reason"] == "There is no image of which all labels are known."


def test_intervals_are_wider_by_groups_and_texts_call_clusters_what_they_are():
    labels, scores, guesses, owners = draw(200, groups=40)
    alone = evaluate_labels(labels, scores, guesses, NAMES)
    grouped = evaluate_labels(labels, scores, guesses, NAMES, [f"p{owner}" for owner in owners])
    assert grouped["largest_group"] == 5
    for name in ("auc", "auc_micro", "exact_match", "hamming_loss", "f1_micro"):
        narrow, wide = (found["metrics"][name] for found in (alone, grouped))
        assert narrow["value"] == wide["value"]
        assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]
    assert "of 200 images" in alone["metrics"]["auc_micro"]["method"]
    assert "of 40 groups" in grouped["metrics"]["auc_micro"]["method"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": np.full((4, 2), 2)}, "`labels` must be -1, 0, 1"),
        ({"predictions": np.full((4, 2), -1)}, "`predictions` must be 0, 1"),
        ({"scores": np.full((4, 2), 1.5)}, "`scores` must be from 0 to 1. Received: 1.5 to 1.5."),
        ({"groups": ["a"]}, "one name per image"),
    ],
)
def test_faulty_arguments_are_named(changes, said):
    given = {"labels": np.eye(4, 2, dtype=int), "scores": np.full((4, 2), 0.5), "predictions": np.zeros((4, 2), int)}
    with pytest.raises(InputError, match=said):
        evaluate_labels(**{**given, **changes}, classes=("a", "b"))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "groups"), [(60, None), (400, None), (200, 40)])
def test_intervals_hold_the_true_values(n, groups):
    names = [*MEANS[:8], "accuracy", "auc_micro", "f1_micro", "exact_match", "hamming_loss"]
    labels, scores, guesses, _ = draw(200_000, seed=1)
    if groups is not None:
        labels, scores, guesses, _ = draw(200_000, seed=1, groups=40_000)
    truth = values(evaluate_labels(labels, scores, guesses, NAMES, only=("auc",)))
    truth |= _measure(labels, scores, guesses)
    hits, draws = dict.fromkeys(names, 0), 500
    for seed in range(draws):
        labels, scores, guesses, owners = draw(n, seed + 10, groups=groups)
        owners = None if groups is None else [f"p{owner}" for owner in owners]
        found = evaluate_labels(labels, scores, guesses, NAMES, owners)["metrics"]
        for name in names:
            low, high = found[name]["low"], found[name]["high"]
            hits[name] += low is None or low <= truth[name] <= high
    shares = {name: hit / draws for name, hit in hits.items()}
    print(n, groups, shares)
    assert all(0.92 <= share <= 0.985 for share in shares.values()), shares


def _measure(labels, scores, guesses):
    """Return the values of a large sample, without intervals."""
    pairs = list(zip(labels.T, scores.T, guesses.T, strict=True))
    return {
        "average_precision": theirs.average_precision_score(labels, scores, average="macro"),
        "sensitivity": theirs.recall_score(labels, guesses, average="macro"),
        "specificity": np.mean([theirs.recall_score(1 - own, 1 - guess) for own, _, guess in pairs]),
        "ppv": theirs.precision_score(labels, guesses, average="macro"),
        "npv": np.mean([theirs.precision_score(1 - own, 1 - guess) for own, _, guess in pairs]),
        "balanced_accuracy": np.mean([theirs.balanced_accuracy_score(own, guess) for own, _, guess in pairs]),
        "f1": theirs.f1_score(labels, guesses, average="macro"),
        "accuracy": (labels == guesses).mean(),
        "auc": theirs.roc_auc_score(labels, scores, average="macro"),
        "auc_micro": theirs.roc_auc_score(labels, scores, average="micro"),
        "f1_micro": theirs.f1_score(labels, guesses, average="micro"),
        "exact_match": (labels == guesses).all(axis=1).mean(),
        "hamming_loss": (labels != guesses).mean(),
    }


def test_labels_without_an_error_share_their_images():
    labels = np.zeros((60, 3), int)
    labels[:10] = 1
    scores = np.where(labels, 0.9, 0.1)
    scores[20:44] = 0.6
    guesses = (scores >= 0.5).astype(int)
    for k in (1, 3, 14):  # copies of one label say as much as one
        copies = [np.repeat(table[:, :1], max(k, 2), axis=1) for table in (labels, scores, guesses)]
        found = evaluate_labels(*copies, [f"label {i}" for i in range(max(k, 2))])
        alone = found["per_class"]["label 0"]
        for name in ("sensitivity", "specificity", "npv", "accuracy"):
            mean = found["metrics"][name]
            assert (mean["low"], mean["high"]) == pytest.approx((alone[name]["low"], alone[name]["high"]), abs=1e-12)
    apart = labels.copy()
    apart[:, 1], apart[50:, 1], apart[:10, 1] = 0, 1, 0
    right = evaluate_labels(apart[:, :2], np.where(apart, 0.9, 0.1)[:, :2], apart[:, :2], NAMES[:2])
    low = right["per_class"]["edema"]["sensitivity"]["low"]
    # Ten images of one label and ten others of the other are independent.
    assert right["metrics"]["sensitivity"]["low"] == pytest.approx(1 - (1 - low) / np.sqrt(2), abs=1e-12)


def test_a_mean_over_labels_says_on_how_few_images_it_rests():
    random = np.random.RandomState(0)
    labels = np.zeros((60, 3), int)
    for own, positives in enumerate((30, 3, 1)):
        labels[random.permutation(60)[:positives], own] = 1
    scores = np.clip(0.3 * labels + 0.6 * random.rand(60, 3), 0, 1)
    found = evaluate_labels(labels, scores, (scores > 0.5).astype(int), ("edema", "mass", "rare"))["metrics"]
    assert found["auc"]["note"] == "For label 'rare' it rests on 1 image."
    assert found["sensitivity"]["low"] is None
    assert found["sensitivity"]["note"].startswith("Fewer than 2 images decide, ")
    assert "note" not in found["accuracy"]
    assert found["accuracy"]["low"] is not None
