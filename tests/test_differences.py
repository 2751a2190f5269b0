"""Differences and tests equal R's published results, worked examples, and what can be counted by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tests.asah import NDKA, OUTCOME, S100B, WFNS
from tests.test_metrics import draw_case
from tlmed.errors import InputError
from tlmed.metrics import METRICS, average_folds, bootstrap_differences, compare_areas, evaluate, holm, mcnemar
from tlmed.metrics.differences import _cross_zero, bootstrap_pairs, count_draws
from tlmed.metrics.resampling import widen


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
    assert found["method"] == "McNemar, mid-p (Fagerland et al. 2013)"
    many = mcnemar(*spread(0, 1500, 860, 0))
    assert many["method"] == "McNemar, asymptotic (McNemar 1947)"
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
    found = bootstrap_differences(labels, first, second, names, draws=300)
    ours, theirs = (evaluate(labels, *table, names, draws=2)["metrics"] for table in (first, second))
    assert list(found) == list(METRICS)
    for name, entry in found.items():
        assert entry["value"] == pytest.approx(ours[name]["value"] - theirs[name]["value"])
        assert entry["low"] <= entry["value"] <= entry["high"] or name == "ece"
    assert found["auc"]["low"] > 0
    assert found["auc"]["units"] == min(np.bincount(labels))
    share = stats.norm.ppf(1 / 301) * math.sqrt(1 - 1 / found["auc"]["units"])
    assert found["auc"]["p"] == pytest.approx(2 * stats.t.cdf(share, found["auc"]["units"] - 1))
    back = bootstrap_differences(labels, second, first, names, draws=300)
    assert back["auc"]["high"] == pytest.approx(-found["auc"]["low"])
    assert back["auc"]["p"] == found["auc"]["p"]


def test_the_bootstrap_of_areas_agrees_with_delong():
    labels, first, second = make_two(3, n=400)
    drawn = bootstrap_differences(labels, first, second, ["a", "b"], only=["auc"])["auc"]
    known = compare_areas(labels == 1, first[0][:, 1], second[0][:, 1])
    assert drawn["value"] == pytest.approx(known["value"])
    assert (drawn["low"], drawn["high"]) == pytest.approx((known["low"], known["high"]), abs=0.01)


def test_pairs_differ_more_surely_than_their_intervals_say():
    labels, first, _ = make_two(5)
    nearly = (np.where(np.arange(150)[:, None] < 5, first[0][:, ::-1], first[0]), None)
    nearly = (nearly[0], nearly[0].argmax(axis=1))
    found = bootstrap_differences(labels, first, nearly, ["a", "b"], only=["brier"], draws=500)["brier"]
    alone = evaluate(labels, *first, ["a", "b"], only=["brier"], draws=500)["metrics"]["brier"]
    assert found["high"] - found["low"] < 0.7 * (alone["high"] - alone["low"])


def test_differences_by_groups_are_wider_and_the_seed_decides_them():
    labels, first, second = make_two(2)
    tables = [tuple(np.repeat(part, 4, axis=0) for part in table) for table in (first, second)]
    case, groups = (np.repeat(labels, 4), *tables, ["a", "b"]), [str(i // 4) for i in range(600)]
    options = {"only": ["accuracy"], "draws": 300}
    plain = bootstrap_differences(*case, **options)["accuracy"]
    grouped = bootstrap_differences(*case, groups=groups, **options)["accuracy"]
    assert grouped["high"] - grouped["low"] > 1.5 * (plain["high"] - plain["low"])
    assert grouped["method"].startswith("paired bootstrap of 150 groups, 300 draws")
    assert grouped == bootstrap_differences(*case, groups=groups, **options)["accuracy"]
    assert grouped != bootstrap_differences(*case, groups=groups, seed=1, **options)["accuracy"]


@pytest.mark.parametrize("grouped", [False, True])
def test_many_classifiers_at_once_give_what_each_pair_gives(grouped):
    labels, first, second = make_two(4, k=3)
    third = make_two(7, k=3)[2]
    options = {"groups": [str(i // 2) for i in range(150)]} if grouped else {}
    options |= {"draws": 200, "seed": 3, "only": ["auc", "f1", "brier"]}
    pairs = bootstrap_pairs(labels, [first, second, third], list("abc"), **options)
    assert list(pairs) == [(0, 1), (0, 2), (1, 2)]
    for (i, j), found in pairs.items():
        tables = (first, second, third)
        assert found == bootstrap_differences(labels, tables[i], tables[j], list("abc"), **options)


def test_an_undefined_metric_has_no_difference():
    labels, first, _ = make_two(0)
    constant = (np.tile([0.4, 0.6], (150, 1)), np.ones(150, int))
    found = bootstrap_differences(labels, first, constant, ["a", "b"], only=["mcc"], draws=20)["mcc"]
    assert (found["value"], found["p"], found["reason"]) == (None, None, "The metric is undefined for one of the two.")


@pytest.mark.parametrize("units", [12, 20, 60])
def test_a_p_value_is_where_the_widened_interval_touches_zero(units):
    drawn = np.random.default_rng(units).normal(1.0, 0.5, 4000)
    low, high = np.percentile(drawn, widen(units))
    for edge in (low, high):
        assert _cross_zero(drawn - edge + 0.02, units) == pytest.approx(0.05, abs=0.02)
        assert (_cross_zero(drawn - edge + 0.05, units) < 0.05) == (edge == low)
        assert (_cross_zero(drawn - edge - 0.05, units) < 0.05) == (edge == high)
    assert _cross_zero(drawn - np.median(drawn), units) == pytest.approx(1, abs=0.01)
    assert _cross_zero(drawn + 9, units) > 0


def test_resamples_reach_the_level_that_they_are_counted_for():
    for units, level in ((5, 0.05), (20, 0.05 / 45), (100, 0.05)):
        needed = count_draws(units, level)
        assert _cross_zero(np.ones(math.ceil(needed)), units) <= level
        assert _cross_zero(np.ones(math.ceil(needed) - 2), units) > level
    assert count_draws(1, 0.05) == math.inf


def test_each_metric_rests_on_its_own_images():
    labels = np.repeat([0, 1], [30, 12])
    tables = [(scores, scores.argmax(axis=1)) for scores in np.random.default_rng(0).dirichlet((1, 1), (2, 42))]
    found = bootstrap_differences(labels, *tables, ["a", "b"], draws=50, only=(*METRICS[:4], "f1", "brier"))
    expected = {"accuracy": 42, "auc": 12, "sensitivity": 12, "specificity": 30, "f1": 12, "brier": 42}
    assert {name: entry["units"] for name, entry in found.items()} == expected
    assert [name for name, entry in found.items() if "12 images are few" in entry.get("note", "")] == [
        *("auc", "sensitivity", "f1"),
    ]
    owners = [f"{label}{i % 5}" for i, label in enumerate(labels)]
    found = bootstrap_differences(labels, *tables, ["a", "b"], groups=owners, draws=50, only=["brier", "f1"])
    assert {name: entry["units"] for name, entry in found.items()} == {"brier": 10, "f1": 5}
    assert "10 groups are few" in found["brier"]["note"]


def test_a_difference_without_width_has_no_interval():
    labels = np.arange(40) % 2
    right, wrong = np.eye(2)[labels], np.eye(2)[1 - labels]
    tables = [(scores * 0.8 + 0.1, scores.argmax(axis=1)) for scores in (right, wrong)]
    names = ("accuracy", "f1", "brier")
    same = bootstrap_differences(labels, tables[0], tables[0], ["a", "b"], draws=50, only=names)
    for entry in same.values():
        assert (entry["value"], entry["low"], entry["high"], entry["p"]) == (0, None, None, 1)
        assert entry["note"] == "Every resample gave the same value, from which no interval follows."
    apart = bootstrap_differences(labels, *tables, ["a", "b"], draws=50, only=names)
    for entry in apart.values():
        assert (entry["low"], entry["high"], entry["p"]) == (None, None, None)
        assert entry["value"] != 0
        assert entry["reason"].startswith("Every resample gave the same value")


def test_a_single_image_of_a_class_gives_no_interval():
    labels = np.r_[np.zeros(30, int), 1]
    tables = [(scores, scores.argmax(axis=1)) for scores in np.random.default_rng(3).dirichlet((1, 1), (2, 31))]
    found = bootstrap_differences(labels, *tables, ["a", "b"], draws=50, only=["auc", "specificity"])
    assert (found["auc"]["low"], found["auc"]["p"]) == (None, None)
    assert "fewer than two images" in found["auc"]["reason"]
    assert found["specificity"]["low"] < found["specificity"]["high"]


def draw_equal(rng, units, each, k, grouped):
    """Return labels, and scores of two classifiers that are equally good, whose images of a group are alike."""
    labels = np.repeat(np.arange(units) % k, each)
    hard, tables = rng.normal(size=(len(labels), k)), []
    for _ in range(2):
        own = np.repeat(rng.normal(0, 0.9, (units, k)), each, axis=0)
        scores = np.exp(hard + own + rng.normal(size=hard.shape) + 1.6 * np.eye(k)[labels])
        scores /= scores.sum(axis=1, keepdims=True)
        tables.append((scores, scores.argmax(axis=1)))
    return labels, tables, [str(i // each) for i in range(len(labels))] if grouped else None


# With twice the share of resamples for a p-value 17 % of f1 and 15 % of accuracy of 6 groups were false findings.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "each", "k", "grouped"), [(6, 5, 2, True), (20, 5, 2, True), (30, 1, 3, False), (60, 1, 2, False)]
)
def test_equal_classifiers_are_seldom_found_to_differ(units, each, k, grouped):
    rng, rounds, names = np.random.default_rng(1), 300, ("accuracy", "auc", "sensitivity", "f1", "brier")
    false = dict.fromkeys(names, 0)
    for seed in range(rounds):
        labels, tables, groups = draw_equal(rng, units, each, k, grouped)
        options = {"groups": groups, "draws": 1200, "only": names, "seed": seed}
        found = bootstrap_differences(labels, *tables, list("abc")[:k], **options)
        for name, entry in found.items():
            false[name] += entry["p"] is not None and entry["p"] < 0.05
    assert all(count / rounds <= 0.085 for count in false.values()), false


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


def test_folds_at_the_edge():
    assert average_folds([1.0, 0.8, None], 0.5, bounds=(0, 1))["high"] == 1
    assert average_folds([1.0, 0.8, None], 0.5)["note"] == "1 of 3 folds, in which it is undefined, left out."
    assert average_folds([0.7, None], 0.5)["reason"].startswith("Two folds are needed")
    assert average_folds([0.0, 0.0], 0.5)["p"] == 1
    with pytest.raises(InputError, match="`test_share` must be more than 0"):
        average_folds([0.7, 0.8], 0)
