"""Networks of inner folds that answer with one of all development images, beside a count by hand."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import sklearn.metrics

from tests.conftest import write_images
from tests.ensembles.test_ensembles import TWO, network, write_member
from tlmed.data.decode_and_resize import decode_resized
from tlmed.ensembles import gather_runs, make_ensemble, score_put_aside
from tlmed.ensembles.fold_networks import FoldScores
from tlmed.errors import InputError
from tlmed.evaluation.decisions import decide
from tlmed.evaluation.ensemble_lines import describe_ensemble
from tlmed.evaluation.predictions import Predictions
from tlmed.heads.dense import PROBABILITIES
from tlmed.inference.scorer import load_alike, load_scorer
from tlmed.recipe import from_json
from tlmed.run import train
from tlmed.run_files import RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir, find_run
from tlmed.sections import KFold

N = 72
EVEN, ODD = ["test", "train", "train", "val", "train", "train"], ["train", "test", "val", "train", "train", "train"]
WHOLE = [*EVEN, *ODD] * (N // 12)  # two classes take turns


def divide(fold):
    """Return what an inner fold of three makes of these images: it puts the test images aside."""
    places = iter(range(N))
    names = ["test" if next(places) % 3 == fold else "train" for split in WHOLE if split != "test"]
    names = [name if name == "test" or place % 5 else "val" for place, name in enumerate(names)]
    found = iter(names)
    return ["unused" if split == "test" else next(found) for split in WHOLE]


@pytest.fixture
def made(tmp_path):
    """Give the ensemble of a run and three folds, with all that a count by hand needs."""
    whole, labels, first = write_member(tmp_path / "run", WHOLE, 0)
    folds, scores, random = [], [first], np.random.default_rng(4)
    for fold in range(3):
        folder, _, own = write_member(tmp_path / f"fold{fold}", divide(fold), fold + 1)
        aside = {
            f"{TWO[i % 2]}/{i:03}.png": random.dirichlet((1, 1)) for i, split in enumerate(WHOLE) if split == "test"
        }
        own[np.array(WHOLE) == "test"] = list(aside.values())
        folds.append(FoldScores(find_run(folder), aside))
        scores.append(own)
    runs = gather_runs([whole, *(fold.run.path for fold in folds)])
    return make_ensemble(runs[:1], folds=folds), labels, np.stack(scores), folds


def test_test_images_have_the_mean_of_all_networks(made):
    ensemble, labels, scores, _ = made
    test = np.array(WHOLE) == "test"
    mean = scores[:, test].mean(axis=0)
    found = dict(zip(ensemble.pooled.units.paths, ensemble.pooled.units.scores, strict=True))
    paths = [f"{TWO[i % 2]}/{i:03}.png" for i in np.flatnonzero(test)]
    assert set(found) == set(paths)
    np.testing.assert_allclose([found[path] for path in paths], mean, atol=1e-6)
    auc = ensemble.result["metrics"]["auc"]["value"]
    assert auc == pytest.approx(sklearn.metrics.roc_auc_score(labels[test], mean[:, 1]))
    assert ensemble.result["ensemble"]["scored_by"] == {"4": int(test.sum())}
    assert "3 of them were trained on a part of the development images." in " ".join(describe_ensemble(ensemble.result))


def test_the_threshold_is_chosen_by_images_that_trained_none_of_those_that_score_them(made):
    ensemble, labels, scores, _ = made
    splits = np.array([WHOLE, *(divide(fold) for fold in range(3))])
    untrained = (splits == "val") | (splits == "test") & (np.array(WHOLE) != "test")  # judged a fold, or was validated
    rows = np.flatnonzero(untrained.any(axis=0))
    mean = np.array([scores[untrained[:, row], row].mean(axis=0) for row in rows])
    by_hand = decide(Predictions((), (), labels[rows], mean, labels[rows], TWO), None, "youden")
    assert len(rows) == 60  # all development images
    assert ensemble.result["threshold"] == pytest.approx(by_hand.threshold)
    assert ensemble.result["calibration"]["temperature"] == pytest.approx(by_hand.temperature)
    assert f"scored by {untrained[:, rows].sum() / 60:.3f} of 4 members" in ensemble.result["calibration"]["note"]


def test_a_fold_that_put_other_images_aside_is_refused(made, tmp_path):
    *_, folds = made
    other = ["train" if number == 0 else split for number, split in enumerate(divide(0))]
    folder = write_member(tmp_path / "other", other, 9)[0]
    with pytest.raises(InputError, match="other, which put aside 11; 12 are tested, 11 of them among these"):
        make_ensemble([find_run(tmp_path / "run")], folds=[replace(folds[0], run=find_run(folder))])


def test_a_test_image_that_the_run_knows_is_scored_by_no_fold_either(tmp_path):
    digests = [f"{number:064}" for number in range(N)]
    digests[0] = digests[1]  # a test image and a training image
    whole = write_member(tmp_path / "run", WHOLE, 0, digests=digests)[0]
    folder = write_member(tmp_path / "fold0", divide(0), 1, digests=digests)[0]
    aside = {f"{TWO[i % 2]}/{i:03}.png": np.array([0.5, 0.5]) for i, split in enumerate(WHOLE) if split == "test"}
    made = make_ensemble([find_run(whole)], folds=[FoldScores(find_run(folder), aside)])
    assert f"{TWO[0]}/000.png" not in made.pooled.units.paths
    assert (made.result["ensemble"]["tested"], made.result["ensemble"]["scored"]) == (12, 11)


def test_real_networks_of_folds_score_the_images_that_were_put_aside(finished, tmp_path):
    images = write_images(tmp_path / "images", 20)
    recipe = from_json(RECIPE_JSON.read(RunDir(finished.path)))
    runs = []
    for fold in (1, 2):
        data = replace(recipe.data, source=str(images), inner=KFold(2, val=0.2, fold=fold))
        inner = replace(recipe, data=data, baselines=False, phases=recipe.phases[-1:])
        runs.append(find_run(train(inner, tmp_path / f"f{fold}", report=False, verbose=False).path))
    done = []
    folds = score_put_aside(runs, done.append)
    tested = {row["path"] for row in SPLITS_CSV.read(RunDir(finished.path)) if row["split"] == "test"}
    for fold, run in zip(folds, runs, strict=True):
        pixels = np.stack([decode_resized((images / path).read_bytes(), (32, 32)) for path in fold.scores])
        own = keras.saving.load_model(run / "model.keras").predict(pixels, verbose=0)
        np.testing.assert_allclose(np.stack(list(fold.scores.values())), own, atol=1e-5)
        assert set(fold.scores) == tested
    assert done == [1, 2]
    assert not np.allclose(list(folds[0].scores.values()), list(folds[1].scores.values()))
    together = make_ensemble([find_run(finished.path)], folds=folds)
    assert together.result["n"] == len(tested)
    (images / next(iter(tested))).unlink()
    with pytest.raises(InputError, match=r"as they were when they were tried\. Received: .*1 gone"):
        score_put_aside(runs[:1])


def test_a_network_is_loaded_into_a_graph_of_the_same_layers_and_into_no_other(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype("float32")
    first, second, wide = network(16, 0), network(16, 1), network(16, 2)
    more = keras.layers.Dense(3, name="more")(wide.layers[-2].output)
    deeper = keras.Model(wide.inputs, keras.layers.Dense(2, activation="softmax", name=PROBABILITIES)(more))
    folders = [
        RunDir(write_member(tmp_path / str(number), WHOLE, model=model)[0])
        for number, model in enumerate((first, second, deeper))
    ]
    scorer = load_scorer(folders[0])
    for folder, model, is_same in zip(folders[1:], (second, deeper), (True, False), strict=True):
        found, own = load_alike(folder, scorer), model.predict(images, verbose=0)
        np.testing.assert_allclose(found.network.predict(images, verbose=0), own, atol=1e-6)
        np.testing.assert_allclose(found.finish(found.features.predict(images, verbose=0)), own, atol=1e-6)
        assert (found is scorer) == is_same


def test_weights_that_are_not_finite_are_refused_in_a_graph_that_is_there_too(tmp_path):
    broken = network(16, 1)
    broken.set_weights([weight * np.nan for weight in broken.get_weights()])
    folders = [
        RunDir(write_member(tmp_path / str(number), WHOLE, model=model)[0])
        for number, model in enumerate((network(16, 0), broken))
    ]
    with pytest.raises(InputError, match="finite"):
        load_alike(folders[1], load_scorer(folders[0]))


def test_a_fold_that_began_with_other_weights_is_refused(made, tmp_path):
    *_, folds = made
    place = folds[1].run / "environment.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"weights": {"name": "imagenet"}}))
    with pytest.raises(InputError, match=r"begun with the same weights\. Received: .*run, and .*fold1 with others"):
        make_ensemble([find_run(tmp_path / "run")], folds=folds)


def test_a_patient_who_has_images_in_training_is_scored_by_no_network(tmp_path):
    groups = [f"p{number // 6}" for number in range(N)]
    whole = write_member(tmp_path / "run", WHOLE, 0, groups=groups)[0]
    folder = write_member(tmp_path / "fold0", divide(0), 1, groups=groups)[0]
    aside = {f"{TWO[i % 2]}/{i:03}.png": np.array([0.5, 0.5]) for i, split in enumerate(WHOLE) if split == "test"}
    with pytest.raises(InputError, match="which know all 12 test images"):
        make_ensemble([find_run(whole)], folds=[FoldScores(find_run(folder), aside)])
