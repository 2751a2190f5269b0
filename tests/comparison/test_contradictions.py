"""What a comparison says where a star and an interval seem to contradict each other."""

import dataclasses

import numpy as np
import pytest

from tests.comparison.test_comparison import SKILLS, write_run
from tlmed.comparison import compare, describe_comparison
from tlmed.comparison.contradictions import explain_contradictions
from tlmed.comparison.page import make_comparison_page
from tlmed.metrics import mcnemar
from tlmed.screen import to_lines


def judge(first_only, second_only, both, neither):
    amounts = [both, first_only, second_only, neither]
    found = mcnemar(np.repeat([1, 1, 0, 0], amounts), np.repeat([1, 0, 1, 0], amounts))
    return found | {"p_holm": found["p"]}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = [write_run(folder / name, skill=skill, seed=i, train=20) for i, (name, skill) in enumerate(SKILLS.items())]
    return compare(runs)


def replace_accuracy(comparison, *entries):
    """Give a comparison other differences of accuracy."""
    pairs = [
        dataclasses.replace(pair, questions={**pair.questions, "accuracy": entry})
        for pair, entry in zip(comparison.pairs, entries, strict=True)
    ]
    return dataclasses.replace(comparison, pairs=tuple(pairs))


def test_what_seems_to_contradict_stands_under_the_table_with_its_reason(comparison):
    plain = judge(6, 5, 10, 9)
    two_ways = judge(10, 3, 0, 7)  # by 20 images, p 0.057 and an interval from 0.004 on
    assert two_ways["p"] > 0.05
    assert two_ways["low"] > 0
    corrected = judge(9, 1, 20, 0)
    assert corrected["p"] < 0.05
    assert corrected["low"] > 0
    changed = replace_accuracy(comparison, plain, two_ways, corrected | {"p_holm": 0.06})
    methods = "p is by McNemar, mid-p (Fagerland et al. 2013), the interval by Newcombe 1998, method 10"
    expected = [
        f"1 - 3: p is not below 0.05, but the interval leaves out 0: {methods}. Two methods may disagree near 0.05.",
        "2 - 3: p is not below 0.05, but the interval leaves out 0: p is corrected for 3 pairs (Holm), the interval is "
        "not.",
    ]
    screen, page = " ".join(" ".join(to_lines(describe_comparison(changed))).split()), make_comparison_page(changed)
    for sentence in expected:
        assert f"accuracy, {sentence}" in screen
        assert sentence in page
    assert " 1 - 2: p is" not in f" {screen} {page}"


def test_a_star_beside_an_interval_that_holds_0_is_explained():
    entry = judge(10, 3, 0, 7) | {"low": -0.01, "p": 0.04, "p_holm": 0.04}
    (said,) = explain_contradictions([("1 - 2", entry), ("1 - 3", entry)], "2 pairs (Holm)")
    assert said.startswith("1 - 2, 1 - 3: p is below 0.05, but the interval holds 0: p is by McNemar")


@pytest.mark.parametrize(
    "entry",
    [
        judge(9, 1, 20, 0),
        judge(6, 5, 10, 9),
        judge(10, 3, 0, 7) | {"low": None, "high": None},
        {"low": None, "high": None, "p": None, "p_holm": None, "method": None},
        {"low": -0.1, "high": 0.1, "p": 0.04, "p_holm": 0.08, "method": "A; interval: B"},
    ],
)
def test_nothing_is_said_where_p_and_interval_agree_or_one_is_missing(entry):
    assert explain_contradictions([("1 - 2", entry)], "1 pair (Holm)") == []
