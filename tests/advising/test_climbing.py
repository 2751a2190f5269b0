from types import SimpleNamespace

import pytest

from tlmed.advising import climbing
from tlmed.advising.climbing import is_promising, settle_epochs
from tlmed.advising.trials import Score


@pytest.mark.parametrize(
    ("metric", "value", "low", "promising"),
    [
        ("auc", 0.775, 0.42, True),  # of few images: the interval holds 0.5, and 0.775 is 1.5 standard errors above
        ("auc", 0.56, 0.40, False),
        ("auc", 0.45, 0.30, False),
        ("auc", 0.70, 0.60, True),
        ("auc", 0.70, None, False),
        ("accuracy", 0.45, 0.30, True),  # guessing has no fixed accuracy
    ],
)
def test_a_training_is_worth_its_time_where_the_best_lies_above_guessing_by_more_than_its_noise(
    metric, value, low, promising
):
    score = Score(metric, value, low, None if low is None else 1.0, "", 85, 5)
    assert is_promising(SimpleNamespace(score=score)) == promising


@pytest.mark.parametrize(("left", "epochs"), [(1050, 16), (950, 8)])  # 40 s an epoch, a trial and an answer, with doubt
def test_blocks_are_trained_longer_where_there_is_time_to_try_and_train_all_layers_so(monkeypatch, left, epochs):
    monkeypatch.setattr(climbing, "_begin_further", lambda work, *_: work.epochs)
    monkeypatch.setattr(climbing, "time_trial", lambda _, made: (50.0 * made, 30.0 * made))
    diary = SimpleNamespace(done={})
    diary.note = diary.done.update
    work = SimpleNamespace(base=SimpleNamespace(data=SimpleNamespace(batch_size=32)), diary=diary, left=left, epochs=0)
    assert f"passes {epochs} times" in settle_epochs(work, SimpleNamespace(network=None), 663)
    assert work.epochs == epochs
    work.left = 10  # later commands go on with what was begun
    assert f"passes {epochs} times" in settle_epochs(work, SimpleNamespace(network=None), 663)
