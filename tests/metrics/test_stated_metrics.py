"""Metrics at stated numbers equal those of scikit-learn and R, and their intervals hold where they should."""

import math

import numpy as np
import pytest
from scipy import optimize
from sklearn import metrics as sk

from benchmarks.stated_coverage import LIMITS, SAMPLES, count_coverage
from tests.asah import OUTCOME, S100B, WFNS
from tlmed.errors import InputError
from tlmed.metrics import (
    benefit_at,
    evaluate,
    evaluate_stated,
    f_beta,
    likelihood_ratios,
    net_benefit,
    partial_area,
    ppv_at,
    recalibrate,
    sensitivity_at,
    specificity_at,
    weigh_confusions,
    weighted_kappa,
    youden_index,
)
from tlmed.metrics.benefits import mean_benefit
from tlmed.metrics.classwise_errors import bound_errors, measure_errors
from tlmed.metrics.proportions import harmonic_mean, wilson
from tlmed.sections import Stated

EXACT = {"abs": 1e-10, "rel": 1e-10}
BINARY = {
    "lr_positive": lambda truth, scores, owners: likelihood_ratios(truth, scores >= 0.5, owners)["lr_positive"],
    "lr_negative": lambda truth, scores, owners: likelihood_ratios(truth, scores >= 0.5, owners)["lr_negative"],
    "youden": lambda truth, scores, owners: youden_index(truth, scores >= 0.5, owners),
    "f_beta": lambda truth, scores, owners: f_beta(truth, scores >= 0.5, 2.0, owners),
    "sensitivity_at": lambda truth, scores, owners: sensitivity_at(truth, scores, 0.8, owners),
    "specificity_at": lambda truth, scores, owners: specificity_at(truth, scores, 0.8, owners),
    "ppv_at": lambda truth, scores, owners: ppv_at(truth, scores, 0.8, owners),
    "partial_area": lambda truth, scores, owners: partial_area(truth, scores, 0.3, owners),
    "benefit_at": lambda truth, scores, owners: benefit_at(truth, scores, 0.3, owners),
    "intercept": lambda truth, scores, owners: recalibrate(truth, scores, owners)["calibration_intercept"],
    "slope": lambda truth, scores, owners: recalibrate(truth, scores, owners)["calibration_slope"],
}
SMOOTH = ("lr_positive", "lr_negative", "youden", "f_beta", "partial_area", "benefit_at", "intercept", "slope")


def draw(n=150, seed=0, digits=2):
    """Return truth and probabilities with ties."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    return truth, (1 / (1 + np.exp(-rng.normal(truth * 1.5 - 0.7)))).round(digits)


def draw_classes(k=3, n=180, seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.choice(k, size=n, p=np.arange(1, k + 1) / np.arange(1, k + 1).sum())
    scores = np.exp(rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels])
    return labels, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_decisions_are_those_of_scikit_learn(seed):
    truth, scores = draw(seed=seed)
    guess = scores >= 0.5
    ratios, found = likelihood_ratios(truth, guess), sk.class_likelihood_ratios(truth, guess)
    assert [part.entry["value"] for part in ratios.values()] == pytest.approx(found, **EXACT)
    adjusted = sk.balanced_accuracy_score(truth, guess, adjusted=True)
    assert youden_index(truth, guess).entry["value"] == pytest.approx(adjusted, **EXACT)
    for beta in (0.5, 1.0, 2.0):
        expected = sk.fbeta_score(truth, guess, beta=beta)
        assert f_beta(truth, guess, beta).entry["value"] == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_rankings_are_those_of_scikit_learn(seed):
    truth, scores = draw(seed=seed)
    for most in (0.01, 0.1, 0.37, 1.0):
        expected = sk.roc_auc_score(truth, scores, max_fpr=most)
        assert partial_area(truth, scores, most).entry["value"] == pytest.approx(expected, **EXACT)
    false, true, levels = sk.roc_curve(truth, scores, drop_intermediate=False)
    for rate in (0.5, 0.8, 0.95):
        best = true[false <= 1 - rate + 1e-12].max()
        assert sensitivity_at(truth, scores, rate).entry["value"] == pytest.approx(best, **EXACT)
        enough = np.flatnonzero(true >= rate - 1e-12)[0]
        assert specificity_at(truth, scores, rate).entry["value"] == pytest.approx(1 - false[enough], **EXACT)
        precision = sk.precision_score(truth, scores >= levels[enough])
        assert ppv_at(truth, scores, rate).entry["value"] == pytest.approx(precision, **EXACT)


# R 4.2.2 with pROC 1.18.0: auc(roc, partial.auc = c(1, 1 - most), partial.auc.correct = TRUE) of aSAH.
@pytest.mark.parametrize(
    ("marker", "most", "area"),
    [(S100B, 0.1, 0.646091855655399), (S100B, 0.2, 0.668303974706414), (WFNS, 0.1, 0.649693339038653)],
)
def test_the_partial_area_is_that_of_proc(marker, most, area):
    assert partial_area(OUTCOME, marker, most).entry["value"] == pytest.approx(area, abs=1e-12)


def test_slope_and_intercept_are_those_of_r():
    # R 4.2.2: coef(glm(y ~ qlogis(p), binomial))[2], coef(glm(y ~ 1, offset = qlogis(p), binomial))
    found = recalibrate(OUTCOME, np.clip(S100B, 0.01, 0.99))
    assert found["calibration_slope"].entry["value"] == pytest.approx(0.82825918172968, abs=1e-10)
    assert found["calibration_intercept"].entry["value"] == pytest.approx(0.82175829361446, abs=1e-10)


def test_scores_of_0_and_1_are_counted_beside_slope_and_intercept():
    truth, scores = draw(digits=6)
    labels, names = truth.astype(int), ("calibration_intercept", "calibration_slope")

    def find_notes(scores, rows=slice(None)):
        table = np.stack([1 - scores, scores], axis=1)[rows]
        found = evaluate_stated(labels[rows], table, table.argmax(axis=1), ["a", "b"])["metrics"]
        return [found[name].get("note") for name in names]

    assert find_notes(scores) == [None, None]
    one = np.where(np.arange(150) == np.flatnonzero(truth)[0], 0.0, scores)
    said = "1 of 150 scores is 0 or 1, or within 2.2e-16 of it: its logit is taken at that distance."
    assert find_notes(one) == [said, said]
    assert [part.entry["note"] for part in recalibrate(truth, one).values()] == [said, said]
    two = np.where(np.arange(150) == np.flatnonzero(~truth)[0], 1.0, one)
    assert find_notes(two)[1].startswith("2 of 150 scores are 0 or 1, or within 2.2e-16 of it: their logits are taken")
    few = np.r_[np.flatnonzero(~truth), np.flatnonzero(truth)[:4]]  # too few for an interval
    assert all("scores is 0 or 1" in note and "4 images of class 'b'" in note for note in find_notes(one, few))


def test_scores_of_0_and_1_are_counted_beside_the_mean_slope_of_more_classes():
    labels, scores = draw_classes()
    scores[np.flatnonzero(labels == 1)[0]] = (0.5, 0.0, 0.5)
    found = evaluate_stated(labels, scores, scores.argmax(axis=1), ["a", "b", "c"])
    assert found["metrics"]["calibration_slope"]["note"].startswith("1 of 540 scores is 0 or 1")
    assert found["per_class"]["b"]["calibration_slope"]["note"].startswith("1 of 180 scores is 0 or 1")
    assert "note" not in found["per_class"]["a"]["calibration_slope"]


def test_slope_and_intercept_solve_the_equations_of_the_likelihood():
    truth, scores = draw(digits=6)
    logits = np.log(scores / (1 - scores))

    def miss(coefficients):
        rest = truth - 1 / (1 + np.exp(-coefficients[0] - coefficients[1] * logits))
        return rest.sum(), (rest * logits).sum()

    found = recalibrate(truth, scores)
    _, slope = optimize.root(miss, (0.0, 1.0), tol=1e-14).x
    assert found["calibration_slope"].entry["value"] == pytest.approx(slope, abs=1e-10)
    middle = optimize.brentq(lambda shift: miss((shift, 1.0))[0], -5, 5, xtol=1e-14)
    assert found["calibration_intercept"].entry["value"] == pytest.approx(middle, abs=1e-10)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_kappa_with_weights_is_that_of_scikit_learn_and_of_the_definition(k):
    labels, scores = draw_classes(k)
    guesses = scores.argmax(axis=1)
    for name in ("linear", "quadratic"):
        found = weighted_kappa(labels, guesses, weigh_confusions(name, k)).entry["value"]
        assert found == pytest.approx(sk.cohen_kappa_score(labels, guesses, weights=name), **EXACT)
    weights = np.random.default_rng(0).random((k, k)) * (1 - np.eye(k))  # not symmetric
    table = sk.confusion_matrix(labels, guesses, labels=range(k)) / len(labels)
    expected = 1 - (weights * table).sum() / (weights * np.outer(table.sum(axis=1), table.sum(axis=0))).sum()
    assert weighted_kappa(labels, guesses, weights).entry["value"] == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("groups", [None, [f"p{row // 3}" for row in range(180)]], ids=["images", "groups"])
@pytest.mark.parametrize("weights", ["quadratic", ((0, 2, 8), (2, 0, 2), (8, 2, 0))], ids=["name", "table"])
def test_kappa_with_quadratic_weights_is_the_quadratic_kappa_with_its_interval(groups, weights):
    labels, scores = draw_classes()
    answers, names = (labels, scores, scores.argmax(axis=1)), ["a", "b", "c"]
    kappa = evaluate(*answers, names, groups=groups, only=("quadratic_kappa",))["metrics"]["quadratic_kappa"]
    stated = Stated(kappa_weights=weights)
    found = evaluate_stated(*answers, names, groups=groups, stated=stated)["metrics"]["weighted_kappa"]
    assert kappa["low"] is not None
    for end in ("value", "low", "high"):
        assert found[end] == pytest.approx(kappa[end], **EXACT)
    assert (found["method"], found.get("note")) == (kappa["method"], kappa.get("note"))


def test_net_benefit_needs_probabilities_at_one_risk_too():
    truth, scores = draw()
    for measure in (lambda of: benefit_at(truth, of, 0.3), lambda of: net_benefit(truth, of)):
        with pytest.raises(InputError, match="must be probabilities, from 0 to 1"):
            measure(scores * 10 - 5)


def test_the_class_wise_error_is_that_of_its_definition():
    labels, scores = draw_classes()
    bins = np.minimum((scores * 10).astype(int), 9)
    expected = [
        sum(abs(((labels == c) - scores[:, c])[bins[:, c] == b].sum()) for b in range(10)) / len(labels)
        for c in range(3)
    ]
    for mean, each in (measure_errors(labels, scores), bound_errors(labels, scores, None, 0, "test")):
        assert [part.entry["value"] for part in each] == pytest.approx(expected, **EXACT)
        assert mean.entry["value"] == pytest.approx(np.mean(expected), **EXACT)


def test_the_other_metrics_are_those_that_exist_already():
    truth, scores = draw()
    labels, table = truth.astype(int), np.stack([1 - scores, scores], axis=1)
    found = evaluate_stated(labels, table, (scores >= 0.5).astype(int), ["a", "b"])["metrics"]
    before = evaluate(labels, table, (scores >= 0.5).astype(int), ["a", "b"])["metrics"]
    for end in ("value", "low", "high"):
        assert found["root_brier"][end] == pytest.approx(math.sqrt(before["brier"][end]), **EXACT)
        assert found["weighted_kappa"][end] == pytest.approx(before["kappa"][end], **EXACT)
    curve = net_benefit(truth, scores, np.array([0.1, 0.2]))["model"]
    assert [found[f"net_benefit_at_{risk}"]["value"] for risk in (0.1, 0.2)] == pytest.approx(curve.tolist(), **EXACT)
    whole = partial_area(truth, scores, 1.0).entry["value"]
    assert whole == pytest.approx(before["auc"]["value"], **EXACT)


@pytest.mark.parametrize("groups", [None, [f"p{row // 3}" for row in range(150)]], ids=["images", "groups"])
def test_the_linear_kappa_of_two_classes_has_the_interval_of_kappa(groups):
    truth, scores = draw()
    answers = truth.astype(int), np.stack([1 - scores, scores], axis=1), (scores >= 0.5).astype(int), ["a", "b"]
    for split, seed in (("test", 0), ("external", 7)):
        linear = evaluate_stated(*answers, groups=groups, split=split, seed=seed)["metrics"]["weighted_kappa"]
        kappa = evaluate(*answers, groups=groups, split=split, seed=seed)["metrics"]["kappa"]
        assert [linear[end] for end in ("low", "high")] == pytest.approx([kappa["low"], kappa["high"]], **EXACT)
        assert linear["method"] == kappa["method"]


def test_f_beta_of_one_is_f1_with_its_interval():
    truth, scores = draw()
    for owners in (None, np.arange(150) // 3):
        one, f1 = f_beta(truth, scores >= 0.5, 1.0, owners).entry, harmonic_mean(truth, scores >= 0.5, owners)
        assert [one[end] for end in ("value", "low", "high")] == pytest.approx(
            [f1[end] for end in ("value", "low", "high")], abs=1e-12
        )


@pytest.mark.parametrize("name", SMOOTH)
def test_influences_are_what_one_more_image_adds(name):
    truth, scores = draw(60)
    moved, before = BINARY[name](truth, scores, None).influences, BINARY[name](truth, scores, None).entry["value"]
    times = 100
    for row in range(0, 60, 20):
        many = np.r_[np.tile(truth, times), truth[row]], np.r_[np.tile(scores, times), scores[row]]
        rise = (BINARY[name](*many, None).entry["value"] - before) * times
        assert rise == pytest.approx(moved[row], rel=5e-2, abs=1e-3)


@pytest.mark.parametrize("name", BINARY)
def test_doubled_images_of_the_same_patients_tell_nothing_new(name):
    truth, scores = draw(120)
    one, owners = BINARY[name](truth, scores, None).entry, np.tile(np.arange(120), 2)
    two = BINARY[name](np.tile(truth, 2), np.tile(scores, 2), owners).entry
    assert two["value"] == pytest.approx(one["value"], **EXACT)
    assert one["low"] < one["value"] < one["high"]
    once, twice = one["high"] - one["low"], two["high"] - two["low"]
    # Degrees of freedom and effective sizes are estimated; half the images would make it 1.4 times as wide.
    assert 0.97 * once < twice < 1.15 * once
    assert "group" in two["method"]


@pytest.mark.parametrize("name", BINARY)
def test_groups_of_one_image_are_no_groups(name):
    truth, scores = draw(100)
    alone, named = BINARY[name](truth, scores, None).entry, BINARY[name](truth, scores, np.arange(100)).entry
    assert [named[end] for end in ("value", "low", "high")] == pytest.approx(
        [alone[end] for end in ("value", "low", "high")], rel=0.03
    )


def test_a_ratio_of_zero_and_one_that_is_infinite_say_so():
    truth = np.arange(40) < 20
    found = likelihood_ratios(truth, np.arange(40) < 10)
    assert found["lr_positive"].entry["value"] is None
    assert "infinite, above" in found["lr_positive"].entry["reason"]
    assert found["lr_negative"].entry["value"] == 0.5
    turned = likelihood_ratios(~truth, np.arange(40) < 10)
    assert turned["lr_positive"].entry["value"] == 0.0
    assert turned["lr_positive"].entry["low"] == 0 < turned["lr_positive"].entry["high"] < 1
    assert turned["lr_positive"].entry["note"] == "No image of the class was predicted as the class."
    nobody = likelihood_ratios(truth, np.zeros(40, bool))
    assert nobody["lr_positive"].entry["reason"] == "No image was predicted as the class."
    assert nobody["lr_negative"].entry["value"] == 1.0


def test_a_perfect_ranking_has_bounds_and_no_slope():
    truth, scores = np.arange(60) >= 30, np.linspace(0.1, 0.9, 60)
    area = partial_area(truth, scores, 0.3).entry
    assert area["value"] == 1.0 > area["low"] > 0.5
    assert "does not vary" in area["note"]
    few = partial_area(truth, scores, 0.1).entry
    assert few["low"] is None
    assert few["note"].startswith("Fewer than 5 images outside the class lie in that range")
    assert sensitivity_at(truth, scores, 0.9).entry["value"] == 1.0 > sensitivity_at(truth, scores, 0.9).entry["low"]
    slope = recalibrate(truth, scores)["calibration_slope"].entry
    assert slope["value"] is None
    assert slope["reason"].startswith("It is infinite")
    assert recalibrate(truth, np.full(60, 0.5))["calibration_slope"].entry["reason"] == "All scores are equal."


def test_scores_of_0_and_1_that_are_wrong_have_no_intercept_and_end_nothing():
    # The likelihood is flat between the logits of 0 and 1, about -36 and 36: every intercept is as good.
    found = recalibrate([1, 0, 1, 0], [0, 1, 1, 0])
    assert found["calibration_intercept"].entry["value"] is None
    assert found["calibration_intercept"].entry["reason"].startswith("Nearly all scores are 0 or 1")
    assert found["calibration_slope"].entry["value"] == 0
    # Three of four with the logit of 1: what is added must make the chance 3 / 4.
    logit = np.log((1 - np.finfo(float).eps) / np.finfo(float).eps)
    intercept = recalibrate([1, 1, 1, 0], [1, 1, 1, 1])["calibration_intercept"].entry["value"]
    assert intercept == pytest.approx(np.log(3) - logit, abs=1e-9)


def test_a_threshold_that_no_image_reaches_gives_a_sensitivity_of_zero():
    scores = np.r_[np.full(20, 0.9), np.full(20, 0.1)]  # every negative scores higher
    assert sensitivity_at(np.arange(40) >= 20, scores, 0.9).entry["value"] == 0.0


def test_more_classes_have_means_and_those_of_each():
    labels, scores = draw_classes()
    found = evaluate_stated(labels, scores, scores.argmax(axis=1), ["a", "b", "c"])
    parts = found["per_class"]
    for name in ("youden", "f_beta", "partial_auc", "calibration_slope", "net_benefit_at_0.1"):
        entry, values = found["metrics"][name], [parts[label][name]["value"] for label in "abc"]
        assert entry["value"] == pytest.approx(np.mean(values), **EXACT)
        assert entry["low"] < entry["value"] < entry["high"]
        widths = [parts[label][name]["high"] - parts[label][name]["low"] for label in "abc"]
        assert 0 < entry["high"] - entry["low"] < max(widths)
    ratios = [parts[label]["lr_positive"]["value"] for label in "abc"]
    assert found["metrics"]["lr_positive"]["value"] == pytest.approx(math.prod(ratios) ** (1 / 3), **EXACT)
    assert "classwise_ece" in found["metrics"]
    assert found["metrics"]["calibration_intercept"]["reason"].startswith("Scores of all classes sum to 1")
    two = evaluate_stated(labels % 2, np.stack([scores[:, 0], 1 - scores[:, 0]], axis=1), labels % 2, ["a", "b"])
    assert "classwise_ece" not in two["metrics"]  # there it is the calibration error


def test_an_absent_class_is_named_and_its_metrics_are_undefined():
    labels, scores = draw_classes()
    labels = np.where(labels == 2, 1, labels)
    found = evaluate_stated(labels, scores, scores.argmax(axis=1), ["a", "b", "c"])
    assert found["per_class"]["c"]["youden"]["reason"] == "No image is of class 'c'."
    assert found["metrics"]["youden"]["note"].startswith("Mean over the classes present; there is no image of 'c'.")
    one = evaluate_stated(np.zeros(8, int), np.full((8, 2), 0.5), np.zeros(8, int), ["a", "b"])["metrics"]
    assert {one[name]["reason"] for name in ("youden", "partial_auc", "net_benefit_at_0.2")} == {
        "No image is of class 'b'."
    }
    assert one["weighted_kappa"]["reason"] == "All images are of one class."


def test_scores_that_are_no_probabilities_have_rankings_and_decisions_only():
    labels, scores = draw_classes()
    found = evaluate_stated(labels, scores * 7, scores.argmax(axis=1), ["a", "b", "c"])["metrics"]
    open_ = {name for name, entry in found.items() if entry["value"] is None}
    assert open_ == {
        *("net_benefit_at_0.1", "net_benefit_at_0.2", "calibration_intercept", "calibration_slope"),
        *("root_brier", "classwise_ece"),
    }
    assert all(entry.get("reason") for entry in found.values() if entry["value"] is None)


def test_few_groups_have_no_intervals_and_few_images_a_note():
    truth, scores = draw(40)
    labels, table = truth.astype(int), np.stack([1 - scores, scores], axis=1)
    groups = [str(row // 5) for row in range(40)]
    found = evaluate_stated(labels, table, (scores >= 0.5).astype(int), ["a", "b"], groups=groups)["metrics"]
    assert {entry["low"] for entry in found.values()} == {None}
    assert found["youden"]["note"].startswith("Fewer than 10 groups, from which no interval follows.")
    few = np.r_[np.flatnonzero(~truth), np.flatnonzero(truth)[:4]]
    found = evaluate_stated(labels[few], table[few], (scores >= 0.5)[few].astype(int), ["a", "b"])["metrics"]
    assert found["youden"]["low"] is not None
    assert found["youden"]["note"] == "It rests on 4 images of class 'b'."
    assert found["calibration_slope"]["low"] is None


def test_the_numbers_are_the_users():
    truth, scores = draw()
    arrays = truth.astype(int), np.stack([1 - scores, scores], axis=1), (scores >= 0.5).astype(int), ["a", "b"]
    stated = Stated(0.5, 0.8, 0.7, (0.3,), 0.25, ((0, 1), (3, 0)))
    found = evaluate_stated(*arrays, stated=stated)["metrics"]
    assert {name: entry["at"] for name, entry in found.items() if "at" in entry} == {
        **{"f_beta": 0.5, "sensitivity_at_specificity": 0.8, "specificity_at_sensitivity": 0.7},
        **{"ppv_at_sensitivity": 0.7, "net_benefit_at_0.3": 0.3, "partial_auc": 0.25},
        "weighted_kappa": [[0, 1], [3, 0]],
    }
    assert found["f_beta"]["value"] == f_beta(truth, scores >= 0.5, 0.5).entry["value"]
    assert found["partial_auc"]["value"] == partial_area(truth, scores, 0.25).entry["value"]


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        (Stated(beta=0.0), "`stated.beta` must be a number above 0. Received: beta=0.0."),
        (Stated(specificity=1.0), "`stated.specificity` must be a share above 0 and below 1. Received"),
        (Stated(net_benefit=(0.1, 0.1)), "`stated.net_benefit` must be different risks above 0 and below 1"),
        (Stated(partial_auc=1.5), "`stated.partial_auc` must be a share above 0 and up to 1."),
        (Stated(kappa_weights="cubic"), "`stated.kappa_weights` must be 'linear', 'quadratic', or a table"),
        (Stated(kappa_weights=((1, 0), (0, 1))), "0 on the diagonal"),
        (Stated(kappa_weights=((0, -1), (1, 0))), "else 0 or more"),
        (Stated(kappa_weights=((0, 1), (1,))), "a row and a column per class"),
        (Stated(kappa_weights=((0, 1, 1), (1, 0, 1), (1, 1, 0))), "for each of 2 classes. Received: 3 rows."),
        (Stated(betta=1.0), "`stated.betta` is not a field of Stated. Did you mean 'beta'?"),
    ],
)
def test_bad_numbers_are_one_line(stated, fault):
    with pytest.raises(InputError) as caught:
        evaluate_stated(np.array([0, 1]), np.eye(2), np.array([0, 1]), ["a", "b"], stated=stated)
    assert fault in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("measure", [sensitivity_at, specificity_at, ppv_at, partial_area, benefit_at])
def test_functions_refuse_what_they_cannot_use(measure):
    truth, scores = draw(30)
    with pytest.raises(InputError, match="must be above 0"):
        measure(truth, scores, 0.0)
    with pytest.raises(InputError, match="`positive` must be true of some images and false of others"):
        measure(truth | True, scores, 0.5)
    with pytest.raises(InputError, match="`scores` must be finite"):
        measure(truth, np.where(truth, np.nan, scores), 0.5)


def test_probabilities_beyond_their_range_are_refused_for_recalibration():
    truth, scores = draw(30)
    with pytest.raises(InputError, match="`probabilities` must be from 0 to 1"):
        recalibrate(truth, scores * 3)


def draw_posteriors(n, seed, separation=2.5, priors=(0.4, 0.3, 0.3)):
    """Return labels and their exact posterior probabilities."""
    random, means = np.random.default_rng(seed), separation * np.eye(len(priors))
    labels = random.choice(len(priors), size=n, p=priors)
    images = means[labels] + random.normal(size=(n, len(priors)))
    logs = np.log(priors) - 0.5 * ((images[:, None] - means) ** 2).sum(axis=-1)
    scores = np.exp(logs - logs.max(axis=1, keepdims=True))
    return labels, scores / scores.sum(axis=1, keepdims=True)


def test_a_mean_of_points_of_the_curve_needs_a_hundred_images_of_each_class():
    for n, bounded in ((270, False), (390, True)):
        labels = np.arange(n) % 3
        scores = np.random.default_rng(n).dirichlet(np.ones(3), n) + 0.4 * np.eye(3)[labels]
        scores /= scores.sum(axis=1, keepdims=True)
        found = evaluate_stated(labels, scores, scores.argmax(axis=1), ["a", "b", "c"])
        for name in ("sensitivity_at_specificity", "specificity_at_sensitivity", "ppv_at_sensitivity"):
            entry = found["metrics"][name]
            assert entry["value"] == pytest.approx(np.mean([own[name]["value"] for own in found["per_class"].values()]))
            assert (entry["low"] is not None) == bounded
            assert bounded or entry["note"].startswith("A class has fewer than 100 images")
            assert found["per_class"]["a"][name]["low"] is not None


def test_a_mean_net_benefit_is_that_of_the_classes_and_stays_where_it_can_be():
    labels, scores = draw_posteriors(24, seed=3)
    found = evaluate_stated(labels, scores, scores.argmax(axis=1), ["a", "b", "c"])
    for risk in (0.1, 0.2):
        entry = found["metrics"][f"net_benefit_at_{risk}"]
        each = [own[f"net_benefit_at_{risk}"]["value"] for own in found["per_class"].values()]
        assert entry["value"] == pytest.approx(np.mean(each), **EXACT)
        assert entry["high"] <= 1 / 3
    right = np.eye(3)[labels]  # no image is missed, and there is no false alarm
    entry = evaluate_stated(labels, right, labels, ["a", "b", "c"])["metrics"]["net_benefit_at_0.1"]
    assert (entry["value"], entry["high"]) == pytest.approx((1 / 3, 1 / 3), abs=1e-12)
    # Wilson's bound of no missed image of 24, and of no false alarm in 24, at odds of 1 / 9.
    low, high = wilson(24, 24)[0], wilson(0, 24)[1]
    assert entry["low"] == pytest.approx((1 - np.hypot(1 - low, high / 9)) / 3, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("risk", [0.1, 0.2, 0.5])
@pytest.mark.parametrize(("n", "per_group"), [(24, 1), (60, 1), (150, 1), (200, 5)])
def test_intervals_of_mean_net_benefits_cover(n, per_group, risk):
    labels, scores = draw_posteriors(200_000, seed=1)
    true, held = mean_benefit(labels, scores, risk).entry["value"], 0
    for seed in range(400):
        # Images of a patient that are all alike: as few answers as there are patients.
        labels, scores = (np.repeat(part, per_group, axis=0) for part in draw_posteriors(n // per_group, seed + 2))
        owners = None if per_group == 1 else np.arange(n) // per_group
        entry = mean_benefit(labels, scores, risk, owners).entry
        held += entry["low"] <= true <= entry["high"]
    assert 0.92 - 0.033 < held / 400 < 0.985 + 0.015  # 2.5 standard errors beyond the limits


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES[:3], ids=str)
def test_intervals_hold_the_truth_as_often_as_they_say(sample):
    draws = 300
    for name, count in count_coverage(sample, draws).items():
        assert count["bounded"] > 0.8 * draws, name
        # 2.5 standard errors of 300 draws beyond the limits.
        low, high = (100 * math.sqrt(end * (100 - end) / 1e4 / draws) * 2.5 for end in LIMITS)
        share = 100 * count["held"] / count["bounded"]
        assert LIMITS[0] - low < share < LIMITS[1] + high, name
