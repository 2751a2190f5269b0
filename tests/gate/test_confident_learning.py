"""Counts and rules of confident learning are those of the paper."""

import numpy as np
import pytest

from tlmed.gate.confident_learning import count_joint, estimate_joint, prune_by_class, prune_by_noise_rate


def test_the_confident_joint_is_that_of_the_definition():
    random = np.random.RandomState(0)
    labels, chances = random.randint(3, size=90), random.dirichlet(np.ones(3), 90)
    thresholds = [chances[labels == number, number].mean() for number in range(3)]
    expected = np.zeros((3, 3), int)
    for label, row in zip(labels, chances, strict=True):
        sure = [number for number in range(3) if row[number] >= thresholds[number]]
        if sure:
            expected[label, max(sure, key=lambda number: row[number])] += 1
    assert count_joint(labels, chances).tolist() == expected.tolist()
    joint = estimate_joint(labels, chances)
    assert joint.sum(1) == pytest.approx(np.bincount(labels))
    wrong = [round(joint[number].sum() - joint[number, number]) for number in range(3)]
    assert [int(prune_by_class(labels, chances)[labels == number].sum()) for number in range(3)] == wrong
    assert prune_by_noise_rate(labels, chances).sum() <= sum(
        joint[i, j] + 1 for i in range(3) for j in range(3) if i != j
    )


def test_labels_that_no_image_contradicts_are_not_pruned():
    labels = np.arange(40) % 2
    chances = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    assert not prune_by_class(labels, chances).any()
    assert not prune_by_noise_rate(labels, chances).any()
    chances[3] = [0.95, 0.05]  # labelled 1
    assert np.flatnonzero(prune_by_class(labels, chances)).tolist() == [3]
    assert np.flatnonzero(prune_by_noise_rate(labels, chances)).tolist() == [3]
