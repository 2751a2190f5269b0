"""What the public functions of `tlmed.metrics` take, and what they refuse."""

from fractions import Fraction

import numpy as np
import pytest

import tlmed.metrics as metrics
from tlmed.errors import InputError
from tlmed.heads.fold_division import make_folds
from tlmed.metrics.bands import roc_band

RNG = np.random.default_rng(0)
LABELS = np.arange(80) % 5 // 3  # 0, 0, 0, 1, 1, ...
SCORES = np.clip(RNG.normal(0.35 + 0.2 * LABELS, 0.2), 0.01, 0.99)
OTHER = np.clip(SCORES + RNG.normal(0, 0.15, 80), 0.01, 0.99)
GUESS, OTHER_GUESS = (SCORES > 0.5).astype(int), (OTHER > 0.5).astype(int)
TABLE = np.c_[1 - SCORES, SCORES]
# Each public function that takes arrays of yes and no: the arrays, and a call with them.
FLAGGED = {
    "binary_auc": ((LABELS,), lambda y: metrics.binary_auc(y, SCORES)),
    "roc_curve": ((LABELS,), lambda y: metrics.roc_curve(y, SCORES)),
    "roc_band": ((LABELS,), lambda y: roc_band(y, SCORES, np.array([0.1, 0.5]))),
    "compare_areas": ((LABELS,), lambda y: metrics.compare_areas(y, SCORES, OTHER)),
    "mcnemar": ((GUESS, OTHER_GUESS), metrics.mcnemar),
    "predictive_values": ((LABELS, GUESS), lambda y, guess: metrics.predictive_values(y, guess, 0.02)),
    "choose_threshold": ((LABELS,), lambda y: metrics.choose_threshold(y, SCORES)),
    "net_benefit": ((LABELS,), lambda y: metrics.net_benefit(y, SCORES, np.array([0.5]))),
    "reliability": ((LABELS,), lambda y: metrics.reliability(SCORES, y)),
}


def plain(found):
    """Return a result as nested lists and numbers, which compare by ==."""
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items()}
    if isinstance(found, tuple | list):
        return [plain(value) for value in found]
    return found.tolist() if isinstance(found, np.ndarray) else found


@pytest.mark.parametrize("name", FLAGGED)
@pytest.mark.parametrize("form", [np.int64, np.uint8, list])
def test_zeros_and_ones_mean_no_and_yes(name, form):
    arrays, call = FLAGGED[name]
    given = [values.tolist() if form is list else values.astype(form) for values in arrays]
    assert plain(call(*given)) == plain(call(*(values == 1 for values in arrays)))


@pytest.mark.parametrize("name", FLAGGED)
@pytest.mark.parametrize(
    "turn",
    [
        lambda values: values + 1,
        lambda values: values * 2 - 1,
        lambda values: values.astype(float),
        lambda values: np.where(values, "yes", "no"),
        lambda values: np.where(values, True, None),
        lambda values: values[:, None] == 1,
        lambda values: values[:-1] == 1,
    ],
    ids=["1 and 2", "-1 and 1", "floats", "text", "missing", "a column", "too short"],
)
def test_what_is_neither_yes_nor_no_is_refused_by_name(name, turn):
    arrays, call = FLAGGED[name]
    with pytest.raises(InputError, match=r"^`\w+`( and `\w+`)? must be .*Received: "):
        call(turn(arrays[0]), *arrays[1:])


@pytest.mark.parametrize(
    "call",
    [
        lambda labels: metrics.evaluate(labels, TABLE, GUESS, ["a", "b"]),
        lambda labels: metrics.macro_auc(labels, TABLE),
        lambda labels: metrics.fit_temperature(TABLE, labels),
        lambda labels: metrics.compare_metrics(labels, (TABLE, GUESS), (TABLE, OTHER_GUESS), ["a", "b"]),
        lambda labels: metrics.measure_pairs(labels, [(TABLE, GUESS)] * 2, ["a", "b"], only=["accuracy"]),
    ],
    ids=["evaluate", "macro_auc", "fit_temperature", "compare_metrics", "measure_pairs"],
)
@pytest.mark.parametrize(
    "labels", [LABELS + 1, LABELS - 1, np.where(LABELS, "b", "a"), LABELS.astype(float), LABELS[1:]], ids=range(5)
)
def test_labels_other_than_the_numbers_of_classes_are_refused_by_name(call, labels):
    with pytest.raises(InputError, match=r"(`labels` must be|must have a row for|must have the shape)"):
        call(labels)


WITH_NAN = np.where(np.arange(80) == 3, np.nan, SCORES)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: metrics.compare_areas(LABELS, SCORES, WITH_NAN), "second"),
        (lambda: metrics.compare_areas(LABELS, SCORES[1:], OTHER), "first"),
        (lambda: metrics.roc_curve(LABELS, WITH_NAN), "scores"),
        (lambda: metrics.roc_curve(np.ones(80, bool), SCORES), "positive"),
        (lambda: metrics.net_benefit(LABELS, WITH_NAN), "scores"),
        (lambda: metrics.net_benefit(np.ones(80, bool), SCORES), "positive"),
        (lambda: metrics.net_benefit(LABELS, SCORES, prevalence=7), "prevalence"),
        (lambda: metrics.net_benefit(LABELS, SCORES, [np.nan]), "thresholds"),
        (lambda: metrics.binary_auc(LABELS, SCORES[1:]), "scores"),
        (lambda: metrics.binary_auc(LABELS, SCORES.astype(str)), "scores"),
        (lambda: metrics.macro_auc(LABELS, SCORES), "scores"),
        (lambda: metrics.choose_threshold(LABELS, WITH_NAN), "scores"),
        (lambda: metrics.reliability(WITH_NAN, LABELS), "confidence"),
        (lambda: metrics.reliability(SCORES * 100, LABELS), "confidence"),
        (lambda: metrics.reliability(SCORES, LABELS, np.arange(80) - 1), "owners"),
        (lambda: metrics.predictive_values(LABELS, GUESS, 0.1, np.arange(79)), "owners"),
        (lambda: metrics.fit_temperature(TABLE[1:], LABELS), "scores"),
        (lambda: metrics.fit_temperature(np.log(TABLE), LABELS), "scores"),  # logits that are not said to be some
        (lambda: metrics.fit_temperature(TABLE * 100, LABELS), "scores"),
        (lambda: metrics.apply_temperature(np.log(TABLE), 2.0), "scores"),
        (lambda: metrics.net_benefit(LABELS, SCORES * 100), "scores"),
        (lambda: metrics.net_benefit(LABELS, SCORES - 1), "scores"),
        (lambda: metrics.apply_temperature(TABLE, 0), "temperature"),
        (lambda: metrics.apply_temperature(np.c_[WITH_NAN, SCORES], 2.0), "scores"),
        (lambda: metrics.compare_metrics(LABELS, (TABLE, GUESS), (TABLE, GUESS + 1), ["a", "b"]), "second[1]"),
        (lambda: metrics.compare_pairs(LABELS, [(TABLE, GUESS), (TABLE[1:], GUESS)], ["a", "b"]), "tables[1][0]"),
        (lambda: metrics.compare_pairs(LABELS, [(TABLE, GUESS)] * 2, ["a", "b"], only=["acc"]), "only"),
        (lambda: metrics.compare_pairs(LABELS, [(TABLE, GUESS)] * 2, ["a", "a"]), "classes"),
        (lambda: metrics.mcnemar([], []), "first"),
        (lambda: metrics.holm([0.1, np.nan]), "p_values"),
        (lambda: metrics.average_folds([0.8, np.nan], 0.25), "values"),
        (lambda: metrics.average_folds([0.8, 0.9], 0.25, spreads=[None]), "spreads"),
        (lambda: metrics.wilson(5, 3), "successes"),
        (lambda: metrics.wilson(0, 0), "successes"),
    ],
)
def test_other_arguments_that_have_no_meaning_are_refused_by_name(call, name):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.faults[0].startswith(f"`{name}` must ")
    assert "Received: " in caught.value.faults[0]


def test_scores_that_are_unsigned_integers_are_ranked_as_numbers():
    scores = (SCORES * 200).astype(np.uint8)
    assert plain(metrics.roc_curve(LABELS, scores)) == plain(metrics.roc_curve(LABELS, scores.astype(float)))


# Functions that take groups: each with groups of ten images.
GROUPED = {
    "evaluate": lambda groups: metrics.evaluate(LABELS, TABLE, GUESS, ["a", "b"], groups=groups, draws=50),
    "compare_areas": lambda groups: metrics.compare_areas(LABELS, SCORES, OTHER, groups),
    "mcnemar": lambda groups: metrics.mcnemar(GUESS == LABELS, OTHER_GUESS == LABELS, groups),
    "compare_metrics": lambda groups: metrics.compare_metrics(
        LABELS, (TABLE, GUESS), (np.c_[1 - OTHER, OTHER], OTHER_GUESS), ["a", "b"], groups=groups
    ),
    "make_folds": lambda groups: [rows for _, rows in make_folds(LABELS, groups, folds=3, seed=0)],
}
TENS = np.arange(80) // 5


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize(
    "groups",
    [TENS, TENS.tolist(), TENS.astype(float), TENS + 1, [Fraction(n) for n in TENS.tolist()]],
    ids=["array", "list", "floats", "from 1", "fractions"],
)
def test_a_group_may_be_called_by_a_number_and_by_0(name, groups):
    assert plain(GROUPED[name](groups)) == plain(GROUPED[name](TENS.astype(str).tolist()))


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize("missing", [None, np.nan, b"a"], ids=str)
def test_a_missing_group_is_refused_by_its_place(name, missing):
    groups = [missing if i in (7, 9) else f"g{i // 5}" for i in range(80)]
    with pytest.raises(InputError, match=r"`groups` must be text or numbers.*for image 7, and 1 more\.$"):
        GROUPED[name](groups)


@pytest.mark.parametrize("name", GROUPED)
def test_groups_of_another_number_than_images_are_refused(name):
    with pytest.raises(InputError, match=r"`groups` must have one name per image, 80\. Received: len\(groups\)=79\."):
        GROUPED[name](["a"] * 79)
