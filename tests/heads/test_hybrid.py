import builtins
import functools
import json
import operator
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
import scipy.stats
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators
from threadpoolctl import threadpool_limits

from tlmed.errors import InputError
from tlmed.heads import skops_files
from tlmed.heads.classifiers import find_classifier
from tlmed.heads.hybrid import (
    GRIDS,
    Search,
    find_classifier_faults,
    find_hybrid_faults,
    fit_classifier,
    make_folds,
    predict_probabilities,
)
from tlmed.heads.pipelines import SETTINGS
from tlmed.heads.skops_files import ALLOWED, load_classifier, save_classifier
from tlmed.sections import Hybrid

NAMES = ("benign", "malignant", "normal")
OTHERS = sorted({name for name, _ in all_estimators("classifier")} - set(GRIDS))
# Of scikit-learn's others: these wrap a classifier, so that a name alone is not enough.
WRAPPERS = {
    *("ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "OneVsOneClassifier"),
    *("OneVsRestClassifier", "OutputCodeClassifier", "SelfTrainingClassifier", "StackingClassifier"),
    *("TunedThresholdClassifierCV", "VotingClassifier"),
}
SLOW = ("BaggingClassifier", "CalibratedClassifierCV", "LogisticRegressionCV")  # each fits many others
NOT_NEGATIVE = {"CategoricalNB", "ComplementNB", "MultinomialNB"}


def blobs(per_class: int = 20, classes: int = 3, width: int = 6, spread: float = 1.0, seed: int = 0):
    """Return features, labels and groups (pairs of images) of Gaussian blobs."""
    random = np.random.RandomState(seed)
    labels = np.repeat(np.arange(classes), per_class)
    features = 2 * np.eye(classes, width)[labels] + random.normal(0, spread, (len(labels), width))
    order = random.permutation(len(labels))
    groups = [f"patient {label}/{i // 2}" for label in range(classes) for i in range(per_class)]
    return features[order].astype("float32"), labels[order], [groups[i] for i in order]


FEATURES, LABELS, GROUPS = blobs()


def search(name="SVC", grid=None, monitor="val_auc", class_weight="none", seed=0, **section):
    return Search(Hybrid(name, grid or {}, **section), monitor, class_weight, seed)


def quick(name):
    """Return a grid of the default's first and last values, and few trees: what is tested is the way, not the score."""
    return {key: tuple(dict.fromkeys((values[0], values[-1]))) for key, values in GRIDS[name].items()}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Take few trees, and one thread: on so little data they would only wait for each other."""
    for name in ("ExtraTreesClassifier", "RandomForestClassifier"):
        monkeypatch.setitem(SETTINGS, name, {"n_estimators": 10})
    monkeypatch.setitem(SETTINGS, "AdaBoostClassifier", {"n_estimators": 5})
    monkeypatch.setitem(SETTINGS, "GradientBoostingClassifier", {"n_estimators": 5})
    monkeypatch.setitem(SETTINGS, "HistGradientBoostingClassifier", {"max_iter": 5})
    monkeypatch.setitem(SETTINGS, "MLPClassifier", {"max_iter": 2000, "tol": 0.01})
    with threadpool_limits(1):
        yield


def test_the_table_of_grids_is_small_and_fits_its_classifiers():
    assert len(GRIDS) >= 15
    for name, grid in GRIDS.items():
        assert 2 <= np.prod([len(values) for values in grid.values()]) <= 12
        assert not find_classifier_faults(name, grid)
        assert set(SETTINGS.get(name, {})).isdisjoint(grid)
    assert set(SETTINGS) <= {name for name, _ in all_estimators("classifier")}


@pytest.mark.parametrize("name", sorted(GRIDS))
def test_every_shipped_classifier_fits_saves_and_loads(name, tmp_path, monkeypatch):
    seen = []
    fit = GridSearchCV.fit
    monkeypatch.setattr(GridSearchCV, "fit", lambda self, *data: seen.append(self.cv) or fit(self, *data))
    fitted = fit_classifier(FEATURES, LABELS, GROUPS, search(name, quick(name), folds=3, seed=5))
    assert fitted.notes == ()

    for train, held_out in seen[0]:
        assert not {GROUPS[i] for i in train} & {GROUPS[i] for i in held_out}
        assert set(LABELS[held_out]) == {0, 1, 2}

    grid = quick(name)
    assert all(fitted.parameters[key] in values for key, values in grid.items())
    assert len(fitted.rows) == np.prod([len(values) for values in grid.values()])
    assert [row["rank"] for row in fitted.rows] == sorted(row["rank"] for row in fitted.rows)
    assert fitted.rows[0]["mean_score"] == fitted.score == max(row["mean_score"] for row in fitted.rows)
    assert {key: fitted.rows[0][key] for key in grid} == fitted.parameters

    other = blobs(seed=1)[0]
    probabilities = predict_probabilities(fitted.classifier, other, 3)
    assert probabilities.shape == (60, 3)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-12)

    save_classifier(fitted.classifier, tmp_path / "classifier.skops")
    loaded = load_classifier(tmp_path / "classifier.skops")
    np.testing.assert_array_equal(predict_probabilities(loaded, other, 3), probabilities)

    again = fit_classifier(FEATURES, LABELS, GROUPS, search(name, quick(name), folds=3, seed=5))
    assert (again.parameters, again.score, again.rows) == (fitted.parameters, fitted.score, fitted.rows)
    np.testing.assert_array_equal(predict_probabilities(again.classifier, other, 3), probabilities)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in OTHERS])
def test_any_other_classifier_works_or_is_refused_before_it_is_fitted(name, tmp_path):
    faults = find_classifier_faults(name)
    if name in WRAPPERS:
        assert f"classifier={name!r}" in faults[0]
    elif name in NOT_NEGATIVE:
        assert "Negative values" in faults[0]
        faults = find_classifier_faults(name, scale=False)
    if faults:
        assert name in WRAPPERS
        return
    grid = {"radius": (8.0,)} if name == "RadiusNeighborsClassifier" else {}
    features = FEATURES - FEATURES.min()
    if name == "CategoricalNB":  # which takes categories that it was shown, and features are none
        with pytest.raises(InputError, match="must be able to learn the features"):
            fit_classifier(features, LABELS, search=search(name, scale=False, folds=3))
        return
    fitted = fit_classifier(features, LABELS, search=search(name, grid=grid, scale=name not in NOT_NEGATIVE, folds=3))
    save_classifier(fitted.classifier, tmp_path / "classifier.skops")
    loaded = load_classifier(tmp_path / "classifier.skops")
    probabilities = predict_probabilities(fitted.classifier, features, 3)
    np.testing.assert_array_equal(predict_probabilities(loaded, features, 3), probabilities)


@pytest.mark.parametrize("name", ["SVC", "KNeighborsClassifier", "LinearSVC"])
@pytest.mark.parametrize("classes", [2, 4])
def test_more_or_fewer_classes_and_no_groups(name, classes):
    features, labels, _ = blobs(classes=classes)
    fitted = fit_classifier(features, labels, search=search(name, folds=4))
    scores = predict_probabilities(fitted.classifier, features, classes)
    assert (scores.argmax(axis=1) == labels).mean() > 0.8
    assert fitted.scoring == "macro_auc"
    assert fitted.score > 0.8


@pytest.mark.parametrize("name", ["SVC", "LogisticRegression", "GaussianNB"])
def test_the_score_is_the_mean_macro_auc_of_the_folds(name):
    grid = {key: values[:1] for key, values in GRIDS[name].items()}
    features, labels, groups = blobs(spread=2.0)
    fitted = fit_classifier(features, labels, groups, search(name, grid, folds=3, seed=2))
    pipeline = fitted.classifier.estimator
    areas = []
    for train, held_out in make_folds(labels, groups, 3, seed=2):
        model = pipeline.fit(features[train].astype("float64"), labels[train])
        decide = getattr(model, "decision_function", None) or model.predict_proba
        values = decide(features[held_out].astype("float64"))
        areas.append(np.mean([roc_auc_score(labels[held_out] == label, values[:, label]) for label in range(3)]))
    assert fitted.score == pytest.approx(np.mean(areas), abs=1e-12)


@pytest.mark.parametrize(("monitor", "scoring"), [("val_accuracy", "accuracy"), ("val_loss", "neg_log_loss")])
def test_the_monitor_decides_what_is_scored(monitor, scoring):
    fitted = fit_classifier(FEATURES, LABELS, GROUPS, search("LogisticRegression", folds=3, monitor=monitor))
    assert fitted.scoring == scoring
    assert (0.5 < fitted.score <= 1) if scoring == "accuracy" else (-1.2 < fitted.score < 0)


def test_scaling_components_and_class_weights_reach_the_pipeline():
    fitted = fit_classifier(
        FEATURES, LABELS, GROUPS, search("SVC", {"C": (1.0,)}, pca=3, folds=3, class_weight="balanced")
    )
    pipeline = fitted.classifier.calibrated_classifiers_[0].estimator
    assert list(pipeline.named_steps) == ["scale", "pca", "classifier"]
    assert pipeline["pca"].n_components_ == 3
    assert pipeline["classifier"].estimators_[0].class_weight == "balanced"
    bare = fit_classifier(FEATURES, LABELS, GROUPS, search("SVC", {"C": (1.0,)}, scale=False, folds=3))
    assert list(bare.classifier.estimator.named_steps) == ["classifier"]


def test_what_is_held_out_is_never_fitted_on(monkeypatch):
    # A scaler that saw all images would put the outlier's fold on another scale.
    seen = []
    fit = Pipeline.fit
    monkeypatch.setattr(Pipeline, "fit", lambda self, x, y, **more: seen.append(len(x)) or fit(self, x, y, **more))
    fit_classifier(FEATURES, LABELS, GROUPS, search("SVC", {"C": (1.0, 10.0)}, folds=3))
    assert sorted(set(seen)) == [40, 60]
    assert seen.count(60) == 1  # two points and the calibration in three folds each, and the fit that is kept


def noise(per_class, classes, seed):
    """Return features that say nothing of the classes: which way folds rank them is chance."""
    random = np.random.RandomState(seed)
    return random.normal(size=(per_class * classes, 30)), np.repeat(np.arange(classes), per_class)


@pytest.mark.parametrize("name", ["SVC", "LinearSVC", "GaussianNB"])
@pytest.mark.parametrize("classes", [2, 3])
def test_calibration_never_reverses_a_classifier(name, classes):
    kinds = set()
    for seed in range(6):
        features, labels = noise(10, classes, seed)
        grid = {key: values[:1] for key, values in GRIDS[name].items()}
        fitted = fit_classifier(features, labels, search=search(name, grid, seed=seed, folds=5))
        ours = fitted.classifier.calibrated_classifiers_[0]
        theirs = CalibratedClassifierCV(
            fitted.classifier.estimator, cv=make_folds(labels, None, 5, seed), ensemble=False
        ).fit(features, labels)
        decide = getattr(ours.estimator, "decision_function", None) or ours.estimator.predict_proba
        fresh = noise(20, classes, seed + 100)[0]
        values = np.atleast_2d(decide(fresh).T)[-len(ours.calibrators) :]
        pairs = zip(ours.calibrators, theirs.calibrated_classifiers_[0].calibrators, values, strict=True)
        for label, (own, other, column) in enumerate(pairs, classes - len(ours.calibrators)):
            assert (label in fitted.turned) == (other.a_ >= 0)
            assert scipy.stats.spearmanr(own.predict(column), column).statistic == pytest.approx(1)
            if label in fitted.turned:
                assert np.ptp(own.predict(column)) < 0.02
                assert own.predict(column).mean() == pytest.approx(1 / classes, abs=0.02)
            else:
                assert (own.a_, own.b_) == (other.a_, other.b_)
            kinds.add(label in fitted.turned)
    assert kinds == {True, False}


def test_probabilities_are_calibrated_on_images_that_were_not_fitted_on():
    # Noise alone: an SVC separates its own training images, and would be sure of them.
    random = np.random.RandomState(0)
    features, labels = random.normal(size=(120, 40)), np.arange(120) % 3
    fitted = fit_classifier(features, labels, search=search("SVC", grid={"C": (100.0,)}, folds=4))
    assert predict_probabilities(fitted.classifier, features, 3).max() < 0.7


def test_another_seed_makes_other_folds():
    first, second = ([rows.tolist() for _, rows in make_folds(LABELS, GROUPS, 3, seed)] for seed in (0, 1))
    assert first != second
    assert first == [rows.tolist() for _, rows in make_folds(LABELS, GROUPS, 3, 0)]


@pytest.mark.parametrize("folds", [2, 3, 7, 10])
def test_folds_hold_each_image_once_and_spread_classes_evenly(folds):
    parts = make_folds(LABELS, GROUPS, folds, seed=0)
    assert sorted(row for _, held_out in parts for row in held_out) == list(range(60))
    for train, held_out in parts:
        assert sorted([*train, *held_out]) == list(range(60))
        counts = np.bincount(LABELS[held_out], minlength=3)
        assert (np.abs(counts - 20 / folds) <= 2).all()  # one pair more or less


def test_an_image_without_a_group_stands_alone():
    groups = [""] * 45 + ["a"] * 15
    for _, held_out in make_folds(np.tile([0, 1, 2], 20), groups, 3, seed=0):
        assert len(set(held_out) & set(range(45, 60))) in (0, 15)
        assert 0 < len(set(held_out) & set(range(45))) < 45


def test_what_scikit_learn_warns_of_is_noted_and_not_shown():
    features, labels, groups = blobs(spread=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fit_classifier(features, labels, groups, search("MLPClassifier", {"max_iter": (2,)}, folds=3))
    assert len(fitted.notes) == 1
    assert fitted.notes[0].startswith("scikit-learn, 7 times: ConvergenceWarning")


def test_a_class_that_was_not_shown_gets_no_probability():
    fitted = fit_classifier(FEATURES[LABELS < 2], LABELS[LABELS < 2], search=search("SVC", folds=3))
    scores = predict_probabilities(fitted.classifier, FEATURES, 3)
    assert (scores[:, 2] == 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)


def test_features_of_another_tap_are_refused():
    fitted = fit_classifier(FEATURES, LABELS, search=search("SVC", grid={"C": (1.0,)}, folds=3))
    with pytest.raises(InputError, match="must be like those of the fit"):
        predict_probabilities(fitted.classifier, FEATURES[:, :4], 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SVM", "Did you mean 'SVC'? Received: classifier='SVM'"),
        (
            "RandomForestRegressor",
            "Did you mean 'RandomForestClassifier'? Received: classifier='RandomForestRegressor', a regressor",
        ),
        ("StandardScaler", "Received: classifier='StandardScaler', a transformer"),
        ("KMeans", "Received: classifier='KMeans', a clustering"),
        (
            "VotingClassifier",
            "one that wraps others does not. Received: classifier='VotingClassifier', which needs estimators",
        ),
        ("SelfTrainingClassifier", "which gives neither"),
    ],
)
def test_a_name_that_is_no_classifier_is_explained(name, said):
    faults = find_hybrid_faults(search(name, folds=3), LABELS, GROUPS, NAMES)
    assert len(faults) == 1
    assert said in faults[0]


def test_a_name_may_leave_out_classifier():
    for short in ("GradientBoosting", "KNeighbors", "RandomForest"):
        assert find_classifier(short) is find_classifier(f"{short}Classifier")
    fitted = fit_classifier(FEATURES, LABELS, search=search("KNeighbors", folds=3))
    assert fitted.parameters["n_neighbors"] in (1, 3, 5, 9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grid": {"gama": (1,)}}, "`grid` must name parameters of SVC. Did you mean 'gamma'? Received: 'gama'."),
        ({"grid": {"C": 1.0}}, "must give each parameter a tuple of values to try. Received: C=1.0"),
        ({"grid": {"C": ()}}, "must give each parameter a tuple of values to try. Received: C=()"),
        ({"grid": {"decision_function_shape": ("ovo",)}}, "a score for each class is needed"),
        (
            {"name": "NearestCentroid", "grid": {"metric": ("euclidean", "manhattan")}},
            "must leave NearestCentroid with probabilities or decision values. Received: {'metric': 'manhattan'}",
        ),
        ({"folds": 1}, "`folds` must be a whole number of 2 or more. Received: folds=1"),
        ({"folds": 11}, "`folds` must be at most 10: class 'benign' has 10 training groups. Received: folds=11"),
        ({"folds": 21, "groups": None}, "`folds` must be at most 20: class 'benign' has 20 training images"),
        ({"groups": [f"{label}" for label in LABELS]}, "Received: class 'benign' with 1 group"),
        ({"class_names": (*NAMES, "cyst")}, "Received: class 'cyst' with 0 groups"),
        (
            {"class_names": (*NAMES, "Benign")},
            "'Benign' differs from 'benign' only in case or spaces. Received: class 'B",
        ),
        ({"pca": 41}, "`pca` must be from 1 to 40"),
        ({"pca": 7, "width": 6}, "`pca` must be from 1 to 6"),
        ({"pca": 0}, "Received: pca=0"),
        ({"pca": 1.5}, "Received: pca=1.5"),
        ({"monitor": "val_loss"}, "`monitor` must be 'val_auc' or 'val_accuracy' with SVC"),
        ({"monitor": "auc"}, "`monitor` must be one of"),
        ({"class_weight": "heavy"}, "`class_weight` must be 'none' or 'balanced'"),
        ({"name": "GaussianNB", "class_weight": "balanced"}, "`class_weight` must be 'none' with GaussianNB"),
    ],
)
def test_faults_are_told_before_anything_is_fitted(changes, said):
    data = {"labels": LABELS, "groups": GROUPS, "class_names": NAMES, "width": None}
    assert find_hybrid_faults(search(folds=3), **data) == []
    changed = {key: value for key, value in changes.items() if key not in data}
    data |= {key: value for key, value in changes.items() if key in data}
    faults = find_hybrid_faults(search(**{"folds": 3, **changed}), **data)
    assert any(said in fault for fault in faults), faults


def test_a_fold_without_a_class_is_named_with_the_class():
    # Each class is in three groups, but they overlap so that no fold can be given all of them.
    labels, groups = np.array([2, 0, 2, 0, 1, 1, 0, 1, 2]), [*"daadeccbe"]
    absent = [set(range(3)) - set(labels[held_out]) for _, held_out in make_folds(labels, groups, 3, seed=0)]
    ((fold, label),) = [(fold, label) for fold, missing in enumerate(absent, 1) for label in missing]
    (fault,) = find_hybrid_faults(search(folds=3), labels, groups, NAMES)
    assert fault.startswith("Every fold must hold every class")
    assert fault.endswith(f"Received: fold {fold} of 3 without '{NAMES[label]}'.")


def test_all_faults_come_at_once():
    wrong = search("SVC", {"c": (1,), "gama": (1,)}, folds=50, class_weight="heavy")
    faults = find_hybrid_faults(wrong, LABELS, GROUPS, NAMES)
    assert len(faults) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"grid": {"C": (-1.0,)}}, "The 'C' parameter of SVC must be"),
        ({"name": "KNeighbors", "grid": {"n_neighbors": (1, 500)}}, "n_neighbors"),
        ({"name": "MultinomialNB"}, "Negative values"),
    ],
)
def test_what_scikit_learn_refuses_is_an_input_error(arguments, said):
    with pytest.raises(InputError, match="`classifier` must be able to learn the features") as caught:
        fit_classifier(FEATURES, LABELS, GROUPS, search(folds=3, **arguments))
    assert said in str(caught.value)


def test_features_that_are_not_finite_are_refused():
    features = FEATURES.copy()
    features[3, 2] = np.nan
    with pytest.raises(InputError, match="NaN"):
        fit_classifier(features, LABELS, GROUPS, search(folds=3))


# Files


@pytest.fixture(scope="module")
def fitted():
    return fit_classifier(FEATURES, LABELS, GROUPS, search("SVC", {"C": (1.0,)}, folds=3)).classifier


def test_a_file_holds_no_folds_and_no_groups(fitted, tmp_path):
    save_classifier(fitted, tmp_path / "classifier.skops")
    assert load_classifier(tmp_path / "classifier.skops").cv is None
    with zipfile.ZipFile(tmp_path / "classifier.skops") as file:
        content = b"".join(file.read(name) for name in file.namelist())
    assert b"patient" not in content


class Foreign(LogisticRegression):
    """What a user might write, and skops cannot know."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Foreign(), "tests.heads.test_hybrid.Foreign"),
        (functools.partial(print, "hello"), "functools.partial"),
        (operator.attrgetter("real"), "operator.attrgetter"),
        (operator.methodcaller("upper"), "operator.methodcaller"),
        (LogisticRegression().fit, "sklearn.linear_model._logistic.LogisticRegression.fit"),
        (scipy.stats.loguniform(1, 2), "scipy.stats"),
        (builtins.eval, "eval"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_foreign_type_is_refused_by_name(content, said, inside, fitted, tmp_path):
    if inside:
        whole = CalibratedClassifierCV(content)
        content = whole
    try:
        skops.io.dump(content, tmp_path / "classifier.skops")
    except skops.io.exceptions.UnsupportedTypeException:
        pytest.skip("skops does not write it")
    with pytest.raises(InputError) as caught:
        load_classifier(tmp_path / "classifier.skops")
    assert said in str(caught.value)
    assert str(tmp_path / "classifier.skops") in str(caught.value)
    with pytest.raises(InputError, match="safe to load"):
        save_classifier(content, tmp_path / "again.skops")
    assert not (tmp_path / "again.skops").exists()


def test_a_foreign_type_is_not_even_imported(tmp_path, monkeypatch):
    module = types.ModuleType("trap")
    module.Trap = type("Trap", (), {"__module__": "trap"})
    monkeypatch.setitem(sys.modules, "trap", module)
    skops.io.dump(module.Trap(), tmp_path / "classifier.skops")
    monkeypatch.delitem(sys.modules, "trap")
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"which holds trap\.Trap"):
        load_classifier(tmp_path / "classifier.skops")
    assert "trap" not in sys.modules


def test_skops_decides_and_the_list_adds_to_it(fitted, tmp_path, monkeypatch):
    save_classifier(fitted, tmp_path / "classifier.skops")
    untrusted = skops.io.get_untrusted_types(file=tmp_path / "classifier.skops")
    assert untrusted
    assert set(untrusted) <= set(ALLOWED)
    monkeypatch.setattr(skops_files, "ALLOWED", tuple(set(ALLOWED) - {untrusted[0]}))
    with pytest.raises(InputError) as caught:
        load_classifier(tmp_path / "classifier.skops")
    assert untrusted[0] in str(caught.value)


def test_the_list_is_of_exact_names_of_scikit_learn_and_sorted():
    assert list(ALLOWED) == sorted(set(ALLOWED))
    assert all(name.startswith("sklearn.") and "*" not in name for name in ALLOWED)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Ridge().fit([[0], [1]], [0, 1]), "which holds a Ridge"),
        ({"a": 1}, "which holds a dict"),
        (CalibratedClassifierCV(), "not fitted, or no pipeline"),
        (Pipeline([("classifier", LogisticRegression())]), "which holds a Pipeline"),
    ],
    ids=["ridge", "dict", "unfitted", "pipeline"],
)
def test_what_is_no_classifier_of_ours_is_refused(content, said, tmp_path):
    skops.io.dump(content, tmp_path / "classifier.skops")
    with pytest.raises(InputError, match="must hold a classifier that tlmed has fitted") as caught:
        load_classifier(tmp_path / "classifier.skops")
    assert said in str(caught.value)


def rezip(path, change):
    """Rewrite the schema of a skops file."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    parts = change(parts)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no zip file"),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_bytes(path.read_bytes()[:2000] + b"\0" * 300 + path.read_bytes()[2300:]),
        lambda path: rezip(path, lambda parts: {k: v for k, v in parts.items() if k != "schema.json"}),
        lambda path: rezip(path, lambda parts: {**parts, "schema.json": b"{"}),
        lambda path: rezip(path, lambda parts: {**parts, "schema.json": b"[]"}),
        lambda path: rezip(path, lambda parts: {**parts, "schema.json": b'{"__loader__": "DictNode", "protocol": 2}'}),
        lambda path: rezip(path, lambda parts: {k: v for k, v in parts.items() if k.endswith("json")}),
        lambda path: rezip(path, lambda parts: {k: v[:90] if k.endswith("npy") else v for k, v in parts.items()}),
    ],
    ids=[
        "missing",
        "empty",
        "text",
        "cut",
        "overwritten",
        "no schema",
        "half a schema",
        "list",
        "dict",
        "no arrays",
        "short",
    ],
)
def test_a_damaged_file_is_an_input_error(fitted, tmp_path, damage):
    path = tmp_path / "classifier.skops"
    save_classifier(fitted, path)
    damage(path)
    with pytest.raises(InputError, match="must be a whole skops file"):
        load_classifier(path)


def test_a_classifier_without_its_parts_is_an_input_error(tmp_path):
    whole = wrapped(LogisticRegression())
    del whole.calibrated_classifiers_[0].estimator.steps
    skops.io.dump(whole, tmp_path / "classifier.skops")
    with pytest.raises(InputError, match="must be a whole skops file"):
        load_classifier(tmp_path / "classifier.skops")


def wrapped(classifier):
    pipeline = Pipeline([("classifier", classifier)])
    return CalibratedClassifierCV(pipeline, ensemble=False, cv=3).fit(FEATURES, LABELS)


def break_tree(tree, **columns):
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    for name, value in columns.items():
        nodes[name][0] = value
    tree.__setstate__({**state, "nodes": nodes})


@pytest.mark.parametrize(
    "columns", [{"left_child": 10**6}, {"left_child": 0}, {"feature": 6}, {"feature": -5}], ids=str
)
@pytest.mark.parametrize("model", [DecisionTreeClassifier(), RandomForestClassifier(3)], ids=["tree", "forest"])
def test_a_tree_that_points_outside_itself_is_refused(model, columns, tmp_path):
    whole = wrapped(model)
    inner = whole.calibrated_classifiers_[0].estimator[-1]
    break_tree(getattr(inner, "estimators_", [inner])[0].tree_, **columns)
    skops.io.dump(whole, tmp_path / "classifier.skops")
    with pytest.raises(InputError, match="in which a tree points outside itself"):
        load_classifier(tmp_path / "classifier.skops")


@pytest.mark.parametrize("columns", [{"left": 10**6}, {"right": 0}, {"feature_idx": 6}, {"is_categorical": 1}], ids=str)
def test_a_boosted_tree_that_points_outside_itself_is_refused(columns, tmp_path):
    whole = wrapped(HistGradientBoostingClassifier(max_iter=2))
    nodes = whole.calibrated_classifiers_[0].estimator[-1]._predictors[1][2].nodes
    for name, value in columns.items():
        nodes[name][0] = value
    skops.io.dump(whole, tmp_path / "classifier.skops")
    with pytest.raises(InputError, match="in which a tree points outside itself"):
        load_classifier(tmp_path / "classifier.skops")


def test_the_schema_names_every_type(fitted, tmp_path):
    # What the list is compared with is what the file says; skops builds nothing that it does not name.
    save_classifier(fitted, tmp_path / "classifier.skops")

    def rename(parts):
        schema = json.loads(parts["schema.json"])
        schema["__module__"], schema["__class__"] = "os", "system"
        return {**parts, "schema.json": json.dumps(schema).encode()}

    rezip(tmp_path / "classifier.skops", rename)
    with pytest.raises(InputError, match=r"which holds os\.system"):
        load_classifier(tmp_path / "classifier.skops")
