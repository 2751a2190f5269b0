"""Heads that are solved, with the strength of L2 chosen by a score."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from tlmed.heads.solved import (
    FOLDS,
    LEAST,
    OUT_OF_FOLD,
    STRENGTHS,
    VALIDATION,
    Aim,
    Rows,
    measure_loss,
    predict,
    solve_head,
)
from tlmed.logistic import hold

FEW = STRENGTHS[::4]


def draw(n, classes=3, d=12, seed=0, noise=2.0):
    random = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    means = np.random.RandomState(99).randn(classes, d)
    return (means[labels] + noise * random.randn(n, d)).astype(np.float32), labels


def rows(features, labels, owners=None):
    return Rows(hold(features), labels, np.arange(len(labels)) if owners is None else owners)


def score_by_scikit_learn(train, val, l2):
    """Return scores on validation rows of scikit-learn's head."""
    scaler = StandardScaler().fit(train[0])
    solver = LogisticRegression(C=1 / (len(train[1]) * l2), tol=1e-7, max_iter=5000)
    return solver.fit(scaler.transform(train[0]), train[1]).predict_proba(scaler.transform(val[0]))


def test_the_strength_is_the_best_one_on_validation_as_scikit_learn_sees_it():
    train, val = draw(60), draw(90, seed=1)
    aim = Aim(3, FEW)
    found = solve_head(rows(*train), rows(*val), aim)
    scores = {l2: score_by_scikit_learn(train, val, l2) for l2 in FEW}
    measured = {
        "val_auc": {l2: roc_auc_score(val[1], given, multi_class="ovr") for l2, given in scores.items()},
        "val_loss": {l2: -np.log(given[np.arange(90), val[1]].clip(1e-7)).mean() for l2, given in scores.items()},
        "val_accuracy": {l2: (given.argmax(1) == val[1]).mean() for l2, given in scores.items()},
    }
    for row in found.path:
        assert row["judged_on"] == VALIDATION
        for name, values in measured.items():
            assert row[name] == pytest.approx(values[row["l2"]], abs=2e-3)
    (chosen,) = [row for row in found.path if row["chosen"]]
    assert chosen["val_loss"] == min(row["val_loss"] for row in found.path)
    assert chosen["l2"] == min(FEW, key=measured["val_loss"].get)
    assert chosen["l2"] not in (FEW[0], FEW[-1])
    theirs = scores[chosen["l2"]]
    np.testing.assert_allclose(predict(found.kernel, found.bias, hold(val[0]), False), theirs, atol=2e-3)


def test_of_heads_that_rank_alike_the_one_with_the_lowest_loss_is_taken():
    train, val = draw(60, noise=0.01), draw(60, noise=0.01, seed=1)
    found = solve_head(rows(*train), rows(*val), Aim(3))
    assert {row["val_auc"] for row in found.path} == {1.0}
    (chosen,) = [row for row in found.path if row["chosen"]]
    assert chosen["val_loss"] == min(row["val_loss"] for row in found.path)


def test_two_classes_have_a_column_each_and_the_probabilities_of_one():
    train, val = draw(60, 2), draw(60, 2, seed=1)
    found = solve_head(rows(*train), rows(*val), Aim(2, (0.1,)))
    assert found.kernel.shape == (12, 2)
    scores = predict(found.kernel, found.bias, hold(val[0]), False)
    np.testing.assert_allclose(scores, score_by_scikit_learn(train, val, 0.1), atol=1e-3)
    assert found.accuracy == (predict(found.kernel, found.bias, hold(train[0]), False).argmax(1) == train[1]).mean()


def test_a_class_without_training_images_is_never_predicted():
    features, labels = draw(60, 2)
    found = solve_head(rows(features, labels * 2), rows(features, labels * 2), Aim(3, (0.1,)))
    assert predict(found.kernel, found.bias, hold(features), False)[:, 1].max() < 1e-12


@pytest.mark.parametrize(("held", "on"), [(LEAST * 3, VALIDATION), (LEAST * 3 - 1, OUT_OF_FOLD)])
def test_few_validation_images_of_a_class_leave_the_choice_to_folds(held, on):
    train, (features, labels) = draw(60), draw(LEAST * 3, seed=1)
    found = solve_head(rows(*train), rows(features[:held], labels[:held]), Aim(3, FEW))
    assert {row["judged_on"] for row in found.path} == {on}


def test_folds_keep_owners_together():
    # Every image is there six times: only folds that tear copies apart find that weak penalties are good.
    features, _ = draw(40, 2, d=60, noise=8.0)
    labels = np.random.RandomState(1).permutation(np.arange(40) % 2)
    copied, same = np.repeat(features, 6, axis=0), np.repeat(labels, 6)
    few, aim = rows(features[:4], labels[:4]), Aim(2, (0.001,) * 2)
    together = solve_head(rows(copied, same, np.repeat(np.arange(40), 6)), few, aim)
    apart = solve_head(rows(copied, same), few, aim)
    assert apart.path[0]["val_auc"] > 0.95
    assert together.path[0]["val_auc"] < 0.75


def test_a_class_of_one_owner_cannot_be_held_out_and_validation_decides():
    features, labels = draw(FOLDS * 6)
    owners = np.where(labels == 0, 0, np.arange(len(labels)))
    found = solve_head(rows(features, labels, owners), rows(*draw(9, seed=1)), Aim(3, FEW))
    assert {row["judged_on"] for row in found.path} == {VALIDATION}


def test_several_labels_have_heads_of_their_own():
    features, first = draw(90, 2)
    labels = np.column_stack([first, np.random.RandomState(0).permutation(first)])
    labels[:10, 1] = -1
    found = solve_head(rows(features, labels), rows(features, labels), Aim(2, (0.01,)))
    scores = predict(found.kernel, found.bias, hold(features), True)
    assert roc_auc_score(first, scores[:, 0]) > 0.9
    assert not np.allclose(scores.sum(1), 1, atol=0.05)
    few = solve_head(rows(features, labels), rows(features[:12], labels[:12]), Aim(2, FEW))
    assert {row["judged_on"] for row in few.path} == {OUT_OF_FOLD}


def test_a_stop_is_heard_between_strengths():
    train, calls = draw(60), []

    def look():
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve_head(rows(*train), rows(*train), Aim(3), look)
    assert len(calls) == 2


def test_the_loss_that_chooses_weighs_classes_as_scikit_learn_does():
    scores, labels = np.random.RandomState(0).dirichlet(np.ones(3), 40), np.arange(40) % 3
    factors = (0.5, 1.0, 4.0)
    theirs = log_loss(labels, scores, sample_weight=np.array(factors)[labels], normalize=False) / 40
    assert measure_loss(scores, labels, factors) == pytest.approx(theirs)
    assert measure_loss(scores, labels) == pytest.approx(log_loss(labels, scores))


def test_the_loss_of_labels_leaves_out_what_is_not_known():
    scores, labels = np.array([[0.9, 0.2], [0.6, 0.5]]), np.array([[1, 0], [0, -1]])
    weighted = -(2 * np.log(0.9) + 3 * np.log(0.8) + np.log(0.4)) / 3
    assert measure_loss(scores, labels, [(1.0, 2.0), (3.0, 5.0)]) == pytest.approx(weighted)


def test_class_weights_count_in_the_choice_too():
    # One class in ten, five times as important: of unweighted losses another strength would be the best.
    (features, labels), (others, truth) = draw(400, 2, noise=6.0), draw(400, 2, noise=6.0, seed=1)
    few, held = (np.flatnonzero((given == 0) | (np.arange(400) % 10 == 1)) for given in (labels, truth))
    found = solve_head(rows(features[few], labels[few]), rows(others[held], truth[held]), Aim(2, factors=(0.2, 5.0)))
    (chosen,) = [row for row in found.path if row["chosen"]]
    assert chosen["val_weighted_loss"] == min(row["val_weighted_loss"] for row in found.path)
    assert chosen["val_loss"] > min(row["val_loss"] for row in found.path)
