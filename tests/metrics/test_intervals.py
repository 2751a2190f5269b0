"""Intervals equal published ones and those of R, and cover the truth as often as they say."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from benchmarks.coverage import LEAST_SHARE, LIMITS, Setting, count_coverage
from tests.asah import NDKA, OUTCOME, S100B, WFNS
from tests.metrics.test_metrics import draw_case
from tlmed.errors import InputError
from tlmed.metrics import METRICS, evaluate, predictive_values, wilson
from tlmed.metrics.areas import area_interval, covariance, newcombe, place
from tlmed.metrics.calibration import chance_error
from tlmed.metrics.combining import combine_ratio
from tlmed.metrics.definitions import CLASS_METRICS, make_case, rate
from tlmed.metrics.image_means import average_images
from tlmed.metrics.influences import influence_of_all, influence_of_class, leave_out
from tlmed.metrics.proportions import count_freedom, effective_groups, effective_size, harmonic_mean, proportion, t_95
from tlmed.metrics.resampling import bound, widen
from tlmed.metrics.spreads import Spread, bound_mean, find_strata, measure_spread

MARKERS = {"s100b": S100B, "ndka": NDKA, "wfns": WFNS}


# Newcombe, Statistics in Medicine 1998, 17:857-872, table I, method 3.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_worked_examples(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_is_that_of_r():
    # R 4.2.2: prop.test(81, 263, correct = FALSE)$conf.int
    assert wilson(81, 263) == pytest.approx((0.255288519878, 0.366209576983), abs=1e-11)


# R 4.2.2 with pROC 1.18.0: auc(roc), var(roc) of roc(aSAH$outcome, aSAH$MARKER); pROC's own tests have the same
# (tests/testthat/helper-deLongPlacementsCpp-expected.R, test-var.R).
@pytest.mark.parametrize(
    ("marker", "area", "variance"),
    [
        ("s100b", 0.731368563685637, 0.00266868245717),
        ("ndka", 0.611957994579946, 0.00319081054939),
        ("wfns", 0.823678861788618, 0.00146991470882),
    ],
)
def test_area_and_variance_are_those_of_proc(marker, area, variance):
    placements = place(OUTCOME, MARKERS[marker])
    assert placements[OUTCOME].mean() == pytest.approx(area, abs=1e-14)
    assert placements[~OUTCOME].mean() == pytest.approx(area, abs=1e-14)
    assert covariance(OUTCOME, placements[None]).item() == pytest.approx(variance, abs=1e-13)


# pROC's tests/testthat/test-cov.R.
@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("wfns", "ndka"), -0.000532967856762438),
        (("ndka", "s100b"), -0.000756164938056579),
        (("s100b", "wfns"), 0.00119615567376754),
    ],
)
def test_covariances_are_those_of_proc(pair, expected):
    placements = np.stack([place(OUTCOME, MARKERS[name]) for name in pair])
    assert covariance(OUTCOME, placements)[0, 1] == pytest.approx(expected, abs=1e-15)


def test_the_interval_is_symmetric_on_the_logit_scale_with_delongs_error():
    entry = area_interval(OUTCOME, S100B)
    middle, low, high = (math.log(p / (1 - p)) for p in (entry["value"], entry["low"], entry["high"]))
    error = math.sqrt(0.00266868245717) / (0.731368563685637 * (1 - 0.731368563685637))
    quantile = (high - middle) / error
    assert middle - low == pytest.approx(high - middle, abs=1e-9)
    assert t_95(112) < quantile < t_95(40)  # Welch's degrees of freedom, between those of all and of the fewer
    assert entry["method"].startswith("DeLong on the logit scale")


def test_groups_of_one_case_give_delongs_variance():
    placements = np.stack([place(OUTCOME, S100B), place(OUTCOME, NDKA)])
    shuffled = np.random.default_rng(0).permutation(len(OUTCOME))
    np.testing.assert_allclose(covariance(OUTCOME, placements), covariance(OUTCOME, placements, shuffled), rtol=1e-12)


def obuchowski(positive, scores, owners):
    """Return the variance by the formulas of Obuchowski 1997, section 2, pair for pair."""
    wins = np.where(scores[:, None] > scores, 1.0, np.where(scores[:, None] == scores, 0.5, 0.0))
    area = wins[positive][:, ~positive].mean()
    m, n = positive.sum(), (~positive).sum()
    groups = [owners == g for g in np.unique(owners)]
    x = [sum(wins[i][~positive].mean() - area for i in np.flatnonzero(g & positive)) for g in groups]
    y = [sum(wins[positive][:, j].mean() - area for j in np.flatnonzero(g & ~positive)) for g in groups]
    with_x, with_y = (sum((g & rows).any() for g in groups) for rows in (positive, ~positive))
    every = len(groups)
    s10 = with_x / ((with_x - 1) * m) * sum(v**2 for v in x)
    s01 = with_y / ((with_y - 1) * n) * sum(v**2 for v in y)
    s11 = every / (every - 1) * sum(a * b for a, b in zip(x, y, strict=True))
    return s10 / m + s01 / n + 2 * s11 / (m * n)


def test_the_variance_by_groups_is_obuchowskis():
    rng = np.random.default_rng(0)
    positive, scores, owners = rng.random(60) < 0.4, rng.integers(8, size=60).astype(float), rng.integers(25, size=60)
    found = covariance(positive, place(positive, scores)[None], owners).item()
    assert found == pytest.approx(obuchowski(positive, scores, owners), rel=1e-10)


def test_doubled_images_of_the_same_patients_tell_nothing_new():
    positive, scores, owners = np.tile(OUTCOME, 2), np.tile(S100B, 2), np.tile(np.arange(len(OUTCOME)), 2)
    alone = covariance(OUTCOME, place(OUTCOME, S100B)[None]).item()
    assert covariance(positive, place(positive, scores)[None], owners).item() == pytest.approx(alone, rel=1e-10)
    once, twice = area_interval(OUTCOME, S100B), area_interval(positive, scores, owners)
    halves = [math.log(e["value"] / (1 - e["value"])) - math.log(e["low"] / (1 - e["low"])) for e in (once, twice)]
    assert 1 < halves[1] / halves[0] < t_95(40) / 1.959963985
    assert "113 groups" in twice["method"]
    assert "t with 40 df" in twice["method"]


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize("k", [2, 3])
def test_influences_are_the_derivatives_by_the_weights(k, digits):
    labels, scores, guesses = draw_case(0, n=40, k=k, digits=digits)
    case = make_case(labels, scores, guesses, 1 if k == 2 else None)
    step = 1e-6 * np.eye(40)
    up, down = rate(case, 1 + step), rate(case, 1 - step)
    for name in set(METRICS) - {"ece"}:
        slope = (up[None][name] - down[None][name]) / 2e-6
        np.testing.assert_allclose(influence_of_all(case, name), slope, atol=1e-7, err_msg=name)
        assert influence_of_all(case, name).sum() == pytest.approx(0, abs=1e-12)
    for name in CLASS_METRICS:
        slope = (up[0][name] - down[0][name]) / 2e-6
        np.testing.assert_allclose(influence_of_class(case, 0, name), slope, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("digits", [None, 1])
def test_average_precision_is_left_out_image_by_image(digits):
    labels, scores, _ = draw_case(3, n=50, k=2, digits=digits)
    truth, value = labels == 1, average_precision_score(labels, scores[:, 1])
    rows = [np.arange(50) != i for i in range(50)]
    raised = np.array([value - average_precision_score(labels[own], scores[own, 1]) for own in rows])
    np.testing.assert_allclose(leave_out(truth, scores[:, 1]), raised - raised.mean(), atol=1e-12)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_spread_is_welchs(grouped):
    rng = np.random.default_rng(0)
    labels, values = np.repeat([0, 1], [30, 8]), rng.normal(size=38)
    influences = np.where(labels == 1, (values - values[30:].mean()) / 8, -(values - values[:30].mean()) / 30)
    if grouped:  # each image in two halves of one group
        influences, labels, owners = np.repeat(influences, 2) / 2, np.repeat(labels, 2), np.repeat(np.arange(38), 2)
        spread = measure_spread(influences, find_strata(labels, owners), owners)
    else:
        spread = measure_spread(influences, find_strata(labels))
    test = stats.ttest_ind(values[30:], values[:30], equal_var=False)
    difference = values[30:].mean() - values[:30].mean()
    assert difference / math.sqrt(spread.variance) == pytest.approx(test.statistic)
    assert spread.freedom == pytest.approx(test.df)


def test_the_interval_of_a_mean_is_halls():
    # Hall 1992: g(T) is monotone and inverts T + a T^2 + a^2 T^3 / 3 + b.
    rng = np.random.default_rng(1)
    values = rng.exponential(size=40)
    spread = measure_spread((values - values.mean()) / 40, np.zeros(40, int))
    low, high = bound_mean(values.mean(), spread, math.inf)
    assert spread.skewness == pytest.approx(stats.skew(values))
    bend, shift = spread.skewness / 3 / math.sqrt(40), spread.skewness / 6 / math.sqrt(40)
    for edge, sign in ((low, 1), (high, -1)):
        t = (values.mean() - edge) / math.sqrt(spread.variance)
        assert t + bend * t**2 + bend**2 * t**3 / 3 + shift == pytest.approx(sign * t_95(39))
    even = Spread(0.01, 39.0, 0.0, 40)
    assert bound_mean(0.5, even, math.inf) == pytest.approx((0.5 - 0.1 * t_95(39), 0.5 + 0.1 * t_95(39)))


@pytest.mark.parametrize("grouped", [False, True])
def test_the_mean_of_a_number_per_image_is_bounded_as_log_loss_is(grouped):
    labels, scores, guesses = draw_case(0, n=60, k=3)
    case = make_case(labels, scores, guesses, None)
    groups = [str(i // 3) for i in range(60)] if grouped else None
    owners = np.arange(60) // 3 if grouped else None
    found = evaluate(labels, scores, guesses, ["a", "b", "c"], groups=groups)["metrics"]
    for row, (name, most) in enumerate({"log_loss": math.inf, "brier": 2.0}.items()):
        entry = average_images(case.losses[row], labels, ["a", "b", "c"], owners, most)
        assert entry["method"] == found[name]["method"]
        numbers = ("value", "low", "high")  # another order of summing
        assert [entry[n] for n in numbers] == pytest.approx([found[name][n] for n in numbers], abs=1e-12)


def test_the_mean_of_a_number_per_image_says_on_how_little_it_rests():
    values, names = np.r_[np.zeros(15), np.arange(5.0)], ["a", "b"]
    few, some = (average_images(values, (np.arange(20) >= 20 - count).astype(int), names) for count in (4, 5))
    assert few["low"] is None
    assert few["note"] == "Fewer than 5 images decide, from which no interval follows."
    assert some["note"] == "It rests on 5 images of class 'b'."
    alone = average_images(values, np.zeros(20, int), names, np.arange(20) % 4)
    assert alone == {
        "value": 0.5, "low": None, "high": None, "method": None,
        "note": "Fewer than 10 groups, from which no interval follows.",
    }  # fmt: skip


def test_newcombes_interval_solves_its_equation():
    # Newcombe 2006, method 5: |area - x| = z sqrt(V(x)).
    for area, m, n in ((0.8, 10, 30), (1.0, 20, 60), (0.0, 5, 5), (0.5, 1, 4)):
        low, high = newcombe(area, m, n)
        assert low <= area <= high
        for x in {low, high} - {0.0, 1.0}:
            half = (m + n) / 2 - 1
            variance = x * (1 - x) * (1 + half * (1 - x) / (2 - x) + half * x / (1 + x)) / (m * n)
            assert abs(area - x) == pytest.approx(1.959963985 * math.sqrt(variance), abs=1e-8)
    assert newcombe(1.0, 20, 60)[0] == pytest.approx(1 - newcombe(0.0, 60, 20)[1])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("groups", [None, [str(i // 2) for i in range(20)]])
def test_a_perfect_auc_gets_a_bound_and_a_mark(flip, groups):
    labels = np.repeat([0, 1], 10)
    scores = np.eye(2)[1 - labels if flip else labels] * 0.8 + 0.1
    entry = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], groups=groups, draws=50)["metrics"]["auc"]
    assert entry["value"] == float(not flip)
    assert (entry["low"], entry["high"]) == newcombe(entry["value"], *((5, 5) if groups else (10, 10)))
    assert "right order" in entry["note"] or flip
    assert ("groups" if groups else "images") in entry["note"]


def test_one_positive_image_gets_a_bound():
    positive, scores = np.array([True, False, False, False]), np.array([0.6, 0.7, 0.2, 0.1])
    entry = area_interval(positive, scores)
    assert (entry["low"], entry["high"]) == newcombe(2 / 3, 1, 3)
    assert entry["note"].startswith("There are too few")


def test_the_effective_size_counts_patients_where_their_images_agree():
    owners = np.repeat(np.arange(30), 4)
    alike = np.repeat(np.arange(30) < 20, 4)
    factor = (1.959963985 / t_95(29)) ** 2
    assert effective_size(alike, owners) == pytest.approx(29 * factor)  # 30 - 1: the variance is an estimate
    mixed = np.tile([True, True, True, False], 30)  # every patient as good as the next
    assert effective_size(mixed, owners) == pytest.approx(120 * factor)
    mixed[3:5] = True, False  # nearly: groups that are too alike must not count for more than their images
    assert effective_size(mixed, owners) == pytest.approx(120 * factor)
    assert effective_size(np.ones(120, bool), owners) == 30


def test_groups_of_one_size_count_all_and_a_large_one_counts_for_more():
    rng = np.random.default_rng(0)
    owners, influences = np.repeat(np.arange(20), 5), rng.normal(size=100)
    assert effective_groups(influences, owners) == pytest.approx(20)
    large = np.concatenate([np.zeros(60, int), np.arange(1, 41)])
    alike = np.concatenate([np.ones(60), -1.5 * np.ones(40)])
    assert effective_groups(influences[:100], large) < 20  # 41 groups
    assert effective_groups(alike, large) == pytest.approx(1, abs=0.05)


def test_the_variance_never_shrinks_as_one_group_gets_larger():
    factors = []
    for size in (2, 5, 10, 20, 80, 1000):
        owners = np.repeat(np.arange(12), [size, *[1] * 11])
        influences = np.where(owners == 0, 1.0, -size / 11) + 0.1 * np.random.default_rng(0).standard_normal(
            len(owners)
        )
        freedom, factor = count_freedom(influences - influences.mean(), owners)
        assert freedom >= 1
        factors.append(factor)
    assert factors == sorted(factors)
    assert factors[-1] == pytest.approx(11 / 12 * 3)


@pytest.mark.slow
def test_intervals_by_groups_of_unequal_sizes_cover():
    sizes = np.array([42, 15, 12, 10, 8, 8, 7, 6, 5, 5, *[3] * 10, *[2] * 14, *[1] * 25])
    only, covered, draws = ("auc", "log_loss", "brier", "average_precision"), Counter(), 300
    rng = np.random.default_rng(7)

    def draw(groups):
        chosen = rng.integers(0, len(sizes), groups)
        owners = np.repeat(np.arange(groups), sizes[chosen])
        labels = (chosen % 2)[owners]
        latent = rng.normal(size=len(owners)) * np.sqrt(0.7) + rng.normal(size=groups)[owners] * np.sqrt(0.3)
        likely = 1 / (1 + np.exp(-1.2 * (latent + (labels - 0.5) * 1.2)))
        return labels, np.stack([1 - likely, likely], 1), [str(owner) for owner in owners]

    labels, scores, _ = draw(30_000)
    truth = evaluate(labels, scores, scores.argmax(1), ["a", "b"], draws=20, only=only)["metrics"]
    for _ in range(draws):
        labels, scores, owners = draw(len(sizes))
        found = evaluate(labels, scores, scores.argmax(1), ["a", "b"], groups=owners, draws=20, only=only)["metrics"]
        covered.update(name for name in only if found[name]["low"] <= truth[name]["value"] <= found[name]["high"])
    assert all(0.92 * draws <= covered[name] for name in only), covered


def test_the_effective_size_measures_how_alike_the_images_of_unequal_groups_are():
    # Ten groups of one image and two of ten: two groups' worth of degrees of freedom where images of a group are alike
    # (210^2 / 20010 - 1 = 1.2), and 30^2 / 210 - 1 = 3.3 where they are not.
    owners = np.r_[np.arange(10), np.repeat([10, 11], 10)]
    mixed = np.r_[np.tile([True, False], 5), np.tile([True, False], 10)]
    assert effective_size(mixed, owners) == pytest.approx(30 * (1.959963985 / t_95(30**2 / 210 - 1)) ** 2)
    alike = np.r_[np.tile([True, False], 5), np.repeat([True, False], 10)]
    assert effective_size(alike, owners) < 1


def test_what_one_group_has_wrong_does_not_tell_how_alike_images_are():
    # One image of one patient is wrong: as if each patient had one image. Of two patients there is a variance.
    owners, right = np.repeat(np.arange(30), 4), np.ones(120, bool)
    right[0] = False
    assert effective_size(right, owners) == 30
    right[4] = False
    assert effective_size(right, owners) > 60


def test_chance_goes_together_in_the_bins_of_a_patient():
    # Two images of each patient, both surplus or both not, in two bins: their sum varies as that of one bin would.
    rng, owners = np.random.default_rng(0), np.repeat(np.arange(200), 2)
    confidence = np.tile([0.55, 0.65], 200)
    outcome = np.repeat(np.arange(200) % 5 < 3, 2)
    found = chance_error(confidence, owners, 4000, rng, outcome)
    parts = [(outcome - confidence)[place::2] for place in (0, 1)]
    expected = sum(math.sqrt((part**2).sum()) for part in parts) * math.sqrt(2 / math.pi) / 400
    assert found.mean() == pytest.approx(expected, rel=0.03)
    # Apart, errors in two bins are seldom large together: with correlation 1 the spread is that of one.
    assert found.std() == pytest.approx(expected * math.sqrt(math.pi / 2 - 1), rel=0.06)


def test_proportions_get_wilson_and_the_auc_of_two_classes_delong():
    labels, scores, guesses = draw_case(1, k=2)
    result = evaluate(labels, scores, guesses, ["a", "b"], draws=50)
    kinds = {name: entry["method"].split()[0] for name, entry in result["metrics"].items()}
    assert {name for name, kind in kinds.items() if kind == "Wilson"} == {
        *("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")
    }
    assert {name for name, kind in kinds.items() if kind == "DeLong"} == {"auc"}
    entry, hits = result["metrics"]["sensitivity"], int((guesses[labels == 1] == 1).sum())
    assert (entry["low"], entry["high"]) == wilson(hits, int((labels == 1).sum()))
    found = harmonic_mean(labels == 1, guesses == 1)
    assert {end: result["metrics"]["f1"][end] for end in found} == found
    macro = evaluate(*draw_case(1, k=3), ["a", "b", "c"], draws=50)
    assert {name for name, entry in macro["metrics"].items() if entry["method"].startswith("Wilson")} == {"accuracy"}
    assert macro["metrics"]["auc"]["method"].startswith("MOVER of 3 classes, each DeLong on the logit scale (")
    assert macro["per_class"]["a"]["auc"]["method"].startswith("DeLong")


def test_several_images_per_group_make_every_interval_a_wider_one_by_groups():
    labels, scores, guesses = (np.repeat(part, 6, axis=0) for part in draw_case(4, n=50, k=2))
    groups = [f"patient {i // 6}" for i in range(len(labels))]
    by_rows = evaluate(labels, scores, guesses, ["a", "b"], draws=500)
    by_groups = evaluate(labels, scores, guesses, ["a", "b"], groups=groups, draws=500)
    assert by_groups["groups"] == 50
    for scope in ("metrics", "a", "b"):
        rows, own = (found.get(scope) or found["per_class"][scope] for found in (by_rows, by_groups))
        for name in set(own) - {"n"}:
            assert "groups" in own[name]["method"], name
            assert own[name]["value"] == pytest.approx(rows[name]["value"])
            if name != "ece":
                assert own[name]["high"] - own[name]["low"] > 1.5 * (rows[name]["high"] - rows[name]["low"]), name


def test_few_units_widen_the_percentiles_as_t_does():
    # Hesterberg 2015: the level is the normal tail beyond sqrt(n / (n - 1)) t(0.975, n - 1); t(0.975, 9) = 2.262157.
    expected = 50 * math.erfc(math.sqrt(10 / 9) * 2.262157163 / math.sqrt(2))
    assert widen(10) == pytest.approx((expected, 100 - expected))
    assert widen(1) == (0, 100)
    assert widen(10**9) == pytest.approx((2.5, 97.5), abs=1e-6)


def test_an_interval_says_what_it_leaves_out():
    assert bound(np.array([np.nan, np.nan]), 5, 0.5) == (None, None, "It is undefined in every resample.")
    assert "no width" in bound(np.full(9, 0.5), 5, 0.5)[2]


def test_the_error_that_chance_gives_calibrated_scores_is_what_redrawn_outcomes_show():
    rng = np.random.default_rng(0)
    confidence = rng.random(400)
    bins = np.minimum((confidence * 10).astype(int), 9)
    redrawn = [
        np.abs(np.bincount(bins, (rng.random(400) < confidence) - confidence, 10)).sum() / 400 for _ in range(2000)
    ]
    found = chance_error(confidence, np.arange(400), 2000, rng, confidence < 0.5)
    assert found.mean() == pytest.approx(np.mean(redrawn), rel=0.03)
    assert np.percentile(found, 97.5) == pytest.approx(np.percentile(redrawn, 97.5), rel=0.05)


def predict_so_many(hits, positives, false, negatives):
    """Return which images are positive and which are predicted so."""
    positive = np.repeat([True, False], [positives, negatives])
    return positive, np.r_[np.arange(positives) < hits, np.arange(negatives) < false]


def test_predictive_values_are_bayes_theorem_with_the_ratio_of_two_wilson_intervals():
    # Sensitivity 80 / 100, specificity 180 / 200, prevalence 0.1.
    found = predictive_values(*predict_so_many(80, 100, 20, 200), 0.1)
    assert found["ppv"]["value"] == pytest.approx(0.08 / (0.08 + 0.09))
    assert found["npv"]["value"] == pytest.approx(0.81 / (0.81 + 0.02))
    hit, false = wilson(80, 100), wilson(20, 200)
    for entry, top, own, bottom, other, odds in (
        (found["ppv"], 0.8, hit, 0.1, false, 1 / 9),
        (found["npv"], 0.9, (1 - false[1], 1 - false[0]), 0.2, (1 - hit[1], 1 - hit[0]), 9),
    ):
        # At the bounds R of the ratio the interval of top - R bottom ends at 0 (Donner & Zou 2012).
        low, high = (entry[end] / (1 - entry[end]) / odds for end in ("low", "high"))
        assert top - low * bottom == pytest.approx(math.hypot(top - own[0], low * (other[1] - bottom)))
        assert high * bottom - top == pytest.approx(math.hypot(own[1] - top, high * (bottom - other[0])))


def test_predictive_values_where_no_case_is_missed_reach_as_far_as_those_of_the_split():
    # With 20 of each class, all found and one false alarm, the logit interval of adjusted rates was 0.118 to 0.538.
    assert [predictive_values(*predict_so_many(20, 20, 1, 20), 0.05)["ppv"][end] for end in ("low", "high")] == (
        pytest.approx([0.1798, 0.8556], abs=5e-5)
    )
    half = predictive_values(*predict_so_many(20, 20, 1, 20), 0.5)["ppv"]
    assert (half["low"], half["high"]) == pytest.approx(wilson(20, 21), abs=0.04)


# Every outcome counts with its chance: coverage is exact. It is the same at every prevalence, whose odds are a factor.
@pytest.mark.parametrize("images", [20, 30, 50])
def test_predictive_values_at_a_prevalence_cover(images):
    counts, prevalence = np.arange(images + 1), {20: 0.01, 30: 0.05, 50: 0.5}[images]
    bounds = np.full((2, images + 1, images + 1, 2), np.nan)
    for hits in counts:
        for false in counts:
            found = predictive_values(*predict_so_many(hits, images, false, images), prevalence)
            for value, entry in enumerate(found.values()):
                if entry["value"] is not None:
                    assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1
                    bounds[value, hits, false] = entry["low"], entry["high"]
    for hit in (0.8, 0.95, 0.98, 0.999):
        for false in (0.2, 0.1, 0.05, 0.02, 0.001):
            chance = np.outer(stats.binom.pmf(counts, images, hit), stats.binom.pmf(counts, images, false))
            caught, missed = prevalence * hit, prevalence * (1 - hit)
            alarms, cleared = (1 - prevalence) * false, (1 - prevalence) * (1 - false)
            for truth, (low, high) in zip(
                (caught / (caught + alarms), cleared / (cleared + missed)), np.moveaxis(bounds, 3, 1), strict=True
            ):
                defined = ~np.isnan(low)
                held = (low <= truth) & (truth <= high)
                assert 0.92 <= chance[held].sum() / chance[defined].sum() <= 0.985, (hit, false)


def test_predictive_values_at_the_edge_and_by_groups():
    positive = np.repeat([True, False], 20)
    perfect = predictive_values(positive, positive, 0.2)
    assert perfect["ppv"]["value"] == perfect["ppv"]["high"] == 1
    assert 0.3 < perfect["ppv"]["low"] < 0.9
    none = predictive_values(positive, np.zeros(40, bool), 0.2)
    assert none["ppv"]["reason"] == "No image was predicted as positive."
    assert none["npv"]["value"] == pytest.approx(0.8)
    wrong = predictive_values(positive, ~positive, 0.2)
    assert [wrong["ppv"][end] for end in ("value", "low")] == [0, 0]
    assert 0 < wrong["ppv"]["high"] < 0.1
    guess = positive ^ (np.arange(40) % 4 == 0)
    alone = predictive_values(positive, guess, 0.2)["ppv"]
    positive, guess = np.repeat(positive, 2), np.repeat(guess, 2)
    twice = predictive_values(positive, guess, 0.2, np.arange(80) // 2)["ppv"]
    assert twice["low"] < alone["low"] < predictive_values(positive, guess, 0.2)["ppv"]["low"]
    few = predictive_values(positive, guess, 0.2, np.arange(80) // 5)["ppv"]  # eight groups of each class
    assert (few["value"], few["low"], few["high"]) == (twice["value"], None, None)
    assert few["note"] == "A class has fewer than 10 groups, from which no interval follows."
    with pytest.raises(InputError, match="`prevalence` must be between 0 and 1"):
        predictive_values(positive, guess, 5)
    with pytest.raises(InputError, match="`positive` must be true of some"):
        predictive_values(np.ones(3, bool), np.ones(3, bool), 0.1)


def test_predictive_values_by_groups_go_with_the_intervals_of_sensitivity_and_specificity():
    # 12 groups of 5 images on each side, none missed: sensitivity counts as 12 images, and so in what is made of it.
    positive, predicted = predict_so_many(60, 60, 5, 60)
    owners = np.repeat(np.arange(24), 5)
    found = predictive_values(positive, predicted, 0.05, owners)["ppv"]
    rates = [proportion(predicted[rows], owners[rows]) for rows in (positive, ~positive)]
    assert (found["low"], found["high"]) == pytest.approx(
        [odds / (odds + 19) for odds in combine_ratio(*rates)], abs=1e-12
    )
    assert found["method"].startswith("MOVER-R of the intervals of sensitivity and specificity by groups")
    # A group with images of both kinds ties the rates: here who has all hits has all false alarms, and the ratio varies
    # less than the rates do.
    positive, owners = np.repeat([True, False], 20), np.tile(np.arange(10), 4)
    tied = np.tile(np.arange(10) < 6, 4)
    apart = np.r_[tied[:20], ~tied[20:]]
    widths = [
        entry["high"] - entry["low"]
        for entry in (predictive_values(positive, guess, 0.5, owners)["ppv"] for guess in (tied, apart))
    ]
    assert widths[0] < widths[1]


def test_the_same_proportion_from_equal_counts():
    assert proportion(np.array([True, False, True]), np.arange(3)) == proportion(np.array([True, False, True]))
    (low, high), entry = wilson(3, 3), proportion(np.ones(3, bool))
    assert (entry["low"], entry["high"]) == (low, high)
    entry = proportion(np.ones(8, bool), np.repeat([0, 1], 4))
    assert (entry["low"], entry["high"]) == wilson(2, 2)


@pytest.mark.parametrize("each", [1, 3])
def test_two_classes_have_the_same_area_to_the_bit(each):
    rng = np.random.default_rng(0)
    for size in (40, 41, 97):
        labels = rng.integers(2, size=size)
        sick = rng.integers(1, 64, size) / 128 + 0.375 * labels  # exact, so that the other scores have the same ties
        groups = [str(i // each) for i in range(size)]
        scores = np.stack([1 - sick, sick], axis=1)
        found = evaluate(labels, scores, labels, ["healthy", "sick"], groups=groups, draws=10)
        areas = [found["metrics"]["auc"], *(part["auc"] for part in found["per_class"].values())]
        assert areas[0] == areas[1] == areas[2]
    # 399 of 400 pairs in the right order are 0.9975, which is 0.998; a mean of shares was 0.997 for one of the classes.
    labels, sick = np.repeat([1, 0], 20), np.r_[np.linspace(0.91, 0.6, 20), 0.605, np.linspace(0.4, 0.1, 19)]
    found = evaluate(labels, np.stack([1 - sick, sick], axis=1), labels, ["healthy", "sick"], draws=10)
    assert [part["auc"]["value"] for part in found["per_class"].values()] == [399 / 400] * 2
    case = make_case(labels, np.stack([1 - sick, sick], axis=1), labels, 1)
    assert rate(case, np.ones((40, 1)), ("auc",))[None]["auc"].item() == 399 / 400


def draw_patients(rng, positives, negatives, images, correlation, area):
    """Draw binormal scores as the probabilities that they mean, several images of each patient.

    An image is predicted positive where it is more likely so than not, given the shares of the classes.

    Returns:
        Labels, scores [n, 2], groups, and the true sensitivity and specificity.
    """
    from scipy.special import ndtr, ndtri

    shift = math.sqrt(2) * ndtri(area)
    labels = np.repeat([1, 0], [positives * images, negatives * images])
    patients = np.repeat(rng.normal(size=positives + negatives), images)
    values = (
        math.sqrt(correlation) * patients + math.sqrt(1 - correlation) * rng.normal(size=len(labels)) + shift * labels
    )
    chance = 1 / (1 + np.exp(-(shift * values - shift**2 / 2 + math.log(positives / negatives))))
    threshold = shift / 2 + math.log(negatives / positives) / shift
    groups = [str(i) for i in np.repeat(np.arange(positives + negatives), images)]
    return labels, np.stack([1 - chance, chance], axis=1), groups, (ndtr(shift - threshold), ndtr(threshold))


SETTINGS = [
    (100, 100, 1, 0.0, 0.8),
    (30, 90, 1, 0.0, 0.95),
    (20, 60, 1, 0.0, 0.99),
    (20, 20, 5, 0.5, 0.8),
    (20, 20, 5, 0.8, 0.8),
    (20, 20, 5, 0.5, 0.95),
]


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_intervals_of_auc_sensitivity_and_specificity_cover(setting):
    rng, draws, covered = np.random.default_rng(0), 2000, {"auc": 0, "sensitivity": 0, "specificity": 0}
    for _ in range(draws):
        labels, scores, groups, rates = draw_patients(rng, *setting)
        found = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], groups=groups, only=covered)["metrics"]
        for name, truth in zip(covered, (setting[-1], *rates), strict=True):
            covered[name] += found[name]["low"] <= truth <= found[name]["high"]
    shares = {name: count / draws for name, count in covered.items()}
    assert all(0.925 <= share <= 0.985 for share in shares.values()), shares


@pytest.mark.slow
def test_images_counted_as_patients_cover_far_less():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(500):
        labels, scores, _, _ = draw_patients(rng, 20, 20, 5, 0.8, 0.8)
        found = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], only=["auc"])["metrics"]["auc"]
        covered += found["low"] <= 0.8 <= found["high"]
    assert covered / 500 < 0.8


# docs/metrics.md has all settings with 1,000 draws. The bounds are 92 and 98.5 %, and two standard errors of the draws
# that have an interval.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "grouped", "mix", "sharpness"),
    [
        *((20, False, "0.1", 1.0), (20, False, "0.5", 3.0), (60, False, "0.1", 1.0), (60, False, "three", 3.0)),
        *((60, True, "0.5", 1.0), (117, True, "0.1", 3.0), (117, True, "0.5", 1.0), (400, True, "0.1", 1.0)),
    ],
)
def test_intervals_of_every_metric_cover_at_a_random_mix_of_classes(images, grouped, mix, sharpness):
    draws = 600
    counts = count_coverage(Setting(images, mix, sharpness, grouped), draws)
    found = {name: (c["held"] / c["bounded"], c["bounded"]) for name, c in counts.items() if c["bounded"]}
    found = {name: (share, size) for name, (share, size) in found.items() if size > LEAST_SHARE * draws}
    assert len(found) >= 5
    for name, (share, size) in found.items():
        low, high = (edge / 100 for edge in LIMITS["coverage"])
        errors = (math.sqrt(edge * (1 - edge) / size) for edge in (low, high))
        least, most = (edge + sign * 2 * error for edge, sign, error in zip((low, high), (-1, 1), errors, strict=True))
        assert least <= share <= most, (name, share, size)


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["0.1", "0.5", "three"])
def test_seven_patients_have_no_interval(mix):
    counts = count_coverage(Setting(20, mix, 1.0, True), 100)
    assert all(count["bounded"] < LEAST_SHARE * 100 for count in counts.values()), counts


@pytest.mark.slow
@pytest.mark.parametrize(("sharpness", "least"), [(1.0, 0.94), (3.0, 0.9)])
def test_the_interval_of_the_calibration_error_covers(sharpness, least):
    def draw(rng, n):
        logits = rng.normal(0, 2, n)
        labels = (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(int)
        chance = 1 / (1 + np.exp(-sharpness * logits))
        return labels, np.stack([1 - chance, chance], axis=1)

    labels, scores = draw(np.random.default_rng(1), 1_000_000)
    case = (labels, scores, labels, ["a", "b"])
    truth = evaluate(*case, draws=1, only=["ece"])["metrics"]["ece"]["value"] if sharpness > 1 else 0.0
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        labels, scores = draw(rng, 300)
        found = evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], draws=400, only=["ece"])["metrics"]["ece"]
        covered += found["low"] <= truth <= found["high"]
    assert covered / 300 >= least


@pytest.mark.parametrize("groups", [None, [f"p{i // 3}" for i in range(90)]])
def test_what_is_the_same_of_both_classes_has_the_same_interval_whichever_is_positive(groups):
    rng = np.random.default_rng(4)
    labels = (rng.random(90) < 0.3).astype(int)
    scores = rng.dirichlet((1, 1), 90)
    scores = (scores + 0.6 * np.eye(2)[labels]) / 1.6
    both = [
        evaluate(labels, scores, scores.argmax(axis=1), ["a", "b"], positive, groups, draws=500)["metrics"]
        for positive in ("a", "b")
    ]
    for name in ("accuracy", "auc", "balanced_accuracy", "mcc", "kappa", "quadratic_kappa", "log_loss", "brier"):
        for part in ("value", "low", "high"):
            assert both[0][name][part] == pytest.approx(both[1][name][part], abs=1e-9), (name, part)


@pytest.mark.parametrize(("grouped", "note"), [(False, None), (True, "The interval is cut at 0 and at 1.")])
def test_an_interval_that_reaches_past_what_is_possible_says_that_it_is_cut(grouped, note):
    rng = np.random.RandomState(0)
    groups = [*["large"] * 30, *(f"small {number // 2}" for number in range(30))]  # half of the images are of one
    labels, scores = rng.randint(0, 2, 60), np.clip(0.5 + 0.12 * rng.randn(60), 0.3, 0.7)
    scores[:30] = np.where(labels[:30] == 1, 0.3, 0.7)
    table, predicted = np.stack([1 - scores, scores], axis=1), (scores > 0.5).astype(int)
    found = evaluate(labels, table, predicted, ["a", "b"], "b", groups=groups if grouped else None)["metrics"]["brier"]
    assert found.get("note") == note
    assert ((found["low"], found["high"]) == (0.0, 1.0)) == grouped


def test_a_mean_that_cannot_vary_has_no_interval():
    """NPVs of two classes that nobody is predicted as are 1 minus their shares, and these add up to 1."""
    labels = np.repeat([0, 1], 6)
    scores = np.tile([0.2, 0.3, 0.5], (12, 1))
    result = evaluate(labels, scores, scores.argmax(axis=1), ["neg", "pos", "other"])["metrics"]["npv"]
    assert (result["value"], result["low"], result["high"]) == (0.5, None, None)
    assert "no interval follows" in result["note"]
