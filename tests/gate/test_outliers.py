"""Images far from all others are found; ordinary ones, copies and few images are not called so."""

from dataclasses import replace

import numpy as np
from sklearn.neighbors import NearestNeighbors

from tests.gate.made_evidence import make_evidence
from tlmed.gate.neighbours import find_neighbours
from tlmed.gate.outliers import check_outliers


def draw_evidence(n=200, odd=(), seed=0):
    features = np.random.RandomState(seed).normal(size=(n, 20))
    features[list(odd)] += 40
    return replace(make_evidence([f"{row}.png" for row in range(n)]), features=features.astype(np.float32))


def test_far_images_are_one_warning_with_all_of_them():
    (finding,) = check_outliers(draw_evidence(odd=(3, 50))).findings
    assert set(finding.files) == {"3.png", "50.png"}
    assert (finding.kind, finding.level) == ("outlier", "warning")
    assert finding.text.startswith("2 images are far from all others in the features of the network")


def test_clean_images_rarely_have_one():
    alarms = [len(check_outliers(draw_evidence(seed=seed)).findings) for seed in range(20)]
    assert sum(alarms) == 0


def test_copies_are_not_far():
    evidence = replace(make_evidence([f"{row}.png" for row in range(50)]), features=np.ones((50, 4), np.float32))
    assert check_outliers(evidence).findings == ()


def test_few_images_and_no_features_are_said():
    assert "there are 10" in check_outliers(draw_evidence(10)).unchecked[0]
    evidence = replace(draw_evidence(), features=None, lacking="there are no weights")
    assert check_outliers(evidence).unchecked == (
        "Images far from all others were not looked for: there are no weights.",
    )


def test_neighbours_are_those_of_scikit_learn():
    points = np.random.RandomState(0).normal(size=(300, 7))
    distances, rows = find_neighbours(points, 3)
    theirs = NearestNeighbors(n_neighbors=4).fit(points).kneighbors(points)
    assert rows.tolist() == theirs[1][:, 1:].tolist()
    assert np.abs(distances - theirs[0][:, 1:]).max() < 1e-5
