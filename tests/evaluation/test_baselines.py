"""Linear classifiers without transfer learning, of one class per image and of several labels."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tlmed.evaluation.baselines import linear_probe

RANDOM = np.random.RandomState(0)
LABELS = RANDOM.randint(-1, 2, (80, 3))
FEATURES = np.hstack([LABELS, np.zeros((80, 2))]) + RANDOM.normal(size=(80, 5))
OTHERS = RANDOM.normal(size=(20, 5))


def test_each_label_has_the_classifier_of_the_images_of_which_it_is_known():
    found = linear_probe(FEATURES, LABELS, OTHERS, 3)
    for own, column in zip(LABELS.T, found.T, strict=True):
        known = own >= 0
        scaler = StandardScaler().fit(FEATURES[known])
        alone = LogisticRegression(max_iter=2000).fit(scaler.transform(FEATURES[known]), own[known])
        expected = alone.predict_proba(scaler.transform(OTHERS))[:, 1]
        np.testing.assert_allclose(column, expected, rtol=0, atol=1e-10)
    # What is not known of an image plays no part.
    moved = np.where(LABELS[:, :1] < 0, 9.0, FEATURES)
    np.testing.assert_array_equal(linear_probe(moved, LABELS, OTHERS, 3)[:, 0], found[:, 0])
    assert not np.allclose(linear_probe(moved, LABELS, OTHERS, 3)[:, 1], found[:, 1])


def test_a_label_with_one_value_in_training_gets_it_and_one_that_is_never_known_a_half():
    labels = LABELS.copy()
    labels[:, 0], labels[:, 1] = np.where(labels[:, 0] == 1, 0, labels[:, 0]), -1
    found = linear_probe(FEATURES, labels, OTHERS, 3)
    assert set(found[:, 0]) == {0.0}
    assert set(found[:, 1]) == {0.5}
    np.testing.assert_array_equal(found[:, 2], linear_probe(FEATURES, LABELS, OTHERS, 3)[:, 2])
