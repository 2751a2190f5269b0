"""Differences and tests equal R's published results, worked examples, and what can be counted by hand."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy import stats

from benchmarks.coverage import LIMITS, Setting, count_findings
from tests.asah import NDKA, OUTCOME, S100B, WFNS
from tests.metrics.test_metrics import draw_case
from tlmed.errors import InputError
from tlmed.metrics import (
    METRICS,
    average_folds,
    compare_areas,
    compare_metrics,
    compare_pairs,
    evaluate,
    holm,
    mcnemar,
    measure_pairs,
    wilson,
)
from tlmed.metrics.combining import combine
from tlmed.metrics.paired_tests import newcombe_paired
from tlmed.metrics.resampling import number_groups
from tlmed.metrics.spreads import Spread, find_strata, measure_spread
from tlmed.sections import KFold


# pROC's tests/testthat/test-roc.test.R (roc.test with its defaults); R 4.2.2 with pROC 1.18.0 prints the same.
@pytest.mark.parametrize(
    ("first", "second", "statistic", "p", "low", "high"),
    [
        (WFNS, S100B, 2.20898359144091, 0.0271757822291882, 0.0104061769564846, 0.174214419249478),
        (WFNS, NDKA, 2.79777591868904, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566),
        (NDKA, S100B, -1.39077002573558, 0.164295175223054, -0.2876917446341914, 0.0488706064228094),
    ],
    ids=["wfns-s100b", "wfns-ndka", "ndka-s100b"],
)
def test_paired_delong_is_that_of_proc(first, second, statistic, p, low, high):
    found = compare_areas(OUTCOME, first, second)
    got = [found[name] for name in ("statistic", "p", "low", "high")]
    assert got == pytest.approx([statistic, p, low, high], abs=1e-9)
    back = compare_areas(OUTCOME, second, first)
    assert (back["statistic"], back["p"]) == pytest.approx((-statistic, p), abs=1e-9)


def test_a_curve_does_not_differ_from_itself():
    found = compare_areas(OUTCOME, WFNS, WFNS)
    assert (found["statistic"], found["p"], found["value"]) == (0, 1, 0)
    assert (found["low"], found["high"]) == (None, None)
    assert found["note"].endswith("from which no interval follows.")


def test_areas_of_doubled_images_differ_as_those_of_the_patients_do():
    groups = [str(i) for i in range(len(OUTCOME))] * 2
    twice = [np.tile(part, 2) for part in (OUTCOME, WFNS, S100B)]
    alone, naive, found = compare_areas(OUTCOME, WFNS, S100B), compare_areas(*twice), compare_areas(*twice, groups)
    assert found["statistic"] == pytest.approx(alone["statistic"])
    assert naive["p"] < alone["p"]
    # t with 40 df for z, by scipy.stats
    assert found["p"] == pytest.approx(2 * stats.t.sf(alone["statistic"], 40))
    width = (found["high"] - found["low"]) / (alone["high"] - alone["low"])
    assert width == pytest.approx(stats.t.ppf(0.975, 40) / stats.norm.ppf(0.975))
    assert "Obuchowski 1997" in found["method"]
    assert compare_areas(OUTCOME, WFNS, S100B, groups[: len(OUTCOME)]) == alone


def test_areas_that_cannot_be_compared_say_why():
    one = compare_areas(np.ones(3, bool), np.arange(3), np.arange(3))
    assert (one["value"], one["p"], one["reason"]) == (None, None, "Only one class is there.")
    flat = compare_areas(np.array([True, False]), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert flat["value"] == 1
    assert flat["p"] is None
    assert flat["reason"].startswith("The variance")


def spread(both, first_only, second_only, neither):
    first = np.repeat([True, True, False, False], [both, first_only, second_only, neither])
    return first, np.repeat([True, False, True, False], [both, first_only, second_only, neither])


def test_mcnemar_gives_the_worked_example_of_fagerland():
    # Bentur et al. in Fagerland, Lydersen & Laake 2013, table 1: 1 and 7 discordant pairs of 21. Exact conditional
    # p = 2 (1 + 8) / 256 (R 4.2.2: binom.test(1, 8) gives 0.0703125), mid-p is less by 8 / 256.
    found = mcnemar(*spread(1, 1, 7, 12))
    assert found["p"] == pytest.approx(0.0703125 - 8 / 256, abs=1e-15)
    assert (found["first_only"], found["second_only"], found["value"]) == (1, 7, pytest.approx(-6 / 21))


def test_mcnemars_statistic_is_that_of_r():
    # Agresti 1990, p. 350, the example of R's mcnemar.test; R 4.2.2 with correct = FALSE prints 17.35593, p 3.099e-05.
    found = mcnemar(*spread(794, 150, 86, 570))
    assert found["statistic"] == pytest.approx(17.3559322034, abs=1e-9)
    assert found["p"] == pytest.approx(3.09929e-05, rel=0.1)  # the mid-p of 236 pairs is near the asymptotic p
    assert found["method"].startswith("McNemar, mid-p (Fagerland et al. 2013);")
    many = mcnemar(*spread(0, 1500, 860, 0))
    assert many["method"].startswith("McNemar, asymptotic (McNemar 1947);")
    assert many["p"] == pytest.approx(math.erfc(640 / math.sqrt(2 * 2360)))


def test_no_disagreement_and_as_much_on_both_sides_are_no_difference():
    assert mcnemar(*spread(5, 0, 0, 5))["p"] == 1
    assert mcnemar(*spread(5, 4, 4, 5))["p"] == 1


def test_mcnemar_by_groups_flips_the_signs_of_whole_groups():
    rng = np.random.default_rng(0)
    first, second, owners = rng.random(40) < 0.8, rng.random(40) < 0.5, rng.integers(9, size=40)
    found = mcnemar(first, second, [str(owner) for owner in owners])
    totals = np.array([(first.astype(int) - second)[owners == g].sum() for g in range(9)])
    sums = np.array([(signs * totals).sum() for signs in itertools.product((-1, 1), repeat=9)])
    beyond, same = (np.abs(sums) > abs(totals.sum())).mean(), (np.abs(sums) == abs(totals.sum())).mean()
    assert found["p"] == pytest.approx(beyond + same / 2)
    assert found["statistic"] == pytest.approx(totals.sum() ** 2 / (totals**2).sum())  # Yang et al. 2010
    assert found["p"] > mcnemar(first, second)["p"]


def test_mcnemar_by_groups_of_one_is_mcnemar():
    first, second = spread(9, 8, 2, 3)
    assert mcnemar(first, second, [str(i) for i in range(22)]) == mcnemar(first, second)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # R 4.2.2: p.adjust(p, "holm")
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.001, 0.01, 0.01, 0.02, 0.2, 0.5, 0.04], [0.007, 0.06, 0.06, 0.08, 0.4, 0.5, 0.12]),
        # stdlib's documentation of padjust
        ([0.319, 0.201, 0.4, 0.374, 0.113], [0.957, 0.804, 0.957, 0.957, 0.565]),
        ([0.8, 0.9], [1, 1]),
        ([0.03, None, 0.01], [0.03, None, 0.02]),
        ([], []),
    ],
)
def test_holm_is_that_of_r(given, expected):
    found = holm(given)
    assert [p is None for p in found] == [p is None for p in expected]
    assert [p for p in found if p is not None] == pytest.approx([p for p in expected if p is not None])


def make_two(seed, n=150, k=2):
    labels, scores, guesses = draw_case(seed, n=n, k=k)
    worse = np.random.default_rng(seed + 1).dirichlet(np.ones(k), n)
    return labels, (scores, guesses), (worse, worse.argmax(axis=1))


@pytest.mark.parametrize("k", [2, 3])
def test_differences_are_those_of_the_metrics(k):
    labels, first, second = make_two(0, k=k)
    names = list("abc")[:k]
    found = compare_metrics(labels, first, second, names)
    ours, theirs = (evaluate(labels, *table, names, draws=2)["metrics"] for table in (first, second))
    assert list(found) == list(METRICS)
    back = compare_metrics(labels, second, first, names)
    for name, entry in found.items():
        assert entry["value"] == pytest.approx(ours[name]["value"] - theirs[name]["value"])
        if name == "ece":
            assert (entry["low"], entry["p"]) == (None, None)
            assert "mostly chance" in entry["reason"]
            continue
        assert entry["low"] <= entry["value"] <= entry["high"]
        assert (back[name]["low"], back[name]["high"]) == pytest.approx((-entry["high"], -entry["low"]))
        assert back[name]["p"] == pytest.approx(entry["p"])
    assert found["auc"]["low"] > 0
    assert found["auc"]["units"] == min(np.bincount(labels))


def test_a_mean_over_images_gets_the_paired_t_of_its_classes():
    labels, first, second = make_two(1)
    entry = compare_metrics(labels, first, second, ["a", "b"], only=["brier"])["brier"]
    losses = [(scores[:, 1] - labels) ** 2 for scores, _ in (first, second)]
    statistic, p = stats.ttest_rel(*losses)
    assert entry["p"] == pytest.approx(p, rel=0.2)  # the degrees of freedom are those of Welch, not n - 1
    error = (entry["high"] - entry["value"]) / stats.t.ppf(0.975, 100)
    assert entry["value"] / error == pytest.approx(statistic, rel=0.05)


def test_no_variance_has_more_degrees_of_freedom_than_images_give():
    rng = np.random.default_rng(0)
    for n in (60, 156):
        for prevalence in (0.1, 0.3, 0.5):
            labels = (np.arange(n) < prevalence * n).astype(int)
            for groups in (None, [str(i // 3) for i in range(n)]):
                owners = number_groups(groups)
                influences = rng.normal(0.4 * labels, 1)
                spread = measure_spread(influences - influences.mean(), find_strata(labels, owners), owners)
                assert 0 < spread.freedom <= spread.units - 1
                tables = [(scores, scores.argmax(axis=1)) for scores in (rng.dirichlet((1, 1), n) for _ in range(2))]
                entry = compare_metrics(labels, *tables, ["a", "b"], groups=groups, only=["brier"])["brier"]
                assert int(re.search(r"(\d+) df", entry["method"])[1]) <= spread.units - 1


def test_equal_classifiers_of_few_groups_have_an_interval_with_a_width():
    right = np.array([True] * 18 + [False] * 18)
    alone = mcnemar(right, right)
    grouped = mcnemar(right, right, [f"p{row // 2}" for row in range(36)])
    assert grouped["low"] < alone["low"] < 0 < alone["high"] < grouped["high"]


@pytest.mark.parametrize(("groups", "images"), [(18, 2), (12, 4), (40, 3)])
def test_small_differences_of_whole_groups_are_covered(groups, images):
    rng, covered, draws = np.random.default_rng(0), 0, 200
    owners = [f"p{row // images}" for row in range(groups * images)]
    for _ in range(draws):
        first = rng.random((groups, images)) < 0.6
        second, chance = first.copy(), rng.random(groups)
        first[chance < 0.03], second[chance < 0.03] = True, False  # right for the first only
        first[chance > 0.99], second[chance > 0.99] = False, True
        found = mcnemar(first.ravel(), second.ravel(), owners)
        covered += found["low"] <= 0.02 <= found["high"]
    assert covered >= 0.92 * draws  # it was 54 to 70 % of them without the correction


def test_the_accuracy_of_two_has_newcombes_interval_and_mcnemars_test():
    labels, first, second = make_two(0)
    found = compare_metrics(labels, first, second, ["a", "b"], only=["accuracy", "sensitivity", "specificity"])
    for name, rows in {"accuracy": labels >= 0, "sensitivity": labels == 1, "specificity": labels == 0}.items():
        right = [(guesses == labels)[rows] for _, guesses in (first, second)]
        assert found[name]["p"] == mcnemar(*right)["p"]
        assert (found[name]["low"], found[name]["high"]) == newcombe_paired(*right)
        assert found[name]["method"] == "McNemar, mid-p (Fagerland et al. 2013); interval: Newcombe 1998, method 10"


# Newcombe, Statistics in Medicine 1998, 17:2635-2650, table II, method 10.
@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [((36, 12, 2, 0), 0.0569, 0.3404), ((43, 0, 1, 0), -0.1214, 0.0641), ((54, 0, 0, 0), -0.0664, 0.0664)],
)
def test_method_10_gives_newcombes_worked_examples(cells, low, high):
    both, one, other, neither = cells
    found = newcombe_paired(*spread(both, one, other, neither))
    if cells[0] == 36:
        assert found == pytest.approx((low, high), abs=5e-5)
    assert found[0] <= (one - other) / sum(cells) <= found[1]


def test_one_discordant_image_does_not_make_an_interval_end_at_zero():
    found = mcnemar(*spread(80, 1, 0, 19))
    assert found["p"] == 0.5
    assert found["low"] < -0.01
    assert found["high"] > 0.03
    same = mcnemar(*spread(80, 0, 0, 20))
    assert same["low"] == pytest.approx(-same["high"])
    assert same["low"] < -0.02


def test_independent_proportions_combine_as_in_newcombes_example():
    # Newcombe, Statistics in Medicine 1998, 17:873-890, table II (a), method 10: 56 of 70 and 48 of 80.
    entries = [
        dict(zip(("value", "low", "high"), (x / n, *wilson(x, n)), strict=True)) for x, n in ((56, 70), (48, 80))
    ]
    found = combine(entries, [np.r_[np.ones(70), np.zeros(80)], np.r_[np.zeros(70), np.ones(80)]], (1, -1))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_parts_combine_with_their_correlations():
    # Zou & Donner 2008, by the matrix of correlations.
    rng = np.random.default_rng(0)
    influences = rng.normal(size=(4, 50)) @ np.linalg.cholesky(np.cov(rng.normal(size=(50, 60))))
    influences[3] = 0
    entries = [{"value": 0.5, "low": 0.5 - rng.random(), "high": 0.5 + rng.random()} for _ in range(4)]
    weights, owners = np.array([0.5, -0.2, 1, 0.3]), np.arange(50) // 2
    for own in (None, owners):
        totals = influences if own is None else influences.reshape(4, 25, 2).sum(axis=2)
        matrix = np.eye(4)
        for i, j in itertools.permutations(range(3), 2):
            matrix[i, j] = totals[i] @ totals[j] / np.sqrt((totals[i] ** 2).sum() * (totals[j] ** 2).sum())
        ends = ("low" if weight > 0 else "high" for weight in weights)
        down = np.array([abs(entry["value"] - entry[end]) for entry, end in zip(entries, ends, strict=True)])
        half = math.sqrt((weights * down) @ matrix @ (weights * down))
        assert combine(entries, influences, weights, own)[0] == pytest.approx(0.5 * weights.sum() - half)


def test_pairs_differ_more_surely_than_their_intervals_say():
    labels, first, _ = make_two(5)
    nearly = (np.where(np.arange(150)[:, None] < 5, first[0][:, ::-1], first[0]), None)
    nearly = (nearly[0], nearly[0].argmax(axis=1))
    found = compare_metrics(labels, first, nearly, ["a", "b"], only=["brier"])["brier"]
    alone = evaluate(labels, *first, ["a", "b"], only=["brier"])["metrics"]["brier"]
    assert found["high"] - found["low"] < 0.7 * (alone["high"] - alone["low"])


def test_differences_by_groups_are_wider():
    labels, first, second = make_two(2)
    tables = [tuple(np.repeat(part, 4, axis=0) for part in table) for table in (first, second)]
    case, groups = (np.repeat(labels, 4), *tables, ["a", "b"]), [str(i // 4) for i in range(600)]
    alone = compare_metrics(labels, first, second, ["a", "b"])
    plain, grouped = compare_metrics(*case), compare_metrics(*case, groups=groups)
    for name in set(METRICS) - {"ece"}:
        assert grouped[name]["high"] - grouped[name]["low"] > 1.5 * (plain[name]["high"] - plain[name]["low"]), name
        assert "by groups" in grouped[name]["method"]
        if name in ("log_loss", "brier"):  # the same images four times tell as much
            assert grouped[name]["p"] == pytest.approx(alone[name]["p"])
            assert grouped[name]["low"] == pytest.approx(alone[name]["low"])
        elif name not in ("accuracy", "sensitivity", "specificity", "auc"):  # but for the fewer degrees of freedom
            assert alone[name]["p"] <= grouped[name]["p"] < 1.2 * alone[name]["p"]
            assert alone[name]["low"] - 0.003 < grouped[name]["low"] <= alone[name]["low"]


@pytest.mark.parametrize("grouped", [False, True])
def test_many_classifiers_at_once_give_what_each_pair_gives(grouped):
    labels, first, second = make_two(4, k=3)
    third = make_two(7, k=3)[2]
    options = {"groups": [str(i // 2) for i in range(150)]} if grouped else {}
    pairs = compare_pairs(labels, [first, second, third], list("abc"), **options)
    assert list(pairs) == [(0, 1), (0, 2), (1, 2)]
    for (i, j), found in pairs.items():
        tables = (first, second, third)
        assert found == compare_metrics(labels, tables[i], tables[j], list("abc"), **options)


def test_an_undefined_metric_has_no_difference():
    labels, first, _ = make_two(0)
    constant = (np.tile([0.4, 0.6], (150, 1)), np.ones(150, int))
    found = compare_metrics(labels, first, constant, ["a", "b"], only=["mcc"])["mcc"]
    assert (found["value"], found["p"], found["reason"]) == (None, None, "The metric is undefined for one of the two.")


def test_each_metric_rests_on_its_own_images():
    labels = np.repeat([0, 1], [30, 12])
    tables = [(scores, scores.argmax(axis=1)) for scores in np.random.default_rng(0).dirichlet((1, 1), (2, 42))]
    found = compare_metrics(labels, *tables, ["a", "b"], only=(*METRICS[:4], "f1", "brier"))
    expected = {"accuracy": 42, "auc": 12, "sensitivity": 12, "specificity": 30, "f1": 12, "brier": 12}
    assert {name: entry["units"] for name, entry in found.items()} == expected
    owners = [f"{label}{i % 5}" for i, label in enumerate(labels)]
    found = compare_metrics(labels, *tables, ["a", "b"], groups=owners, only=["brier", "f1"])
    assert {name: entry["units"] for name, entry in found.items()} == {"brier": 5, "f1": 5}


def test_a_difference_without_width_has_no_interval():
    labels = np.arange(40) % 2
    right, wrong = np.eye(2)[labels], np.eye(2)[1 - labels]
    tables = [(scores * 0.8 + 0.1, scores.argmax(axis=1)) for scores in (right, wrong)]
    names = ("f1", "brier", "kappa")
    same = compare_metrics(labels, tables[0], tables[0], ["a", "b"], only=names)
    for entry in same.values():
        assert (entry["value"], entry["low"], entry["high"], entry["p"]) == (0, None, None, 1)
        assert entry["note"] == "The two do not differ in any of the images, from which no interval follows."
    apart = compare_metrics(labels, *tables, ["a", "b"], only=names)
    for entry in apart.values():
        assert (entry["low"], entry["high"], entry["p"]) == (None, None, None)
        assert entry["value"] != 0
        assert entry["reason"].startswith("All images show the same difference")


def test_few_images_of_a_class_give_no_interval():
    labels = np.r_[np.zeros(30, int), np.ones(4, int)]
    tables = [(scores, scores.argmax(axis=1)) for scores in np.random.default_rng(3).dirichlet((1, 1), (2, 34))]
    found = compare_metrics(labels, *tables, ["a", "b"], only=["f1", "specificity", "brier"])
    assert (found["f1"]["low"], found["f1"]["p"]) == (None, None)
    assert found["f1"]["reason"] == "It rests on 4 images, fewer than 5, from which no interval follows."
    for name in ("specificity", "brier"):
        assert found[name]["low"] < found[name]["high"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "grouped", "mix"),
    [(20, False, "0.5"), (60, False, "0.1"), (60, False, "three"), (60, True, "three"), (117, True, "0.5")],
)
def test_equal_classifiers_are_seldom_found_to_differ(images, grouped, mix):
    counts = count_findings(Setting(images, mix, 1.0, grouped), 600)
    most = LIMITS["tests"][1] / 100
    found = {name: (c["held"] / c["bounded"], c["bounded"]) for name, c in counts.items() if c["bounded"] > 200}
    for name, (share, size) in found.items():
        assert share <= most + 2 * math.sqrt(most * (1 - most) / size), (name, share, size)


def test_the_smallest_class_bounds_the_degrees_of_freedom_by_groups():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 40, 12])
    tables = [(scores, scores.argmax(axis=1)) for scores in (rng.dirichlet((2, 1, 1), 112) for _ in range(2))]
    groups = [str(i // 2) for i in range(112)]  # six of the smallest class
    found = compare_metrics(labels, *tables, list("abc"), groups=groups)
    assert found["average_precision"]["method"] == "paired t of influences by groups (Efron 1982), 5 df"
    assert found["average_precision"]["units"] == 6
    assert ", 5 df" not in found["brier"]["method"]  # a mean over images


def test_nine_groups_have_a_test_of_accuracy_and_no_interval():
    first, second = np.arange(27) % 3 > 0, np.arange(27) % 4 > 0
    found, more = (mcnemar(first, second, [str(i % groups) for i in range(27)]) for groups in (9, 10))
    assert (found["low"], found["high"]) == (None, None)
    assert 0 < found["p"] <= 1
    assert found["note"] == "Fewer than 10 groups, from which no interval follows."
    assert more["low"] < more["value"] < more["high"]
    assert "note" not in more


def test_folds_get_the_corrected_resampled_t():
    # By hand after Nadeau & Bengio 2003: s^2 = 0.00025, 1 / 5 + 1 / 4 = 0.45, t(0.975, 4) = 2.776445.
    values = [0.90, 0.92, 0.88, 0.91, 0.89]
    found = average_folds(values, 1 / 4)
    assert found["value"] == pytest.approx(0.9)
    half = 2.776445105 * math.sqrt(0.00025 * 0.45)
    assert (found["low"], found["high"]) == pytest.approx((0.9 - half, 0.9 + half))
    assert found["p"] == pytest.approx(average_folds([1 + v for v in [-0.1, -0.08, -0.12, -0.09, -0.11]], 0.25)["p"])


def test_differences_of_folds_have_a_p_value():
    values = np.array([0.02, -0.01, 0.03, 0.01, 0.02, 0.00, 0.04, 0.01, -0.02, 0.03])
    found = average_folds(values.tolist(), 1 / 9)
    statistic = values.mean() / math.sqrt(values.var(ddof=1) * (1 / 10 + 1 / 9))
    assert found["p"] == pytest.approx(2 * stats.t.sf(statistic, 9))
    assert found["p"] > stats.ttest_1samp(values, 0).pvalue


def test_folds_that_agree_by_luck_leave_the_sampling_error_of_their_images():
    # By hand: four folds with standard errors of 0.04 each have a mean with 0.04 / 2; 25 df each add up.
    values, spreads = [0.040, 0.032, 0.044, 0.040], [Spread(0.04**2, 25.0, 0.0, 250)] * 4
    found = average_folds(values, 1 / 3, spreads=spreads)
    half = stats.t.ppf(0.975, 100) * 0.02
    assert (found["low"], found["high"]) == pytest.approx((0.039 - half, 0.039 + half))
    assert found["p"] == pytest.approx(2 * stats.t.sf(0.039 / 0.02, 100))
    assert found["p"] > average_folds(values, 1 / 3)["p"]
    assert found["method"] == (
        "sampling error of the images of 4 folds, t with 100 df (Satterthwaite 1946), wider than the corrected "
        "resampled t"
    )
    twice = average_folds(values * 2, 1 / 3, spreads=spreads * 2, repeats=2)  # of the same images
    assert (twice["low"], twice["high"]) == pytest.approx((found["low"], found["high"]))
    apart = average_folds([0.3, -0.2, 0.1, 0.1], 1 / 3, spreads=spreads)
    assert apart == average_folds([0.3, -0.2, 0.1, 0.1], 1 / 3)  # the folds vary by more
    assert average_folds(values, 1 / 3, spreads=[Spread(0.0, math.nan, 0.0, 250)] * 4) == average_folds(values, 1 / 3)


def test_the_method_names_the_test_that_gives_p_where_the_interval_is_of_the_other():
    # Four folds leave 3 df: their interval is wider, and near zero the test with more df has the larger p.
    values, spread = [0.010, -0.020, 0.014, -0.016], Spread(0.03**2, 25.0, 0.0, 250)
    found = average_folds(values, 1 / 3, spreads=[spread] * 4)
    alone = average_folds(values, 1 / 3)
    assert (found["low"], found["high"]) == (alone["low"], alone["high"])
    assert found["p"] == pytest.approx(2 * stats.t.sf(0.003 / 0.015, 100))
    assert found["p"] > alone["p"]
    resampled = "corrected resampled t with 3 df (Nadeau & Bengio 2003)"
    sampling = "sampling error of the images of 4 folds, t with 100 df (Satterthwaite 1946)"
    assert found["method"] == f"{resampled}; p from the {sampling}"
    # Far from zero the test with fewer df has the larger p, although its interval is narrower.
    values = [0.32, 0.31, 0.33, 0.32]
    found, alone = average_folds(values, 1 / 3, spreads=[spread] * 4), average_folds(values, 1 / 3)
    assert found["p"] == alone["p"]
    assert found["high"] > alone["high"]
    assert found["method"] == f"{sampling}, wider than the corrected resampled t; p from the {resampled}"


def test_the_spread_of_a_difference_is_that_of_its_test():
    rng = np.random.default_rng(3)
    labels = np.arange(120) % 2
    tables = [(scores, scores.argmax(axis=1)) for scores in (rng.dirichlet((1, 1), 120) for _ in range(2))]
    for groups in (None, [str(i // 4) for i in range(120)]):
        spreads = measure_pairs(labels, tables, ["a", "b"], groups=groups, only=("auc", "accuracy", "f1", "brier"))
        found = compare_metrics(labels, *tables, ["a", "b"], groups=groups, only=("auc", "accuracy", "f1", "brier"))
        for name in ("f1", "brier"):
            spread = spreads[0, 1][name]
            half = stats.t.ppf(0.975, spread.freedom) * math.sqrt(spread.variance)
            assert found[name]["high"] - found[name]["value"] == pytest.approx(half)
        area = abs(found["auc"]["value"] / found["auc"]["statistic"])  # DeLong's standard error
        assert math.sqrt(spreads[0, 1]["auc"].variance) == pytest.approx(area, rel=0.05)
    surplus = (tables[0][1] == labels).astype(int) - (tables[1][1] == labels)
    alone = measure_pairs(labels, tables, ["a", "b"], only=["accuracy"])[0, 1]["accuracy"]
    assert alone.variance == pytest.approx(surplus.var(ddof=1) / 120, rel=0.03)


def count_fold_findings(k, grouped, draws, images=200, seed=0):
    """Return how often folds of two classifiers of equal accuracy, AUC and Brier score give p below 0.05."""
    rng = np.random.default_rng(seed)
    found = dict.fromkeys(("auc", "accuracy", "f1", "brier"), 0)
    split = KFold(k)
    for _ in range(draws):
        labels = rng.permutation(np.arange(images) % 2)
        owners = np.arange(images) // 4 if grouped else np.arange(images)
        order = rng.permutation(owners.max() + 1)
        shared = rng.normal(size=(3, owners.max() + 1)) * (0.8 if grouped else 0.0)
        tables = []
        for own in (1, 2):  # each classifier errs alike in a patient's images, and both share what is hard
            logit = 1.2 * (2 * labels - 1) + (shared[0] + shared[own])[owners] + rng.normal(size=images)
            scores = 1 / (1 + np.exp(-logit))
            tables.append((np.stack([1 - scores, scores], axis=1), (scores >= 0.5).astype(int)))
        values, spreads = {name: [] for name in found}, {name: [] for name in found}
        for fold in range(k):
            rows = np.flatnonzero(order[owners] % k == fold)
            part = [(scores[rows], guesses[rows]) for scores, guesses in tables]
            asked = (labels[rows], part, ["a", "b"], None, owners[rows].astype(str), tuple(found))
            one = measure_pairs(*asked)[0, 1]
            cases = [evaluate(labels[rows], *table, ["a", "b"], draws=1, only=tuple(found)) for table in part]
            for name in found:
                first, second = (case["metrics"][name]["value"] for case in cases)
                values[name].append(None if None in (first, second) else first - second)
                spreads[name].append(one.get(name))
        for name in found:
            entry = average_folds(values[name], split.test_share, spreads=spreads[name])
            found[name] += entry["p"] is not None and entry["p"] < 0.05
    return found


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("k", [4, 5, 10])
def test_equal_classifiers_are_seldom_found_to_differ_over_folds(k, grouped):
    draws, most = 600, 0.07
    for name, found in count_fold_findings(k, grouped, draws).items():
        assert found / draws <= most, (name, found)


def test_folds_at_the_edge():
    assert average_folds([1.0, 0.8, None], 0.5, bounds=(0, 1))["high"] == 1
    assert average_folds([1.0, 0.8, None], 0.5)["note"] == "1 of 3 folds, in which it is undefined, left out."
    assert average_folds([0.7, None], 0.5)["reason"].startswith("It must be defined in two folds or more")
    assert average_folds([0.0, 0.0], 0.5)["p"] == 1
    with pytest.raises(InputError, match="`test_share` must be more than 0"):
        average_folds([0.7, 0.8], 0)
