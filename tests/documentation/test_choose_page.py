"""docs/choose.md: its computed tables are what tlmed computes, and its scores are those of the pages that it names."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from tlmed.metrics import wilson
from tlmed.metrics.areas import area_interval

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "choose.md").read_text(encoding="utf-8")


def read_table(name: str) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table below a mark."""
    lines = PAGE.partition(f"<!-- computed: {name} -->\n\n")[2].partition("\n\n")[0].splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return head, rows


def show(interval) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def bound_area(area: float, images: int, share: float) -> str:
    """Return the interval of an AUC of normal scores, which lie at the quantiles of their distributions."""
    positives = round(images * share)
    present, absent = (norm.ppf((np.arange(n) + 0.5) / n) for n in (positives, images - positives))
    positive = np.arange(images) < positives
    found = area_interval(positive, np.concatenate([present + np.sqrt(2) * norm.ppf(area), absent]))
    return show((found["low"], found["high"]))


def test_intervals_by_the_number_of_test_images():
    head, rows = read_table("intervals")
    assert head[1:3] == ["accuracy 0.80", "accuracy 0.90"]
    assert head[3:] == ["AUC 0.85, half positive", "AUC 0.85, one in ten positive", "AUC 0.95, half positive"]
    assert len(rows) == 5
    for number, *cells in rows:
        n = int(number.replace(",", ""))
        areas = [bound_area(*case) for case in ((0.85, n, 0.5), (0.85, n, 0.1), (0.95, n, 0.5))]
        assert cells == [show(wilson(0.8 * n, n)), show(wilson(0.9 * n, n)), *areas]


def test_intervals_of_sensitivity():
    head, rows = read_table("sensitivity")
    assert head[1:] == ["sensitivity 0.80", "sensitivity 0.90", "all found"]
    assert len(rows) == 6
    for number, *cells in rows:
        n = int(number)
        assert cells == [show(wilson(share * n, n)) for share in (0.8, 0.9, 1)]


def test_every_score_with_three_decimals_stands_on_a_page_of_measurements():
    sources = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("results.md", "start.md"))
    scores = set(re.findall(r"\b0\.\d{3}\b", PAGE))
    assert len(scores) > 20
    assert {score for score in scores if score not in sources} == set()


SECONDS = {
    "`feature_extractor`": "feature_extractor",
    "`feature_extractor_hybrid` (SVC)": "hybrid_svc",
    "`fine_tuning`": "fine_tuning",
    "`two_backbones`, measured with MobileNetV2 and LeNet5 (the recipe has DenseNet121 and ResNet101)": "two_backbones",
    "`incremental`": "incremental",
    "`discriminative_rates`": "discriminative_rates",
    "`layerwise`, 3 epochs for each layer instead of 10": "layerwise",
    "`fine_tuning_from_scratch`": "fine_tuning_from_scratch",
    "`random_initialisation`, 20 epochs instead of 60": "random_initialisation",
    "`blockwise`": "blockwise",
    "`multi_stage`, both stages": "multi_stage",
}


@pytest.mark.parametrize("cell", SECONDS)
def test_the_seconds_are_those_of_the_results(cell):
    lines = (DOCS / "results.md").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith(f"| {SECONDS[cell]} | 3 |"))
    assert f"| {cell} | {line.split('|')[-2].split('(')[0].strip()} |" in PAGE
