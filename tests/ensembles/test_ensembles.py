"""Several runs answer together: by the mean of their probabilities, and scored on images that they have not seen."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import sklearn.metrics
from PIL import Image
from scipy.optimize import nnls
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from tests.cli.test_cli import here
from tests.conftest import draw
from tlmed import inference
from tlmed.comparison import compare
from tlmed.data.decode_and_resize import decode_resized
from tlmed.ensembles import gather_runs, join_networks, make_ensemble, write_ensemble, write_network
from tlmed.ensembles.shares import fit_shares
from tlmed.errors import InputError
from tlmed.evaluation.decisions import decide
from tlmed.evaluation.ensemble_lines import describe_ensemble
from tlmed.evaluation.label_lines import describe_choices
from tlmed.evaluation.label_predictions_csv import write_label_predictions
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions
from tlmed.export import write_card, write_requirements
from tlmed.heads.dense import PROBABILITIES
from tlmed.inference.member_scores import average_scores, read_member_scores
from tlmed.inference.panel import describe_panel, open_panel
from tlmed.inference.trained_runs import read_trained
from tlmed.label_vectors import write_labels
from tlmed.members import list_members
from tlmed.metrics import apply_temperature
from tlmed.recipe import load_recipe, override, to_json
from tlmed.report.operating_point import show_operating_point
from tlmed.rundir import RunDir, find_run
from tlmed.tasks import MULTI_LABEL, ORDINAL, SINGLE_LABEL
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_csv, write_json

TWO = ("ill", "well")


def network(size, seed):
    """Return a network of a few weights, from raw images to the probabilities of two classes."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((size, size, 3), name="images")
    means = keras.layers.GlobalAveragePooling2D(name="means")(keras.layers.Rescaling(1 / 64)(images))
    return keras.Model(images, keras.layers.Dense(2, activation="softmax", name=PROBABILITIES)(means))


def write_member(folder, splits, seed=0, classes=TWO, groups=None, digests=None, model=None, **fields):
    """Write the files of a finished run without training it.

    Args:
        folder: Where.
        splits: The split of each image; its class is its number modulo the number of classes.
        seed: Decides its scores, and that of the recipe.
        classes: Their names.
        groups: Of each image.
        digests: Of each image.
        model: Its network; None: a file that is none.
        fields: Settings of its recipe.
    """
    folder.mkdir(parents=True)
    n, k = len(splits), len(classes)
    labels, random = np.arange(n) % k, np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(k), n) + 0.5 * np.eye(k)[labels]
    scores /= scores.sum(axis=1, keepdims=True)
    paths = [f"{classes[label]}/{i:03}.png" for i, label in enumerate(labels)]
    groups, digests = groups or [""] * n, digests or [f"{i:064}" for i in range(n)]
    names = [classes[label] for label in labels]
    lines = zip(paths, names, groups, splits, digests, strict=True)
    write_csv(folder / "splits.csv", ("path", "label", "group", "split", "sha256"), lines)
    rows = np.flatnonzero(np.isin(splits, ("val", "test")))
    val = Predictions((), (), labels[rows], scores[rows], labels[rows], classes)
    decision = decide(val, None, "youden")
    scored = [paths[row] for row in rows], [splits[row] for row in rows]
    write_predictions(
        folder / "predictions.csv", Predictions(*scored, labels[rows], scores[rows], labels[rows], classes)
    )
    settings = ["data.image_size=16,16", *(f"{name}={value}" for name, value in fields.items())]
    recipe = to_json(override(load_recipe("feature_extractor"), [*settings, f"seed={seed}"]))
    write_json(folder / "recipe.json", recipe)
    data = {"source": "images", "digested": "image files", "pseudonyms": False, "left_out": []}
    write_json(folder / "environment.json", {"data": data, "weights": {"name": "none"}, "packages": {"keras": "3.15"}})
    write_json(folder / "plan.json", {"phases": [], "blocks": [], "parameters": 8})
    entry = {"value": 0.5, "low": None, "high": None}
    result = {"unit": "image", "task": "single-label", "classes": list(classes), "n": int((val.labels >= 0).sum())}
    result |= {"positive": classes[1] if k == 2 else None, "metrics": {"auc": entry, "accuracy": entry}}
    result |= {"threshold": decision.threshold, "split": "test", **decision.record()}
    write_json(folder / "metrics.json", result)
    write_json(folder / "timing.json", {"training_seconds": 2.0, "total_seconds": 3.0, "peak_memory_mb": 10 + seed})
    (folder / "model.keras").write_bytes(b"%d" % seed) if model is None else model.save(folder / "model.keras")
    return folder, labels, scores


def divide(n=60, shift=0):
    """Return a split of n images: a third is tested, a sixth validates."""
    names = ("test", "test", "val", "train", "train", "train")
    return [names[(i // 2 + shift) % 6] for i in range(n)]


def make(*paths, **options):
    return make_ensemble(gather_runs(paths), **options)


def test_the_mean_of_probabilities_is_soft_voting():
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(60, 4)), np.arange(60) % 3
    images[:, 0] += labels
    models, weights = [("a", LogisticRegression()), ("b", GaussianNB())], [1.0, 3.0]
    votes = VotingClassifier(models, voting="soft", weights=weights).fit(images, labels)
    scores = np.stack([model.fit(images, labels).predict_proba(images) for _, model in models])
    ours = average_scores(scores, np.array(weights)[:, None])
    np.testing.assert_allclose(ours, votes.predict_proba(images), atol=1e-12)
    assert (ours.argmax(axis=1) == votes.predict(images)).all()


def test_fitted_shares_are_those_of_non_negative_least_squares():
    random = np.random.default_rng(1)
    labels = random.integers(3, size=50)
    scores = random.dirichlet(np.ones(3), (4, 50))
    scores[2] = 0.6 * np.eye(3)[labels] + 0.4 * scores[2]
    by_hand = nnls(scores.reshape(4, -1).T, np.eye(3)[labels].ravel())[0]
    np.testing.assert_allclose(fit_shares(scores, labels), by_hand / by_hand.sum())
    shares = fit_shares(scores, labels)
    assert shares.sum() == pytest.approx(1)
    assert shares.argmax() == 2
    # No other shares on the line between these and equal ones have smaller squares, at any scale.
    best = min(_misfit(scores, labels, shares * scale) for scale in np.linspace(0.5, 1.5, 201))
    assert best < min(_misfit(scores, labels, np.full(4, scale / 4)) for scale in np.linspace(0.5, 1.5, 201))


def _misfit(scores, labels, shares):
    return ((np.tensordot(shares, scores, 1) - np.eye(3)[labels]) ** 2).sum()


def test_shares_of_labels_leave_out_what_is_not_known():
    random = np.random.default_rng(2)
    scores, labels = random.uniform(size=(3, 40, 2)), random.integers(2, size=(40, 2))
    scores[1] = 0.5 * scores[1] + 0.5 * labels
    hidden = np.where(random.uniform(size=labels.shape) < 0.3, -1, labels)
    by_hand = nnls(scores[:, hidden >= 0].T, labels[hidden >= 0].astype(float))[0]
    np.testing.assert_allclose(fit_shares(scores, hidden), by_hand / by_hand.sum())
    assert fit_shares(np.zeros((2, 4, 2)), np.array([0, 1, 0, 1])) is None


def test_members_of_one_split_share_test_and_validation_images(tmp_path):
    splits = np.array(divide())
    _, labels, first = write_member(tmp_path / "a", splits.tolist(), 1)
    _, _, second = write_member(tmp_path / "b", splits.tolist(), 2)
    made, mean = make(tmp_path / "a", tmp_path / "b"), (first + second) / 2
    test, val = splits == "test", splits == "val"
    metrics = made.result["metrics"]
    assert metrics["auc"]["value"] == pytest.approx(sklearn.metrics.roc_auc_score(labels[test], mean[test, 1]))
    by_hand = decide(Predictions((), (), labels[val], mean[val], labels[val], TWO), None, "youden")
    assert made.result["threshold"] == pytest.approx(by_hand.threshold)
    assert made.result["calibration"]["temperature"] == pytest.approx(by_hand.temperature)
    assert "members" not in made.result["operating_point"].get("note", "")
    right = (mean[test, 1] >= by_hand.threshold) == labels[test]
    assert metrics["accuracy"]["value"] == pytest.approx(right.mean())
    assert made.result["ensemble"]["scored_by"] == {"2": int(test.sum())}
    assert "by_all" not in made.result["ensemble"]
    assert made.timing["training_seconds"] == 4
    shares = make(tmp_path / "a", tmp_path / "b", weights="fitted").members
    stacked = np.stack([part[val].ravel() for part in (first, second)], axis=1)
    fitted = nnls(stacked, np.eye(2)[labels[val]].ravel())[0]
    assert [member.weight for member in shares] == pytest.approx(fitted / fitted.sum())


def test_each_image_is_scored_by_those_that_have_seen_neither_it_nor_a_copy_nor_its_patient(tmp_path):
    random, n = np.random.default_rng(3), 80
    groups = [f"p{random.integers(45)}" if random.uniform() < 0.8 else "" for _ in range(n)]
    digests = [f"{random.integers(70):064}" for _ in range(n)]
    splits = [random.choice(["train", "val", "test"], n, p=[0.2, 0.1, 0.7]).tolist() for _ in range(3)]
    scores = []
    for number, own in enumerate(splits):
        *_, found = write_member(tmp_path / str(number), own, number, groups=groups, digests=digests)
        scores.append(found)
    made = make(*(tmp_path / str(number) for number in range(3)))
    expected = {}
    for image in range(n):
        by = []
        for number, own in enumerate(splits):
            seen = [i for i in range(n) if own[i] != "test"]
            knows = any(digests[i] == digests[image] or (groups[i] and groups[i] == groups[image]) for i in seen)
            if own[image] == "test" and not knows:
                by.append(number)
        if by:
            expected[f"{TWO[image % 2]}/{image:03}.png"] = (np.mean([scores[it][image] for it in by], axis=0), len(by))
    units = made.pooled.units
    assert 10 < len(expected) < n
    assert set(units.paths) == set(expected)
    for path, found in zip(units.paths, units.scores, strict=True):
        assert found == pytest.approx(expected[path][0])
    amounts = [amount for _, amount in expected.values()]
    counted = made.result["ensemble"]["scored_by"]
    assert counted == {str(number): amounts.count(number) for number in (3, 2, 1) if number in amounts}
    assert len(counted) > 1
    assert made.result["ensemble"]["by_all"]["n"] == amounts.count(3)
    tested = {i for own in splits for i in range(n) if own[i] == "test"}
    assert made.result["ensemble"]["tested"] == len(tested) > made.result["ensemble"]["scored"] == len(expected)
    said = " ".join(describe_ensemble(made.result))
    assert f"{len(tested) - len(expected)} images that some member tests are not scored" in said
    assert f"{amounts.count(1)} test images by 1" in said


def test_images_of_folds_are_decided_by_validation_images_of_the_members_that_scored_them(tmp_path):
    splits = [divide(60, shift) for shift in (0, 2, 4)]
    written = [write_member(tmp_path / f"{number:02}", own, number) for number, own in enumerate(splits)]
    made, labels = make(*(folder for folder, *_ in written)), written[0][1]
    assert made.result["n"] == 60
    units = made.pooled.units
    for own, (*_, scores) in zip(splits, written, strict=True):
        val, test = (np.array(own) == name for name in ("val", "test"))
        decision = decide(Predictions((), (), labels[val], scores[val], labels[val], TWO), None, "youden")
        rows = [row for row, path in enumerate(units.paths) if test[int(path[-7:-4])]]
        np.testing.assert_allclose(units.calibrated[rows], apply_temperature(scores[test], decision.temperature))
        assert (units.predictions[rows] == (scores[test, 1] >= decision.threshold)).all()
    # The whole ensemble decides by the validation images of all, each scored by the one that was validated on it.
    val = np.stack([np.array(own) == "val" for own in splits])
    joint = np.einsum("mn,mnk->nk", val, np.stack([scores for *_, scores in written]))[val.any(axis=0)]
    own = labels[val.any(axis=0)]
    decision = decide(Predictions((), (), own, joint, own, TWO), None, "youden")
    assert made.result["threshold"] == pytest.approx(decision.threshold)
    assert "was scored by 1 of 3 members on average" in made.result["operating_point"]["note"]
    assert set(made.result["subgroups"]["members"]) == set(_names(made))
    assert "each test image by what its own members have chosen" in " ".join(describe_ensemble(made.result))
    shown = show_operating_point(made.result)
    assert "A new image counts as" in shown
    assert "At the threshold of its members" in shown
    with pytest.raises(InputError, match="same validation images, such as runs of one split"):
        make(*(folder for folder, *_ in written), weights="fitted")


def _names(made):
    return [entry["name"] for entry in made.result["ensemble"]["members"]]


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    """Give an ensemble of two tiny networks that read images at different sizes, its folder and its images."""
    folder = tmp_path_factory.mktemp("ensemble")
    for label, name in enumerate(TWO):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(draw(label, i)).save(folder / "images" / name / f"{i}.png")
    size = {"a": 16, "b": 20}
    for seed, name in enumerate("ab"):
        fields = {"data.image_size": f"{size[name]},{size[name]}", "backbone": "LeNet5", "weights": "none"}
        write_member(folder / name, divide(), seed, model=network(size[name], seed), **fields)
    made = make(folder / "a", folder / "b")
    return write_ensemble(folder / "both", made), folder


def test_an_ensemble_answers_with_the_mean_of_networks_that_read_images_each_by_its_own_rule(ensemble):
    run, folder = ensemble
    first_own, second_own = (entry.get("own", []) for entry in run.json("metrics.json")["ensemble"]["members"])
    assert first_own == []
    assert [line[:22] for line in second_own] == ["Shape: 20 x 20 pixels,"]
    header, rows, _ = inference.predict(run, [folder / "images"])
    alone = [inference.predict(RunDir(folder / name), [folder / "images"])[1] for name in "ab"]
    assert [row[0] for row in rows] == [row[0] for row in alone[0]]
    first, last = header.index("score_ill"), header.index("score_well") + 1
    mean = np.mean([[row[first:last] for row in part] for part in alone], axis=0)
    np.testing.assert_allclose([row[first:last] for row in rows], mean, atol=1e-9)
    assert np.ptp([[row[first] for row in part] for part in alone], axis=0).max() > 0.01
    threshold = run.json("metrics.json")["threshold"]
    assert [row[1] for row in rows] == [TWO[int(row[first + 1] >= threshold)] for row in rows]
    pooled, result = inference.evaluate(run, str(folder / "images"))
    scored = dict(zip(pooled.units.paths, pooled.units.scores, strict=True))
    for row, scores in zip(rows, mean, strict=True):
        np.testing.assert_allclose(scored["/".join(str(row[0]).split("/")[-2:])], scores, atol=1e-6)
    assert result["n"] == 6
    assert describe_panel(open_panel(run)) == [
        "2 networks answer together, by the mean of their probabilities: a and b."
    ]
    alone = replace(open_panel(run), weights=np.array([0.0, 1.0]))
    assert describe_panel(alone) == ["b answers alone: the other members have a weight of 0."]
    with pytest.raises(InputError, match="`--explain` needs one network: give a member"):
        inference.predict(run, [folder / "images"], shown=inference.Pictures(folder / "shown"))
    with pytest.raises(InputError, match="without other `--data`, needs one network"):
        inference.evaluate(run)


def test_an_ensemble_is_compared_and_described_as_a_run(ensemble):
    run, folder = ensemble
    for name in "ab":  # a member without scores of its own says nothing in a comparison
        _rescore(folder / name)
    again = write_ensemble(folder / "again", make(folder / "a", folder / "b"))
    found = compare([again.path, folder / "a"])
    assert found.results[0].approach == "ensemble"
    assert found.results[0].metrics["metrics"]["auc"]["value"] == again.json("metrics.json")["metrics"]["auc"]["value"]
    assert found.results[0].costs["training_seconds"] == 4
    assert len(list_members(again)) == 2
    with pytest.raises(InputError, match=r"with other files in .*a \(metrics\.json\)"):
        list_members(run)
    with pytest.raises(InputError, match=r"give one of the members that `ensemble\.json` names"):
        find_run(again.path)


def test_an_ensemble_is_exported_as_a_run(ensemble):
    folder = ensemble[1]
    card = write_card(write_ensemble(folder / "card", make(folder / "a", folder / "b")))
    assert "An ensemble: 2 networks answer together" in card
    assert "| a | 0.500 | LeNet5 | none | 16 x 16 | 0 |" in card
    assert "| b | 0.500 | LeNet5 | none | 20 x 20 | 1 |" in card
    assert "tlmed ensemble MEMBER... --weights mean --out DIR" in card
    assert str(folder) not in card
    both = write_ensemble(folder / "packages", make(folder / "a", folder / "b"))
    assert write_requirements(both).startswith("# packages: all of its 2 members have these\n")
    assert "keras==3.15" in write_requirements(both)
    environment = json.loads((folder / "b" / "environment.json").read_text())
    write_json(folder / "b" / "environment.json", environment | {"packages": {"keras": "3.16"}})
    with pytest.raises(InputError, match=r"made with the same packages .*b with others than .*a: keras\."):
        write_requirements(both)


def test_the_folds_of_a_cross_validation_answer_together(tmp_path):
    for number in range(3):
        write_member(tmp_path / "cv" / "folds" / f"0{number + 1}", divide(60, 2 * number), number)
    cv = tmp_path / "cv"
    for name in ("recipe.json", "metrics.json"):
        shutil.copy(cv / "folds" / "01" / name, cv / name)
    panel, made = open_panel(find_run(cv, several=True)), make(cv)
    assert [member.run.path.name for member in panel.members] == ["01", "02", "03"]
    assert panel.weights == pytest.approx([1 / 3] * 3)
    assert panel.decision.threshold == made.result["threshold"] == panel.metrics["threshold"]
    assert panel.decision.temperature == made.result["calibration"]["temperature"]
    assert _names(made) == ["cv/folds/01", "cv/folds/02", "cv/folds/03"]
    assert "on the validation images of all folds" in describe_panel(panel)[0]
    assert {row["split"] for row in panel.rows} == {"train"}  # of at least one fold each
    with pytest.raises(InputError, match="one of its folds"):
        find_run(cv)


def test_networks_that_read_images_in_one_way_become_one_keras_model(ensemble, tmp_path):
    images, splits, size = ensemble[1] / "images", divide(), {"backbone": "LeNet5", "weights": "none"}
    for seed, name in enumerate(("run", "cv/folds/01", "cv/folds/02")):
        write_member(tmp_path / name, splits, seed, model=network(16, seed), **size)
    for name in ("recipe.json", "metrics.json"):
        shutil.copy(tmp_path / "cv" / "folds" / "01" / name, tmp_path / "cv" / name)
    write_ensemble(tmp_path / "all", make(tmp_path / "run", tmp_path / "cv", weights="fitted"))
    files = sorted(images.rglob("*.png"))
    pixels = np.stack([decode_resized(file.read_bytes(), (16, 16)) for file in files])
    for name in ("all", "cv"):
        out = tmp_path / f"{name}.keras"
        status, _, warned = here("export", tmp_path / name, "--format", "keras", "--out", out)
        assert status == 0
        assert warned.startswith("Warning: Whether recipe.json")  # these members have no lock
        model = keras.saving.load_model(out, safe_mode=True)
        header, rows, _ = inference.predict(find_run(tmp_path / name, several=True), files)
        first = header.index("score_ill")
        np.testing.assert_allclose(
            model.predict(pixels, verbose=0), [row[first : first + 2] for row in rows], atol=1e-6
        )
        assert np.ptp([row[first] for row in rows]) > 0.01
    with pytest.raises(InputError, match="--force writes over"):
        write_network(out, model)
    write_network(out, model, force=True)
    shutil.copy(tmp_path / "run" / "model.keras", out)
    with pytest.raises(InputError, match="one that the same command made"):
        write_network(out, model, force=True)
    with pytest.raises(InputError, match=r"must end with `\.keras`"):
        write_network(tmp_path / "model.h5", model)


def test_networks_that_cannot_be_one_keras_model_are_named(ensemble, tmp_path):
    with pytest.raises(InputError, match=r"b, which reads images in another way than .*a: Shape: 20 x 20 pixels"):
        join_networks(write_ensemble(tmp_path / "both", make(*(ensemble[1] / name for name in "ab"))).path)
    for seed, name in enumerate("cd"):
        write_member(tmp_path / name, divide(), seed)
    metrics = json.loads((tmp_path / "d" / "metrics.json").read_text())
    write_json(tmp_path / "d" / "metrics.json", metrics | {"classifier": {"name": "SVC"}})
    run = write_ensemble(tmp_path / "mixed", make(tmp_path / "c", tmp_path / "d"))
    with pytest.raises(InputError, match=r"Received: .*d, a hybrid, whose classifier is no network\."):
        join_networks(run.path)


def _rescore(folder):
    """Give a run the metrics of its own predictions."""
    _, result = inference.evaluate(None, file=folder / "predictions.csv")
    content = json.loads((folder / "metrics.json").read_text())
    named = ("metrics", "per_class", "n", "groups")
    write_json(folder / "metrics.json", content | {name: result[name] for name in named if name in result})


def test_a_member_or_a_file_that_was_changed_is_named(tmp_path):
    for seed, name in enumerate("ab"):
        write_member(tmp_path / name, divide(), seed)
    run = write_ensemble(tmp_path / "both", make(tmp_path / "a", tmp_path / "b"))
    assert read_predictions(run / "predictions.csv").splits == ("test",) * 20
    assert [member.weight for member in list_members(run)] == [0.5, 0.5]
    moved = shutil.copytree(tmp_path, tmp_path.with_name("moved"))  # all together
    assert [member.run.path.resolve() for member in list_members(RunDir(moved / "both"))] == [moved / "a", moved / "b"]
    (tmp_path / "a" / "model.keras").write_bytes(b"another")
    with pytest.raises(InputError, match=r"as they were when it was made: .*a \(model.keras\)"):
        list_members(run)
    assert list_members(run, ("splits.csv",))
    (tmp_path / "a").rename(tmp_path / "c")
    with pytest.raises(InputError, match=r"put them back, or make the ensemble again\. Received: .* without .*a\."):
        list_members(run)
    (moved / "both" / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match=r"as `tlmed ensemble` wrote them; .* where metrics.json is not"):
        list_members(RunDir(moved / "both"))
    write_json(moved / "both" / "ensemble.json", run.json("ensemble.json") | {"weights": "fitted"})
    with pytest.raises(InputError, match=r"where ensemble.json is not"):
        list_members(RunDir(moved / "both"))


BAD = [
    (dict(classes=("ill", "sane")), "b differs from {a} in its classes (ill, sane; not ill, well), positive class ("),
    (dict(digests=[f"{i + 1:064}" for i in range(60)]), "in its images (60 changed: "),
    (dict(groups=["p"] * 60), "in its images (60 changed: "),
    ({"data.planes": "3"}, "in its samples of a file ("),
]


@pytest.mark.parametrize(("fields", "said"), BAD)
def test_runs_that_ask_something_else_cannot_answer_together(tmp_path, fields, said):
    write_member(tmp_path / "a", divide(), 0)
    write_member(tmp_path / "b", divide(), 1, **fields)
    with pytest.raises(InputError) as error:
        make(tmp_path / "a", tmp_path / "b")
    assert said.format(a=tmp_path / "a") in str(error.value)
    assert len(error.value.faults) == 1


def test_what_may_differ_is_told_and_the_first_run_decides(tmp_path):
    write_member(tmp_path / "a", divide(), 0)
    write_member(tmp_path / "b", divide(), 1, threshold="0.3")
    warned = []
    made = make(tmp_path / "a", tmp_path / "b", voice=Voice(warn=warned.append))
    assert any("b decides by threshold=0.3, not 'youden': the ensemble decides as a does." in said for said in warned)
    assert made.result["operating_point"]["rule"] == "youden"


def test_runs_that_cannot_be_members_are_refused(tmp_path):
    write_member(tmp_path / "a", divide(), 0)
    write_member(tmp_path / "b", divide(), 1)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    both = write_ensemble(tmp_path / "both", make(tmp_path / "a", tmp_path / "b")).path
    for paths, said in {
        (tmp_path / "a",): "needs two runs or more, or a cross-validation",
        (tmp_path / "a", tmp_path / "b" / ".." / "a"): "the same directory twice",
        (tmp_path / "a", tmp_path / "copy"): "with the same network",
        (tmp_path / "a", both): "an ensemble",
        (tmp_path / "a", tmp_path / "none"): "must be the directory of a run",
    }.items():
        with pytest.raises(InputError, match=said):
            gather_runs(paths)
    (tmp_path / "b" / "UNFINISHED").write_text("Training.")
    with pytest.raises(InputError, match="RUN must be complete"):
        gather_runs([tmp_path / "a", tmp_path / "b"])


def test_nothing_is_left_to_score_where_every_test_image_is_known(tmp_path):
    for seed, name in enumerate("ab"):
        write_member(tmp_path / name, divide(), seed, digests=["0" * 64] * 60)
    with pytest.raises(InputError, match=r"unknown to one of the members: .* which know all 20 test images"):
        make(tmp_path / "a", tmp_path / "b")


def test_the_command_makes_a_new_directory_and_says_who_scored_what(tmp_path):
    for seed, name in enumerate("ab"):
        write_member(tmp_path / name, divide(60, 3 * seed), seed)
    words = ("ensemble", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "both")
    status, out, err = here(*words)
    assert (status, err.count("its lock.json is missing")) == (0, 2)
    assert "Each test image is scored by the members that have not seen it: 40 test images by 1 of 2 members." in out
    assert {path.name for path in (tmp_path / "both").iterdir()} == {
        *("ensemble.json", "metrics.json", "predictions.csv", "timing.json", "report.html")
    }
    page = (tmp_path / "both" / "report.html").read_text()
    assert "The ensemble both" in page
    status, _, err = here(*words)
    assert (status, "must be a new or empty directory" in err) == (2, True)
    status, out, _ = here("status", tmp_path / "both")
    assert (status, "both: complete." in out) == (0, True)
    status, _, err = here("train", "feature_extractor", "--out", tmp_path / "both")
    assert (status, "both, an ensemble." in err) == (2, True)


@pytest.fixture(params=["labels", "grades", "volumes"])
def members(request, tmp_path):
    """Give three runs with different splits that answer another question than one class per image."""
    kind, random = request.param, np.random.default_rng(8)
    classes = ("edema", "mass") if kind == "labels" else ("0", "1", "2") if kind == "grades" else TWO
    task = {"labels": MULTI_LABEL, "grades": ORDINAL}.get(kind, SINGLE_LABEL)
    n = 120
    paths = [f"{i // 2:03}.nii#plane={i % 2}" if kind == "volumes" else f"{i:03}.png" for i in range(n)]
    labels = random.integers(2, size=(n, 2)) if kind == "labels" else np.arange(n) // 2 % len(classes)
    for seed, name in enumerate("abc"):
        folder, splits = tmp_path / name, np.array(divide(n, 2 * seed))
        write_member(folder, splits.tolist(), seed, classes=classes[:2])
        truth = labels if kind == "labels" else np.eye(len(classes))[labels]
        scores = np.random.default_rng(seed).dirichlet(np.ones(len(classes)), n) + 0.4 * truth
        scores = scores / 1.4 if kind == "labels" else scores / scores.sum(axis=1, keepdims=True)
        rows = np.flatnonzero(splits != "train")
        texts = write_labels(labels, classes)
        digests = [f"{i:064}" for i in range(n)]
        lines = zip(paths, texts, [""] * n, splits, digests, strict=True)
        write_csv(folder / "splits.csv", ("path", "label", "group", "split", "sha256"), lines)
        own = [paths[row] for row in rows], splits[rows], labels[rows], scores[rows], labels[rows]
        write = write_label_predictions if kind == "labels" else write_predictions
        write(folder / "predictions.csv", Predictions(*own, classes, task=task))
        pool = {"unit": "file", "pool": "mean", "per_sample": {"n": 1, "metrics": {}}} if kind == "volumes" else {}
        content = json.loads((folder / "metrics.json").read_text()) | {"task": task, "classes": classes, **pool}
        write_json(folder / "metrics.json", content | {"positive": classes[1] if kind == "volumes" else None})
        (folder / "pooled.csv").touch()
    return kind, tmp_path, labels, scores


def test_other_questions_are_answered_together_too(members):
    kind, folder, labels, _ = members
    made = make(*(folder / name for name in "abc"))
    units, result = made.pooled.units, made.result
    assert result["ensemble"]["scored_by"] == {"1": 60 if kind == "volumes" else 120}
    assert result["unit"] == ("file" if kind == "volumes" else "image")
    if kind == "volumes":
        means = {path: [] for path in units.paths}
        for path, scores in zip(made.pooled.samples.paths, made.pooled.samples.scores, strict=True):
            means[path.partition("#")[0]].append(scores)
        np.testing.assert_allclose(units.scores, [np.mean(means[path], axis=0) for path in units.paths])
        return
    rows = [int(path[:3]) for path in units.paths]
    np.testing.assert_array_equal(units.labels, labels[rows])
    if kind == "labels":
        own = [sklearn.metrics.roc_auc_score(labels[rows][:, it], units.scores[:, it]) for it in range(2)]
        assert result["metrics"]["auc"]["value"] == pytest.approx(np.mean(own))
        assert set(result["per_class"]["edema"]["operating_point"]) >= {"threshold", "n"}
    else:
        kappa = sklearn.metrics.cohen_kappa_score(labels[rows], units.predictions, weights="quadratic")
        assert result["metrics"]["quadratic_kappa"]["value"] == pytest.approx(kappa)
    for number, name in enumerate("abc", 1):
        shutil.copytree(folder / name, folder / "cv" / "folds" / f"0{number}")
    for name in ("recipe.json", "metrics.json"):
        shutil.copy(folder / "a" / name, folder / "cv" / name)
    folds = open_panel(RunDir(folder / "cv"))
    if kind == "labels":
        points = [result["per_class"][name]["operating_point"]["threshold"] for name in ("edema", "mass")]
        assert folds.decision.thresholds == points
        assert f"{points[0]:.3f}" in " ".join(describe_choices(folds.metrics))
    else:
        assert folds.decision.temperature == result["calibration"]["temperature"]
    run = write_ensemble(folder / "together", made)
    panel = open_panel(run)
    assert panel.first.task == result["task"]
    assert [sum(row["split"] == name for row in panel.rows) for name in ("train", "val", "test")] == [120, 0, 0]


@pytest.mark.parametrize("members", ["volumes"], indirect=True)
def test_of_files_all_is_counted_and_said_in_files(members):
    _, folder, *_ = members
    known = next(i for i, split in enumerate(divide(120)) if split == "train")
    for (
        name
    ) in "abc":  # a slice of a test file of the first member copies one that it learned from, and another one tests
        rows = read_csv(folder / name / "splits.csv")
        rows[0]["sha256"] = rows[known]["sha256"]
        write_csv(folder / name / "splits.csv", rows[0], (row.values() for row in rows))
    made = make(*(folder / name for name in "abc"))
    about, said = made.result["ensemble"], " ".join(describe_ensemble(made.result))
    assert (about["tested"], about["scored"], about["scored_by"]) == (60, 58, {"1": 58})
    assert "2 files that some member tests are not scored" in said
    assert "New files are scored by all members" in said
    assert "New files are predicted by the threshold" in said
    for part in ("operating_point", "calibration"):
        assert "Each of these files was scored by 1 of 3 members on average" in made.result[part]["note"]
    assert " image" not in said


def test_of_patients_nothing_is_said_of_copies_of_them():
    about = {"weights": "mean", "members": [{"name": "a", "weight": 1.0}], "tested": 9, "scored": 7}
    said = describe_ensemble({"unit": "group", "ensemble": about | {"scored_by": {"1": 7}}})
    assert said[-1] == (
        "2 groups that some member tests are not scored: training or validation of each of these members knows the "
        "group, or a copy of one of its images."
    )


@pytest.mark.parametrize("members", ["volumes"], indirect=True)
def test_files_that_all_members_know_are_counted_in_files(members):
    _, folder, *_ = members
    for name in "abc":
        rows = read_csv(folder / name / "splits.csv")
        for row in rows:
            row["sha256"] = "0" * 64
        write_csv(folder / name / "splits.csv", rows[0], (row.values() for row in rows))
    with pytest.raises(InputError, match=r"^One test file or more must be unknown .* which know all 60 test files"):
        make(*(folder / name for name in "abc"))


def test_scores_are_read_with_nothing_where_a_run_gave_none(tmp_path):
    write_member(tmp_path / "a", divide(), 0)
    table = read_member_scores([read_trained(RunDir(tmp_path / "a"))])
    assert np.isnan(table.scores[0][np.array(divide()) == "train"]).all()
    assert not np.isnan(table.scores[0][np.array(divide()) != "train"]).any()
