"""The fingerprint of data agrees with known dimensions, brute force and counts."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.gate.made_evidence import make_evidence
from tlmed.data.file_facts import FileFacts
from tlmed.gate.data_fingerprint import describe_data, measure_dimension
from tlmed.logistic import project


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_dimension_of_a_plane_in_many_dimensions_is_found(dimension):
    random = np.random.RandomState(dimension)
    points = random.uniform(size=(2000, dimension)) @ random.normal(size=(dimension, 30))
    assert measure_dimension(points) == pytest.approx(dimension, rel=0.12)


def test_a_few_near_copies_do_not_lower_the_dimension():
    random = np.random.RandomState(0)
    points = random.uniform(size=(1000, 5)) @ random.normal(size=(5, 30))
    points[:10] = points[10:20] + 1e-3 * random.normal(size=(10, 30))
    assert measure_dimension(points) == pytest.approx(5, rel=0.15)


def test_copies_have_no_dimension():
    assert measure_dimension(np.ones((50, 3))) is None


def test_counts_sizes_and_groups_are_those_of_the_images():
    files = (
        FileFacts(height=10, width=20, bits=8, format="PNG", spacing=(0.5, 0.5)),
        FileFacts(height=30, width=20, bits=16, format="PNG"),
    )
    labels, groups = [0, 0, 0, 1], ("p", "p", "q", "")
    found = describe_data(
        make_evidence("abcd", labels, groups, ["train", "train", "test", "test"], files=files * 2)
    ).figures
    assert found["classes"] == {"ill": 3, "well": 1}
    assert found["imbalance_ratio"] == 3.0
    assert found["splits"] == {"train": {"ill": 2, "well": 0}, "test": {"ill": 1, "well": 1}}
    assert found["groups"] == {"number": 2, "images_each": {"min": 1, "median": 1.5, "max": 2}}
    assert found["sizes"]["height"] == {"min": 10, "median": 20.0, "max": 30}
    assert found["sizes"]["bits"] == {"8": 2, "16": 2}
    assert found["sizes"]["formats"] == {"PNG": 4}
    assert found["sizes"]["spacing"]["max"] == 0.5
    assert found["intrinsic_dimension"] is None


@pytest.mark.parametrize("classes", [2, 3])
def test_the_nearest_image_of_another_group_tells_the_class_as_brute_force_says(classes):
    random = np.random.RandomState(0)
    n = 60
    labels, groups = random.randint(classes, size=n), [f"p{row // 2}" for row in range(n)]
    features = random.normal(size=(n, 8)) + labels[:, None]
    evidence = make_evidence([str(row) for row in range(n)], labels, tuple(groups), classes=tuple("abc"[:classes]))
    evidence = replace(evidence, features=features.astype(np.float32))
    points = project(evidence.features, 64).astype(float)
    areas = []
    for number in range(classes):
        scores = []
        for row in range(n):
            apart = [other for other in range(n) if groups[other] != groups[row]]
            away = {other: np.linalg.norm(points[row] - points[other]) for other in apart}
            own = min(away[other] for other in apart if labels[other] == number)
            scores.append(min(away[other] for other in apart if labels[other] != number) - own)
        areas.append(roc_auc_score(labels == number, scores))
    expected = areas[1] if classes == 2 else np.mean(areas)
    assert describe_data(evidence).figures["nearest_neighbour_auc"] == pytest.approx(expected, abs=2e-3)
