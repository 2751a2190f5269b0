from dataclasses import replace

import numpy as np
import pytest

from tlmed.errors import InputError
from tlmed.novelty import MEASURES, Calibration, Novelty, find_novelty, learn_novelty, load_novelty, write_novelty
from tlmed.novelty.distances import Nearest
from tlmed.novelty.known_images import ALARM, LEAST, Seen, check_alarms, count_alarms, expect_alarms, note_tested
from tlmed.novelty.nearest_known import direct
from tlmed.novelty.novelty_file import digest_novelty
from tlmed.rundir import NOVELTY, RunDir

WIDTH = 16


def draw(n, seed, shift=0.0):
    random = np.random.RandomState(seed)
    features = random.gamma(2.0, size=(n, WIDTH)) * np.linspace(1, 3, WIDTH)
    features[:, : WIDTH // 2] += shift
    return Seen(features, np.arange(n), np.arange(n) % 3)


@pytest.fixture(scope="module", params=list(MEASURES))
def learned(request):
    return learn_novelty(draw(300, 0), draw(120, 1), seed=0, name=request.param)


def test_images_of_another_kind_are_unusual_and_others_are_not(learned):
    same, other = learned.judge(draw(400, 2).features), learned.judge(draw(400, 3, shift=30.0).features)
    assert 0.01 < (same < 0.05).mean() < 0.11
    # The relative distance subtracts what far images have in common: it is made for near ones.
    assert (other < 0.05).mean() > (0.9 if learned.about["measure"] != "relative-mahalanobis" else 0.05)


def test_what_is_written_judges_as_what_was_learnt(learned, tmp_path):
    run = RunDir(tmp_path)
    write_novelty(run, learned)
    read = load_novelty(tmp_path)
    assert read.about == learned.about
    assert read.width == WIDTH
    features = draw(50, 4).features
    np.testing.assert_allclose(read.judge(features), learned.judge(features), atol=1e-12)
    assert digest_novelty(run / NOVELTY) == digest_novelty(run / NOVELTY)


def test_one_image_gets_what_it_gets_among_others(learned):
    features = draw(7, 5).features
    alone = [learned.judge(features[row : row + 1])[0] for row in range(7)]
    np.testing.assert_allclose(alone, learned.judge(features), atol=1e-12)


def test_images_like_held_out_ones_get_the_same_whatever_engine_rounds_their_features():
    train, val = draw(300, 0), draw(120, 1)
    train.features[:30], val.features[:40] = 1.0, 1.0  # as black planes of volumes are
    val.features[40:60] = train.features[40:60]
    known = learn_novelty(train, val, seed=0)
    for seed in range(5):
        rounded = val.features * (1 + 2e-5 * np.random.RandomState(seed).uniform(-1, 1, val.features.shape))
        np.testing.assert_array_equal(known.judge(rounded), known.judge(val.features))


def test_features_that_are_no_numbers_are_unusual_and_other_widths_are_refused(learned):
    features = draw(3, 6).features
    features[1, 2] = np.nan
    assert learned.judge(features)[1] == learned.calibration.least
    with pytest.raises(ValueError, match=r"must be \[n, 16\]"):
        learned.judge(features[:, :4])


@pytest.mark.parametrize("name", list(MEASURES))
def test_what_is_kept_has_room(name):
    room = 4 * WIDTH * 10
    measure = learn_novelty(draw(300, 0), draw(40, 1), 0, name, room).measure
    sizes = {name: part.nbytes for name, part in measure.arrays().items()}
    assert max(sizes.values()) <= room
    assert max(sizes.values()) >= room / 2  # and uses it
    again, other = (learn_novelty(draw(300, 0), draw(40, 1), seed, name, room).measure for seed in (0, 1))
    for part, array in measure.arrays().items():
        np.testing.assert_array_equal(again.arrays()[part], array)
    if name == "nearest":
        assert (other.known != measure.known).any()


def test_a_farther_neighbour_is_asked_where_that_was_kept(tmp_path):
    train, odd = draw(300, 0), draw(1, 3, shift=30.0)
    features = np.vstack([train.features, odd.features])
    known, held_out = Nearest(direct(features), 2), draw(120, 1)
    calibration = Calibration(known.score(held_out.features), held_out.owners)
    write_novelty(RunDir(tmp_path), Novelty(known, calibration, WIDTH, {"measure": "nearest"}))
    others = draw(50, 7, shift=30.0).features
    # One odd training image hides those that are odd like it, unless the second nearest is asked.
    assert (load_novelty(tmp_path).judge(others) < 0.05).mean() > 0.9
    nearest = learn_novelty(Seen(features, np.arange(301)), held_out, seed=0)
    assert nearest.measure.score(others).mean() < known.score(others).mean()


def test_the_least_number_of_held_out_images_is_the_first_with_which_one_can_be_unusual():
    few, enough = (Calibration(np.zeros(n), np.arange(n)) for n in (LEAST - 1, LEAST))
    assert few.least >= ALARM > enough.least == enough.judge(np.array([1.0]))[0]


def test_false_alarms_that_are_expected_are_those_of_all_ranks_that_an_image_can_have():
    for n in range(1, 400):
        ranks = np.arange(n + 1) - 0.5  # between the held-out scores: each place is as probable
        found = Calibration(np.arange(n, dtype=float), np.arange(n)).judge(ranks)
        assert expect_alarms(n) == pytest.approx((found < ALARM).mean(), abs=1e-12)


def test_false_alarms_are_counted_on_images_that_calibrated_nothing():
    known = learn_novelty(draw(300, 0), draw(200, 1), seed=0)
    found = check_alarms(note_tested(known, draw(500, 2)), draw(200, 1), seed=0)
    assert found["validation"]["n"] == 200
    assert found["test"]["n"] == 500
    assert found["test"] == count_alarms(known.judge(draw(500, 2).features), np.arange(500))
    assert found["test"]["low"] < found["test"]["value"] < found["test"]["high"]
    few = learn_novelty(draw(300, 0), draw(30, 1), seed=0)
    assert check_alarms(note_tested(few, Seen(np.zeros((0, WIDTH)), np.zeros(0, int))), draw(30, 1), seed=0) == {
        "validation_reason": "validation has 30 images unknown to training; it takes 40 for each half to be judged by "
        "the other one"
    }


def test_of_files_with_one_answer_the_mean_over_their_images_is_counted():
    files, val, test = np.arange(200) // 4, draw(200, 1), draw(200, 2)
    val, test = (replace(seen, owners=files, files=files[::-1]) for seen in (val, test))
    known = note_tested(learn_novelty(draw(300, 0), val, seed=0), test)
    np.testing.assert_allclose(known.tested[::-1], known.judge(test.features).reshape(50, 4).mean(1), rtol=1e-12)
    assert known.testers.tolist() == list(range(50))[::-1]
    found = check_alarms(known, val, seed=0)
    assert (found["validation"]["n"], found["test"]["n"]) == (50, 50)
    assert found["test"]["unusual"] == (known.tested < ALARM).sum()


def test_files_that_are_no_such_files_are_refused_in_a_line(tmp_path):
    run = RunDir(tmp_path)
    assert find_novelty(run) is None
    with pytest.raises(InputError, match=r"must have a file `novelty\.sealed`"):
        load_novelty(run)
    write_novelty(run, learn_novelty(draw(50, 0), draw(40, 1), seed=0))
    content = bytearray((run / NOVELTY).read_bytes())
    content[-100] ^= 1
    (run / NOVELTY).write_bytes(content)
    with pytest.raises(InputError, match=r"must be as `tlmed train` wrote it.*SHA-256"):
        load_novelty(run)
    (run / NOVELTY).write_bytes(b"text")
    with pytest.raises(InputError, match=r"must be as `tlmed train` wrote it"):
        find_novelty(run)


def test_a_file_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    monkeypatch.setattr("tlmed.novelty.novelty_file.FORMAT", 2)
    write_novelty(run, learn_novelty(draw(50, 0), draw(40, 1), seed=0))
    monkeypatch.undo()
    with pytest.raises(InputError, match="format 2"):
        load_novelty(run)
