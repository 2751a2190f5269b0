"""Every number equals scikit-learn's, and what is undefined says so."""

import json
import re
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from sklearn import metrics as reference

from tlmed.errors import InputError
from tlmed.metrics import METRICS, evaluate, macro_auc, positive_index, roc_curve
from tlmed.metrics.definitions import CLASS_METRICS, make_case, rate
from tlmed.metrics.packed_confusion import unpack_confusion
from tlmed.metrics.resampling import draw_weights, number_groups


def draw_case(seed, n=80, k=3, digits=None):
    """Draw labels with every class, probabilities that know something, and their argmax; few digits make ties."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(k), rng.integers(k, size=n - k)]
    scores = rng.dirichlet(np.ones(k), n)
    scores[np.arange(n), labels] += rng.random(n) * 0.5
    scores /= scores.sum(axis=1, keepdims=True)
    if digits is not None:
        scores = np.round(scores, digits)
        scores[:, -1] = 1 - scores[:, :-1].sum(axis=1)
        # The last class may have taken a little more than there was.
        scores = np.abs(scores) / np.abs(scores).sum(axis=1, keepdims=True)
    return labels, scores, scores.argmax(axis=1)


CASES = [(seed, k, digits) for k in (2, 3, 5) for seed, digits in enumerate((None, 1, 0))]


@pytest.mark.parametrize(("seed", "k", "digits"), CASES)
def test_auc_equals_scikit_learn_with_ties(seed, k, digits):
    labels, scores, _ = draw_case(seed, k=k, digits=digits)
    areas = [reference.roc_auc_score(labels == c, scores[:, c]) for c in range(k)]
    assert macro_auc(labels, scores) == pytest.approx(areas[1] if k == 2 else np.mean(areas), abs=1e-10)


def count_error(labels, scores, guesses, weights):
    """Return the expected calibration error by its definition: bin for bin, image for image."""
    two = scores.shape[1] == 2
    error = 0.0
    for number in range(10):
        weight = confidence = right = 0.0
        for label, row, guess, w in zip(labels, scores, guesses, weights, strict=True):
            p = min(max(row[1] if two else row[guess], 0.0), 1.0)
            if number / 10 <= p < (number + 1) / 10 or (number == 9 and p >= 1):
                weight, confidence = weight + w, confidence + w * p
                right += w * (label == 1 if two else label == guess)
        if weight:
            error += weight / sum(weights) * abs(right / weight - confidence / weight)
    return error


def ask_scikit_learn(labels, scores, guesses, weights):
    """Return every metric, and those of each class, as scikit-learn computes them."""
    k, w = scores.shape[1], {"sample_weight": weights}
    present = np.unique(labels)
    classwise = []
    for c in range(k):
        truth, guess = labels == c, guesses == c
        classwise.append(
            {
                "auc": reference.roc_auc_score(truth, scores[:, c], **w) if c in present else np.nan,
                "sensitivity": reference.recall_score(truth, guess, zero_division=np.nan, **w),
                "specificity": reference.recall_score(~truth, ~guess, zero_division=np.nan, **w),
                "ppv": reference.precision_score(truth, guess, zero_division=np.nan, **w),
                "npv": reference.precision_score(~truth, ~guess, zero_division=np.nan, **w),
                "f1": reference.f1_score(truth, guess, zero_division=np.nan, **w),
                "average_precision": reference.average_precision_score(truth, scores[:, c], **w) if c in present else 0,
            }
        )
    shown = [1] if k == 2 else present
    overall = {name: np.mean([classwise[c][name] for c in shown]) for name in CLASS_METRICS}
    onehot = np.eye(k)[labels]
    clipped = np.clip(scores, np.finfo(float).eps, 1 - np.finfo(float).eps)
    overall |= {
        "accuracy": reference.accuracy_score(labels, guesses, **w),
        "balanced_accuracy": np.mean([classwise[c]["sensitivity"] for c in present]),
        "mcc": reference.matthews_corrcoef(labels, guesses, **w),
        "kappa": reference.cohen_kappa_score(labels, guesses, labels=range(k), **w),
        "quadratic_kappa": reference.cohen_kappa_score(labels, guesses, labels=range(k), weights="quadratic", **w),
        "log_loss": np.average(-(onehot * np.log(clipped)).sum(axis=1), weights=weights),
        "brier": np.average(((scores - onehot) ** 2).sum(axis=1) / (2 if k == 2 else 1), weights=weights),
        "ece": count_error(labels, scores, guesses, weights),
    }
    return overall, classwise


def weigh(seed, n, kind):
    rng = np.random.default_rng(seed)
    return {"counts": rng.poisson(1, n).astype(float), "shares": rng.random(n)}[kind]


@pytest.mark.parametrize("kind", ["counts", "shares"])
@pytest.mark.parametrize(("seed", "k", "digits"), CASES)
def test_every_metric_equals_scikit_learns_with_weights(seed, k, digits, kind):
    labels, scores, guesses = draw_case(seed, k=k, digits=digits)
    if k == 5:  # a class that only appears among the predictions
        labels = np.where(labels == 3, 0, labels)
    weights = weigh(seed, len(labels), kind)
    case = make_case(labels, scores, guesses, 1 if k == 2 else None)
    found = rate(case, np.stack([weights, np.ones(len(labels))], axis=1))
    overall, classwise = ask_scikit_learn(labels, scores, guesses, weights)
    assert list(found[None]) == list(METRICS)
    for name in METRICS:
        assert found[None][name][0] == pytest.approx(overall[name], abs=1e-10, nan_ok=True), name
    for c in np.unique(labels):
        got = {name: values[0] for name, values in found[c].items()}
        assert got == pytest.approx(classwise[c], abs=1e-10, nan_ok=True)


def test_log_loss_and_brier_score_are_scikit_learns():
    for k in (2, 4):
        labels, scores, guesses = draw_case(0, k=k)
        weights = weigh(0, len(labels), "counts")
        found = rate(make_case(labels, scores, guesses, 1 if k == 2 else None), weights[:, None])[None]
        expected = reference.log_loss(labels, scores, sample_weight=weights)
        assert found["log_loss"][0] == pytest.approx(expected, abs=1e-10)
        shown = scores[:, 1] if k == 2 else scores
        assert found["brier"][0] == pytest.approx(
            reference.brier_score_loss(labels, shown, sample_weight=weights), abs=1e-10
        )


def test_quadratic_kappa_takes_classes_in_their_given_order():
    labels, guesses = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    scores = np.eye(3)[guesses]
    one = rate(make_case(labels, scores, guesses, None), np.ones((6, 1)))[None]
    order = np.array([1, 0, 2])  # another order of the same classes
    other = rate(make_case(order[labels], scores[:, order], order[guesses], None), np.ones((6, 1)))[None]
    assert one["kappa"] == pytest.approx(other["kappa"])
    assert one["quadratic_kappa"][0] == pytest.approx(4 / 9, abs=1e-12)  # 1 - 6 (1 + 4) / 54, by hand
    assert other["quadratic_kappa"][0] != pytest.approx(one["quadratic_kappa"][0])


@pytest.mark.parametrize(("seed", "k", "digits"), CASES[::2])
def test_evaluate_gives_these_numbers_and_the_confusion(seed, k, digits):
    labels, scores, guesses = draw_case(seed, k=k, digits=digits)
    classes = [f"class {c}" for c in range(k)]
    result = evaluate(labels, scores, guesses, classes, draws=20)
    overall, classwise = ask_scikit_learn(labels, scores, guesses, np.ones(len(labels)))
    assert {name: entry["value"] for name, entry in result["metrics"].items()} == pytest.approx(overall, abs=1e-10)
    assert result["confusion"] == reference.confusion_matrix(labels, guesses).tolist()
    for c, name in enumerate(classes):
        entry = result["per_class"][name]
        assert entry.pop("n") == np.count_nonzero(labels == c)
        assert {key: found["value"] for key, found in entry.items()} == pytest.approx(classwise[c], abs=1e-10)


def test_the_form_of_the_result_is_the_contracts_and_plain_data():
    result = evaluate(*draw_case(0, k=2), ["benign", "malignant"], draws=50)
    assert list(result) == ["split", "n", "classes", "positive", "groups", "metrics", "per_class", "confusion"]
    names = ["accuracy", "auc", "sensitivity", "specificity", "ppv", "npv", "balanced_accuracy", "f1", "mcc", "kappa"]
    assert list(result["metrics"]) == [*names, "quadratic_kappa", "average_precision", "log_loss", "brier", "ece"]
    assert (result["split"], result["positive"], result["groups"]) == ("test", "malignant", None)
    for entry in [*result["metrics"].values(), *list(result["per_class"]["benign"].values())[1:]]:
        assert list(entry)[:4] == ["value", "low", "high", "method"]
        assert [type(entry[key]) for key in entry][:4] == [float, float, float, str]
        assert -1 <= entry["low"] <= entry["value"] <= entry["high"] <= 1
        assert re.search(r"\(.*(19|20)\d\d.*\)$", entry["method"])  # a source
    assert type(result["n"]) is type(result["per_class"]["benign"]["n"]) is type(result["confusion"][0][0]) is int


@pytest.mark.parametrize(("classes", "positive", "index"), [("ab", None, 1), ("ba", None, 0), ("ab", "a", 0)])
def test_sensitivity_is_about_the_positive_class_whatever_the_order(classes, positive, index):
    labels, scores, guesses = draw_case(3, k=2)
    result = evaluate(labels, scores, guesses, list(classes), positive, draws=50)
    assert result["positive"] == classes[index]
    own = result["per_class"][classes[index]]
    for name in ("sensitivity", "specificity", "auc", "f1"):
        assert result["metrics"][name] == own[name]
    assert own["sensitivity"]["value"] == reference.recall_score(labels, guesses, pos_label=index)


@pytest.mark.parametrize("groups", [None, [str(i // 3) for i in range(60)]])
def test_resamples_are_drawn_with_replacement_from_all_units_alike(groups):
    members = np.arange(60) if groups is None else number_groups(groups)
    (weights,) = draw_weights(members, 5000, 0, "test")
    units = members.max() + 1
    own = weights[np.unique(members, return_index=True)[1]]
    assert (weights == own[members]).all()
    assert set(own.sum(axis=0)) == {units}
    assert own.mean(axis=1) == pytest.approx(1, abs=0.1)
    assert own.var() == pytest.approx(1 - 1 / units, abs=0.03)  # the multinomial's
    half = weights[: len(members) // 2].sum(axis=0)
    assert half.var() > len(members) / 8  # the mix of classes is not fixed


def test_the_seed_decides_the_intervals():
    case = (*draw_case(2), ["a", "b", "c"])
    assert evaluate(*case, draws=100) == evaluate(*case, draws=100)
    first, second = (evaluate(*case, draws=100, seed=seed)["metrics"] for seed in (0, 1))
    assert [name for name in METRICS if first[name] != second[name]] == ["ece"]


@pytest.mark.parametrize(
    ("groups", "number"), [(None, None), ([""] * 80, None), ([str(i) for i in range(80)], 80), (["x"] + [""] * 79, 80)]
)
def test_groups_of_one_image_change_nothing_but_their_number(groups, number):
    case = (*draw_case(0), ["a", "b", "c"])
    plain, grouped = evaluate(*case, draws=50), evaluate(*case, groups=groups, draws=50)
    assert grouped["groups"] == number
    assert grouped["metrics"] == plain["metrics"]
    assert "largest_group" not in {**plain, **grouped}


def test_the_largest_group_is_counted():
    groups = ["a"] * 9 + ["", *"bbcc"] + [str(i) for i in range(66)]
    assert evaluate(*draw_case(0), ["a", "b", "c"], groups=groups, draws=50)["largest_group"] == 9


def test_a_class_without_images_is_undefined_and_says_so():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    result = evaluate(np.zeros(3, int), scores, scores.argmax(axis=1), ["benign", "malignant"], draws=50)
    for name in ("auc", "sensitivity", "balanced_accuracy", "f1"):
        assert result["metrics"][name] == {
            "value": None,
            "low": None,
            "high": None,
            "method": None,
            "reason": "No image is of class 'malignant'.",
        }
    assert result["metrics"]["specificity"]["value"] == pytest.approx(2 / 3)
    assert result["per_class"]["benign"]["specificity"]["reason"] == "All images are of class 'benign'."
    assert macro_auc(np.zeros(3, int), scores) is None


def test_a_mean_over_classes_leaves_an_absent_one_out_and_says_so():
    labels, scores, guesses = draw_case(0, k=3)
    rows = labels != 1
    result = evaluate(labels[rows], scores[rows], guesses[rows], ["a", "b", "c"], draws=50)
    areas = [reference.roc_auc_score(labels[rows] == c, scores[rows, c]) for c in (0, 2)]
    assert result["metrics"]["auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-10)
    assert macro_auc(labels[rows], scores[rows]) == pytest.approx(np.mean(areas), abs=1e-10)
    assert result["metrics"]["auc"]["note"] == "Mean over the classes present; there is no image of 'b'."
    assert result["per_class"]["b"]["auc"]["reason"] == "No image is of class 'b'."
    assert result["per_class"]["b"]["specificity"]["value"] is not None
    assert "note" not in result["metrics"]["accuracy"]


def test_a_class_that_is_never_predicted_has_no_predictive_value():
    labels, scores = (
        np.array([0, 1, 2, 0]),
        np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.9, 0.1, 0]]),
    )
    result = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b", "c"], draws=20)
    assert result["metrics"]["ppv"]["reason"] == result["per_class"]["b"]["ppv"]["reason"]
    assert result["metrics"]["ppv"]["reason"] == "No image was predicted as class 'b'."
    assert result["metrics"]["npv"]["value"] is not None
    assert result["per_class"]["b"]["f1"]["value"] == 0


def test_one_prediction_for_all_images_has_no_correlation_and_says_so():
    labels, scores = np.array([0, 1, 1, 0, 1]), np.tile([0.3, 0.7], (5, 1))
    result = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], draws=50)["metrics"]
    assert result["mcc"]["reason"] == result["npv"]["reason"] == "Every image was predicted as class 'b'."
    assert (result["kappa"]["value"], result["sensitivity"]["value"], result["auc"]["value"]) == (0, 1, 0.5)
    assert result["auc"]["low"] < 0.5 < result["auc"]["high"]
    assert "do not vary" in result["auc"]["note"]


@pytest.mark.parametrize("k", [2, 3])
def test_a_split_of_one_class_says_what_is_undefined(k):
    labels, (_, scores, guesses) = np.ones(12, int), draw_case(1, n=12, k=k)
    result = evaluate(labels, scores, guesses, list("abc")[:k], draws=20)["metrics"]
    undefined = {name for name, entry in result.items() if entry["value"] is None}
    expected = {"auc", "specificity", "ppv", "npv", "mcc", "kappa", "quadratic_kappa", "average_precision"}
    assert undefined == expected | ({"balanced_accuracy"} if k == 2 else set())
    for name in undefined:
        assert result[name]["reason"] in (
            "All images are of class 'b'.",
            "No image is of class 'a'.",
        ), name


def test_five_images_have_intervals_or_a_note_and_are_said_to_be_few():
    labels, scores = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.3, 0.6, 0.4, 0.9])
    scores = np.stack([1 - scores, scores], axis=1)
    for groups in (None, list("aabbc"), list("aaaaa")):
        result = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], groups=groups, draws=200)
        for name, entry in result["metrics"].items():
            if entry["low"] is None:
                assert re.search("no interval follows|their mean has none", entry["note"]), name
            else:
                assert entry["low"] <= entry["value"] <= entry["high"], (name, groups)
            assert re.search(r"It rests on \d (images?|groups?)", entry["note"]), name
        bounded = {name for name, entry in result["metrics"].items() if entry["low"] is not None}
        if groups is not None:
            assert bounded <= {"sensitivity", "ppv"}  # of two images of two groups, as if they stood alone
            continue
        assert result["metrics"]["auc"]["high"] - result["metrics"]["auc"]["low"] > 0.5
        assert set(METRICS) - bounded == {"average_precision", "log_loss", "brier"}


def test_what_rests_on_few_images_says_on_which():
    labels = np.r_[np.zeros(40, int), np.ones(4, int)]
    scores = np.random.default_rng(0).dirichlet((1, 1), 44)
    found = evaluate(labels, scores, scores.argmax(axis=1), ["benign", "malignant"], draws=50)
    for name in ("auc", "sensitivity", "balanced_accuracy", "f1", "mcc", "kappa", "log_loss", "brier", "ece"):
        assert found["metrics"][name]["note"].endswith("It rests on 4 images of class 'malignant'."), name
    for name in ("accuracy", "specificity", "npv"):
        assert "note" not in found["metrics"][name], name
    assert found["metrics"]["average_precision"]["note"].startswith("Fewer than 5 images decide, from which no")
    assert found["per_class"]["benign"]["specificity"]["note"].endswith("outside class 'benign'.")
    alone = evaluate(labels[:41], scores[:41], scores[:41].argmax(axis=1), ["benign", "malignant"], draws=50)
    for name in ("f1", "sensitivity", "auc"):
        assert alone["metrics"][name]["note"].endswith("It rests on 1 image of class 'malignant'."), name
    assert alone["metrics"]["brier"]["low"] is None
    three = evaluate(np.r_[labels, [2] * 12], np.eye(3)[np.r_[labels, [2] * 12]], np.r_[labels, [2] * 12], list("abc"))
    assert three["metrics"]["brier"]["note"].startswith("All images count alike")
    assert three["metrics"]["f1"]["note"] == "It rests on 4 images of class 'b'."


def test_scores_that_are_no_probabilities_have_no_calibration():
    labels, scores, guesses = draw_case(0, k=2)
    result = evaluate(labels, 3 * scores, guesses, ["a", "b"], draws=20)["metrics"]
    for name in ("log_loss", "brier", "ece"):
        assert result[name]["reason"] == "The scores are not probabilities that sum to 1."
    assert result["auc"] == evaluate(labels, scores, guesses, ["a", "b"], draws=20)["metrics"]["auc"]


def test_only_some_metrics_are_the_same_as_among_all():
    case = (*draw_case(0), ["a", "b", "c"])
    every, some = evaluate(*case, draws=50), evaluate(*case, draws=50, only=("auc", "accuracy"))
    assert list(some["metrics"]) == ["accuracy", "auc"]
    assert some["metrics"] == {name: every["metrics"][name] for name in ("accuracy", "auc")}
    assert list(some["per_class"]["a"]) == ["n", "auc"]
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        evaluate(*case, only=["acuracy"])


def test_what_training_looks_at_imports_neither_scipy_nor_scikit_learn():
    code = "import sys, tlmed.metrics; sys.exit(str([m for m in sys.modules if m in ('scipy', 'sklearn')] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_scores_that_are_not_finite_have_no_auc():
    assert macro_auc(np.array([0, 1]), np.array([[0.5, np.nan], [0.5, 0.5]])) is None


@pytest.mark.parametrize("digits", [None, 1])
def test_roc_curve_equals_scikit_learn(digits):
    labels, scores, _ = draw_case(7, k=2, digits=digits)
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


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(("9", "10"), "10"), (("10", "9"), "10"), (("0", "1"), "1"), (("b", "a"), "b"), (("10", "9a"), "9a")],
)
def test_the_positive_class_is_the_second_in_the_order_of_classes(classes, expected):
    assert classes[positive_index(classes)] == expected


@pytest.mark.slow
def test_ten_thousand_images_take_seconds():
    case = draw_case(0, n=10_000, k=5)
    start = time.process_time()
    evaluate(*case, list("abcde"))
    assert time.process_time() - start < 20


def test_where_all_are_right_a_mean_has_an_interval_from_its_classes_and_what_does_not_vary_none():
    labels = np.repeat([0, 1, 2], [5, 10, 20])
    scores = np.eye(3)[labels] * 0.7 + 0.1
    result = evaluate(labels, scores, labels, ["a", "b", "c"], draws=50)
    found, parts = result["metrics"], result["per_class"].values()
    names = ("auc", "sensitivity", "specificity", "ppv", "npv", "f1", "average_precision", "balanced_accuracy")
    for name in names:
        part = "sensitivity" if name == "balanced_accuracy" else name
        far = np.array([1 - each[part]["low"] for each in parts])
        assert found[name]["low"] == pytest.approx(1 - np.sqrt((far**2).sum()) / 3)
        assert found[name]["low"] < 0.95 < found[name]["value"] == found[name]["high"] == 1
        assert found[name]["method"].startswith("MOVER of 3 classes, each ")
    for name in ("mcc", "kappa", "quadratic_kappa", "log_loss", "brier", "ece"):
        assert (found[name]["low"], found[name]["high"], found[name]["method"]) == (None, None, None)
        assert "from which no interval follows." in found[name]["note"]


def test_a_class_of_five_right_images_leaves_its_mean_uncertain():
    labels = np.repeat([0, 1], [5, 100])
    guesses = np.r_[np.zeros(5, int), np.zeros(20, int), np.ones(80, int)]
    found = evaluate(labels, np.eye(2)[guesses], guesses, ["a", "b"], draws=50)["metrics"]["balanced_accuracy"]
    assert found["value"] == pytest.approx(0.9)
    # Wilson: 5 of 5 is 0.566 to 1, 80 of 100 is 0.711 to 0.867; before, resamples gave 0.84 to 0.965.
    assert (found["low"], found["high"]) == pytest.approx((0.6783, 0.9333), abs=1e-4)


def test_a_thousand_classes_take_seconds_and_little_memory():
    rng, k, n = np.random.default_rng(0), 1000, 4000
    labels, scores = np.arange(n) % k, rng.dirichlet(np.full(k, 0.1), n)
    scores[np.arange(n), labels] += 0.1
    scores /= scores.sum(axis=1, keepdims=True)
    tracemalloc.start()
    start = time.process_time()
    found = evaluate(labels, scores, scores.argmax(axis=1), [f"c{i}" for i in range(k)])
    seconds, (_, most) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 40  # about 6 without tracemalloc
    assert most < 600e6
    for name in ("accuracy", "auc", "sensitivity", "specificity", "f1", "kappa", "log_loss", "brier", "ece"):
        entry = found["metrics"][name]
        assert entry["low"] < entry["value"] < entry["high"], name
        assert entry["high"] - entry["low"] < 0.25, name
    assert found["metrics"]["average_precision"]["note"].startswith(
        "1000 of 1000 classes have no interval, so that their mean has none."
    )
    assert found["metrics"]["auc"]["note"] == "1000 of 1000 classes have fewer than 10 images."


@pytest.mark.parametrize("k", [99, 100])
def test_from_100_classes_on_a_confusion_has_no_empty_cells(k):
    rng, names = np.random.default_rng(0), [f"class {i}" for i in range(k)]
    labels, guesses = rng.integers(k, size=(2, 300))
    scores = rng.dirichlet(np.ones(k), 300)
    result = evaluate(labels, scores, guesses, names, draws=2, only=["accuracy"])
    expected = reference.confusion_matrix(labels, guesses, labels=range(k))
    if k < 100:
        assert result["confusion"] == expected.tolist()
    else:
        assert result["confusion"][names[labels[0]]][names[guesses[0]]] == expected[labels[0], guesses[0]]
        assert sum(map(len, result["confusion"].values())) == (expected > 0).sum()
    written = json.loads(json.dumps({name: result[name] for name in ("classes", "confusion")}))
    np.testing.assert_array_equal(unpack_confusion(written), expected)


def draw_patients(positives, negatives, images=3):
    """Draw two classes by patients of several images each, all scored at random."""
    labels = np.repeat([1, 0], [positives * images, negatives * images])
    scores = np.random.default_rng(1).dirichlet((1, 1), len(labels))
    return labels, scores, scores.argmax(axis=1), ["a", "b"], [str(i // images) for i in range(len(labels))]


# Groups of the smaller class to the metrics that have an interval.
@pytest.mark.parametrize(
    ("positives", "negatives", "bounded"),
    [
        (1, 8, set()),  # nine patients in all
        (4, 30, {"accuracy", "specificity", "ppv", "npv", "ece"}),
        (5, 30, {"accuracy", "specificity", "ppv", "npv", "ece", "auc", "average_precision", "log_loss", "brier"}),
        (10, 30, set(METRICS)),
    ],
)
def test_few_groups_have_no_interval_and_the_reason_is_said(positives, negatives, bounded):
    *case, groups = draw_patients(positives, negatives)
    found = evaluate(*case, groups=groups, draws=50)["metrics"]
    assert {name for name, entry in found.items() if entry["low"] is not None} == bounded
    for name in set(METRICS) - bounded:
        assert found[name]["value"] is not None
        assert re.fullmatch(
            r"(Fewer than (10|5|2) groups( decide)?, from which no interval follows|"
            r"[12] of 2 classes ha(s|ve) no interval, so that their mean has none)"
            r"\. It rests on \d groups?( (not )?(of|outside|predicted as) class '[ab]')?\.",
            found[name]["note"],
        ), found[name]["note"]


def test_images_that_stand_alone_beside_patients_keep_the_interval_of_a_proportion():
    # Three positive images of three patients: their share is as exact as without groups, whatever the rest is.
    labels, groups = np.repeat([1, 0], [3, 60]), [*"abc", *(str(i // 2) for i in range(60))]
    scores = np.random.default_rng(0).dirichlet((1, 1), 63)
    case = (labels, scores, scores.argmax(axis=1), ["a", "b"])
    alone, grouped = (evaluate(*case, groups=of, draws=20)["metrics"] for of in (None, groups))
    assert all(grouped["sensitivity"][key] == alone["sensitivity"][key] for key in ("low", "high", "method"))
    assert grouped["auc"]["low"] is None


@pytest.mark.parametrize(("k", "bounded"), [(3, False), (30, True)])
def test_a_mean_over_classes_needs_two_images_of_each_but_many_classes_add_up(k, bounded):
    labels = np.r_[0, np.repeat(np.arange(1, k), 4)]
    scores = np.random.default_rng(0).dirichlet(np.ones(k), len(labels))
    found = evaluate(labels, scores, labels, [str(i) for i in range(k)], draws=20, only=["sensitivity"])["metrics"]
    assert (found["sensitivity"]["low"] is not None) is bounded
    if not bounded:
        assert found["sensitivity"]["note"].startswith("A class has a single image, from which no interval follows.")


def test_a_share_that_one_patient_has_half_of_says_so_however_many_patients_there_are():
    labels, guess = np.repeat([0, 1], 40), np.repeat([0, 1], [29, 51])
    groups = ["one"] * 20 + [f"p{place}" for place in range(60)]
    scores = np.eye(2)[guess] * 0.8 + 0.1
    found = evaluate(labels, scores, guess, ["well", "ill"], positive="ill", groups=groups)["metrics"]
    assert found["specificity"]["note"] == "One group has 20 of the 40 images outside class 'ill'."
    assert found["npv"]["note"] == "One group has 20 of the 29 images not predicted as class 'ill'."
    assert all(found[name]["low"] is not None for name in ("specificity", "npv"))
    assert "note" not in found["sensitivity"]
    assert "note" not in found["ppv"]
