"""Every number equals scikit-learn's, and the intervals mean what they say."""

import time

import numpy as np
import pytest
from sklearn import metrics as reference

from tlmed.errors import InputError
from tlmed.metrics import _draw_weights, _rate, _stratify, evaluate, macro_auc, positive_index, roc_curve, wilson


def make_case(seed, n=80, k=3, digits=None):
    """Draw labels with every class, scores that know something, and their argmax; few digits make ties."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(k), rng.integers(k, size=n - k)]
    scores = rng.dirichlet(np.ones(k), n)
    scores[np.arange(n), labels] += rng.random(n) * 0.5
    if digits is not None:
        scores = np.round(scores, digits)
    return labels, scores, scores.argmax(axis=1)


CASES = [(seed, k, digits) for seed in range(4) for k in (2, 3, 5) for digits in (None, 1, 0)]


@pytest.mark.parametrize(("seed", "k", "digits"), CASES)
def test_auc_equals_scikit_learn_with_ties(seed, k, digits):
    labels, scores, _ = make_case(seed, k=k, digits=digits)
    areas = [reference.roc_auc_score(labels == c, scores[:, c]) for c in range(k)]
    assert macro_auc(labels, scores) == pytest.approx(areas[1] if k == 2 else np.mean(areas), abs=1e-10)


@pytest.mark.parametrize(("seed", "k", "digits"), CASES)
def test_evaluate_equals_scikit_learn(seed, k, digits):
    labels, scores, guesses = make_case(seed, k=k, digits=digits)
    classes = [f"class {c}" for c in range(k)]
    result = evaluate(labels, scores, guesses, classes, draws=50)
    average = {"average": "binary"} if k == 2 else {"average": "macro"}
    specificities = [reference.recall_score(labels != c, guesses != c) for c in range(k)]
    areas = [reference.roc_auc_score(labels == c, scores[:, c]) for c in range(k)]
    expected = {
        "accuracy": reference.accuracy_score(labels, guesses),
        "auc": areas[1] if k == 2 else np.mean(areas),
        "sensitivity": reference.recall_score(labels, guesses, **average),
        "specificity": specificities[1] if k == 2 else np.mean(specificities),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, guesses),
        "f1": reference.f1_score(labels, guesses, **average),
    }
    assert {name: entry["value"] for name, entry in result["metrics"].items()} == pytest.approx(expected, abs=1e-10)
    assert result["confusion"] == reference.confusion_matrix(labels, guesses).tolist()
    recalls = reference.recall_score(labels, guesses, average=None)
    for c, name in enumerate(classes):
        entry = result["per_class"][name]
        assert entry["n"] == np.count_nonzero(labels == c)
        got = [entry[key]["value"] for key in ("sensitivity", "specificity", "auc")]
        assert got == pytest.approx([recalls[c], specificities[c], areas[c]], abs=1e-10)


def test_the_form_of_the_result_is_the_contracts_and_plain_data():
    result = evaluate(*make_case(0, k=2), ["benign", "malignant"], draws=50)
    assert list(result) == ["split", "n", "classes", "positive", "groups", "metrics", "per_class", "confusion"]
    names = ["accuracy", "auc", "sensitivity", "specificity", "balanced_accuracy", "f1"]
    assert list(result["metrics"]) == names
    assert (result["split"], result["positive"], result["groups"]) == ("test", "malignant", None)
    for entry in [*result["metrics"].values(), *list(result["per_class"]["benign"].values())[1:]]:
        assert list(entry) == ["value", "low", "high", "method"]
        assert [type(entry[key]) for key in entry] == [float, float, float, str]
        assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1
    assert type(result["n"]) is type(result["per_class"]["benign"]["n"]) is type(result["confusion"][0][0]) is int


@pytest.mark.parametrize(("classes", "positive", "index"), [("ab", None, 1), ("ba", None, 0), ("ab", "a", 0)])
def test_sensitivity_is_about_the_positive_class_whatever_the_order(classes, positive, index):
    labels, scores, guesses = make_case(3, k=2)
    result = evaluate(labels, scores, guesses, list(classes), positive, draws=50)
    assert result["positive"] == classes[index]
    own = result["per_class"][classes[index]]
    for name in ("sensitivity", "specificity", "auc", "f1"):
        assert result["metrics"][name] == own[name]
    assert own["sensitivity"]["value"] == reference.recall_score(labels, guesses, pos_label=index)


# Newcombe, Statistics in Medicine 1998, 17:857-872, table I, method 3.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_worked_examples(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_proportions_of_images_get_wilson_and_the_rest_a_bootstrap():
    labels, scores, guesses = make_case(1, k=2)
    result = evaluate(labels, scores, guesses, ["a", "b"], draws=50)
    methods = {name: entry["method"] for name, entry in result["metrics"].items()}
    assert {name for name, method in methods.items() if method == "Wilson score"} == {
        "accuracy",
        "sensitivity",
        "specificity",
    }
    assert methods["auc"] == "percentile bootstrap stratified by class, 50 draws"
    entry, hits = result["metrics"]["sensitivity"], int((guesses[labels == 1] == 1).sum())
    assert (entry["low"], entry["high"]) == wilson(hits, int((labels == 1).sum()))
    macro = evaluate(*make_case(1, k=3), ["a", "b", "c"], draws=50)["metrics"]
    assert {name for name, entry in macro.items() if entry["method"] == "Wilson score"} == {"accuracy"}


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("digits", [None, 1])
def test_every_resample_is_scored_as_scikit_learn_would(k, digits):
    labels, scores, guesses = make_case(5, k=k, digits=digits)
    strata, members = _stratify(labels)
    (weights,) = _draw_weights(strata, len(labels), 20, np.random.default_rng(0))
    rates = _rate(labels, scores, guesses, 1 if k == 2 else None, weights[members])
    for draw, weight in enumerate(weights.T):
        for c in range(k):
            truth, guess = labels == c, guesses == c
            expected = {
                "auc": reference.roc_auc_score(truth, scores[:, c], sample_weight=weight),
                "sensitivity": reference.recall_score(truth, guess, sample_weight=weight),
                "specificity": reference.recall_score(~truth, ~guess, sample_weight=weight),
                "f1": reference.f1_score(truth, guess, sample_weight=weight),
            }
            assert {name: rate[draw] for name, rate in rates[c].items()} == pytest.approx(
                {name: expected[name] for name in rates[c]}, abs=1e-10
            )
        accuracy = reference.accuracy_score(labels, guesses, sample_weight=weight)
        assert rates[None]["accuracy"][draw] == pytest.approx(accuracy, abs=1e-10)


def test_resamples_are_drawn_with_replacement_within_each_class():
    strata = [np.arange(30), np.arange(30, 40)]
    (weights,) = _draw_weights(strata, 40, 5000, np.random.default_rng(0))
    for stratum in strata:
        m = len(stratum)
        assert set(weights[stratum].sum(axis=0)) == {m}
        assert weights[stratum].mean(axis=1) == pytest.approx(1, abs=0.1)
        assert weights[stratum].var() == pytest.approx(1 - 1 / m, abs=0.03)  # the multinomial's


def test_the_seed_decides_the_intervals():
    case = (*make_case(2), ["a", "b", "c"])
    assert evaluate(*case, draws=100) == evaluate(*case, draws=100)
    assert evaluate(*case, draws=100)["metrics"]["auc"] != evaluate(*case, draws=100, seed=1)["metrics"]["auc"]


def test_several_images_per_group_make_every_interval_a_wider_one_by_groups():
    labels, scores, guesses = (np.repeat(part, 6, axis=0) for part in make_case(4, n=50, k=2))
    groups = [f"patient {i // 6}" for i in range(len(labels))]
    by_rows = evaluate(labels, scores, guesses, ["a", "b"], draws=500)
    by_groups = evaluate(labels, scores, guesses, ["a", "b"], groups=groups, draws=500)
    assert by_groups["groups"] == 50
    for name, entry in by_groups["metrics"].items():
        rows = by_rows["metrics"][name]
        assert entry["method"] == "percentile bootstrap of 50 groups, 500 draws"
        assert entry["value"] == rows["value"]
        assert entry["high"] - entry["low"] > 1.5 * (rows["high"] - rows["low"])
    assert "groups" in by_groups["per_class"]["a"]["sensitivity"]["method"]


@pytest.mark.parametrize(
    ("groups", "number"), [(None, None), ([""] * 80, None), ([str(i) for i in range(80)], 80), (["x"] + [""] * 79, 80)]
)
def test_groups_of_one_image_change_nothing_but_their_number(groups, number):
    case = (*make_case(0), ["a", "b", "c"])
    plain, grouped = evaluate(*case, draws=50), evaluate(*case, groups=groups, draws=50)
    assert grouped["groups"] == number
    assert grouped["metrics"] == plain["metrics"]


def test_a_class_without_images_is_undefined_and_says_so():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    result = evaluate(np.zeros(3, int), scores, scores.argmax(axis=1), ["benign", "malignant"], draws=50)
    for name in ("auc", "sensitivity", "balanced_accuracy", "f1"):
        assert result["metrics"][name] == {
            "value": None,
            "low": None,
            "high": None,
            "method": None,
            "reason": "The split has no image of class 'malignant'.",
        }
    assert result["metrics"]["specificity"]["value"] == pytest.approx(2 / 3)
    assert result["per_class"]["benign"]["specificity"]["reason"] == "The split has images of class 'benign' only."
    assert macro_auc(np.zeros(3, int), scores) is None


def test_a_mean_over_classes_leaves_an_absent_one_out_and_says_so():
    labels, scores, guesses = make_case(0, k=3)
    rows = labels != 1
    result = evaluate(labels[rows], scores[rows], guesses[rows], ["a", "b", "c"], draws=50)
    areas = [reference.roc_auc_score(labels[rows] == c, scores[rows, c]) for c in (0, 2)]
    assert result["metrics"]["auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-10)
    assert macro_auc(labels[rows], scores[rows]) == pytest.approx(np.mean(areas), abs=1e-10)
    assert result["metrics"]["auc"]["note"] == "Mean over the classes present; there is no image of 'b'."
    assert result["per_class"]["b"]["auc"]["reason"] == "The split has no image of class 'b'."
    assert result["per_class"]["b"]["specificity"]["value"] is not None
    assert "note" not in result["metrics"]["accuracy"]


@pytest.mark.parametrize("flip", [False, True])
def test_a_perfect_auc_is_marked_for_its_interval_says_nothing(flip):
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = np.eye(2)[1 - labels if flip else labels]
    entry = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], draws=50)["metrics"]["auc"]
    assert entry["value"] == entry["low"] == entry["high"] == float(not flip)
    assert "no width" in entry["note"]


def test_resamples_that_lose_a_class_are_counted():
    labels = np.array([0] * 10 + [1] * 4)
    groups = [str(i // 2) for i in range(14)]
    scores = np.random.default_rng(0).dirichlet([1, 1], 14)
    entry = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], groups=groups, draws=300)["metrics"]["auc"]
    assert entry["note"].endswith("resamples without images of a class were left out.")
    assert entry["low"] <= entry["value"] <= entry["high"]


def test_scores_that_are_not_finite_have_no_auc():
    assert macro_auc(np.array([0, 1]), np.array([[0.5, np.nan], [0.5, 0.5]])) is None


@pytest.mark.parametrize("digits", [None, 1])
def test_roc_curve_equals_scikit_learn(digits):
    labels, scores, _ = make_case(7, k=2, digits=digits)
    false, true, _ = reference.roc_curve(labels, scores[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(labels == 1, scores[:, 1]), (false, true), atol=1e-12)


def test_all_faults_of_the_arguments_are_named_at_once():
    with pytest.raises(InputError) as caught:
        evaluate([0, 3], [[0.5, np.inf], [0.5, 0.5]], [0], ["a", "b"], groups=["x"], draws=0)
    assert [fault.partition(" must ")[0] for fault in caught.value.faults] == [
        "`scores`",
        "`labels`",
        "`predictions`",
        "`groups`",
        "`draws`",
    ]
    with pytest.raises(InputError, match="`labels` must hold one image or more"):
        evaluate(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int), ["a", "b"])


@pytest.mark.parametrize(
    ("classes", "positive", "message"),
    [
        (["benign", "malignant"], "malignent", "Did you mean 'malignant'.*Received: positive='malignent'"),
        (["a", "b", "c"], "a", "`positive` needs exactly two classes"),
    ],
)
def test_a_wrong_positive_class_is_refused(classes, positive, message):
    with pytest.raises(InputError, match=message):
        positive_index(classes, positive)


def draw_scores(rng, n):
    """Normal scores one standard deviation apart: their AUC is Phi(1 / sqrt(2)) = 0.7602."""
    labels = np.repeat([0, 1], n)
    scores = 1 / (1 + np.exp(-(rng.normal(size=2 * n) + labels)))
    return labels, np.stack([1 - scores, scores], axis=1)


@pytest.mark.slow
def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng, auc, accuracy = np.random.default_rng(0), 0, 0
    for _ in range(300):
        labels, scores = draw_scores(rng, 50)
        guesses = (scores[:, 1] > 1 / (1 + np.exp(-0.5))).astype(int)  # right with Phi(1 / 2) = 0.6915
        found = evaluate(labels, scores, guesses, ["a", "b"], draws=300)["metrics"]
        auc += found["auc"]["low"] <= 0.76025 <= found["auc"]["high"]
        accuracy += found["accuracy"]["low"] <= 0.69146 <= found["accuracy"]["high"]
    assert 0.91 <= auc / 300 <= 0.98
    assert 0.91 <= accuracy / 300 <= 0.985


@pytest.mark.slow
def test_only_intervals_by_groups_cover_the_truth_where_images_repeat_a_patient():
    rng, rows, groups = np.random.default_rng(0), 0, 0
    owners = [str(i // 5) for i in range(400)]
    for _ in range(200):
        labels, scores = (np.repeat(part, 5, axis=0) for part in draw_scores(rng, 40))
        case = (labels, scores, scores.argmax(axis=1), ["a", "b"])
        alone, together = (evaluate(*case, groups=own, draws=300)["metrics"]["auc"] for own in (None, owners))
        rows += alone["low"] <= 0.76025 <= alone["high"]
        groups += together["low"] <= 0.76025 <= together["high"]
    assert groups / 200 >= 0.9
    assert rows / 200 <= 0.75


@pytest.mark.slow
def test_ten_thousand_images_take_seconds():
    case = make_case(0, n=10_000, k=5)
    start = time.process_time()
    evaluate(*case, list("abcde"))
    assert time.process_time() - start < 10
