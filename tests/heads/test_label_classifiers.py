"""Hybrids of several labels: each has the classifier that scikit-learn fits to the images of which it is known."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tlmed.errors import InputError
from tlmed.heads.hybrid import GRIDS, Search, fit_classifier, make_folds, predict_probabilities
from tlmed.heads.label_classifiers import find_labels_faults, fit_label_classifiers, predict_labels
from tlmed.heads.pipelines import SETTINGS
from tlmed.heads.skops_files import load_classifier, load_classifiers, save_classifier
from tlmed.sections import Hybrid

RANDOM = np.random.RandomState(0)
LABELS = np.where(RANDOM.rand(90, 3) < 0.15, -1, RANDOM.rand(90, 3) < (0.5, 0.3, 0.7))
FEATURES = np.hstack([LABELS, np.zeros((90, 3))]) + RANDOM.normal(size=(90, 6))
OTHERS = RANDOM.normal(size=(20, 6))
GROUPS = [f"patient {i // 2}" for i in range(90)]
NAMES = ("edema", "mass", "effusion")


def search(name="SVC", grid=None, **settings):
    return Search(Hybrid(name, grid or {}, folds=3), **settings)


@pytest.mark.parametrize("class_weight", [pytest.param("none", marks=pytest.mark.slow), "balanced"])
def test_each_label_is_what_scikit_learn_fits_to_the_images_of_which_it_is_known(class_weight):
    grid = {"C": (0.1, 1.0, 10.0)}
    fitted = fit_label_classifiers(FEATURES, LABELS, GROUPS, search(grid=grid, class_weight=class_weight))
    found = predict_labels([one.classifier for one in fitted], OTHERS)
    for number, own in enumerate(LABELS.T):
        rows = np.flatnonzero(own >= 0)
        features, truth = FEATURES[rows], own[rows]
        folds = make_folds(truth, [GROUPS[row] for row in rows], 3, seed=0)
        assert not {GROUPS[rows[i]] for i in folds[0][0]} & {GROUPS[rows[i]] for i in folds[0][1]}

        def make(c):
            weight = None if class_weight == "none" else "balanced"
            return make_pipeline(StandardScaler(), SVC(C=c, class_weight=weight))

        def score(c, features=features, truth=truth, folds=folds, make=make):
            models = ((make(c).fit(features[fit], truth[fit]), held) for fit, held in folds)
            return np.mean([roc_auc_score(truth[held], one.decision_function(features[held])) for one, held in models])

        best = max(grid["C"], key=score)
        assert fitted[number].parameters == {"C": best}
        assert fitted[number].score == pytest.approx(score(best), abs=1e-10)
        alone = CalibratedClassifierCV(make(best), cv=folds, ensemble=False).fit(features, truth)
        np.testing.assert_allclose(found[:, number], alone.predict_proba(OTHERS)[:, 1], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "GaussianNB")) for n in sorted(GRIDS)]
)
def test_every_classifier_is_that_of_each_label_alone_and_is_saved_and_loaded(name, tmp_path, monkeypatch):
    for slow in ("ExtraTreesClassifier", "RandomForestClassifier"):
        monkeypatch.setitem(SETTINGS, slow, {"n_estimators": 10})
    asked = search(name, {key: values[:1] for key, values in GRIDS[name].items()})
    fitted = [one.classifier for one in fit_label_classifiers(FEATURES, LABELS, GROUPS, asked)]
    found = predict_labels(fitted, OTHERS)
    assert found.shape == (20, 3)
    own = LABELS[:, 1]
    rows = np.flatnonzero(own >= 0)
    alone = fit_classifier(FEATURES[rows], own[rows], [GROUPS[row] for row in rows], asked).classifier
    np.testing.assert_array_equal(found[:, 1], predict_probabilities(alone, OTHERS, 2)[:, 1])
    save_classifier(fitted, tmp_path / "classifier.skops")
    np.testing.assert_array_equal(predict_labels(load_classifiers(tmp_path / "classifier.skops", 3), OTHERS), found)


def test_a_file_with_another_number_of_classifiers_is_refused(tmp_path):
    fitted = fit_label_classifiers(FEATURES, LABELS, GROUPS, search("GaussianNB", {"var_smoothing": (1e-9,)}))
    path = tmp_path / "classifier.skops"
    save_classifier([one.classifier for one in fitted], path)
    with pytest.raises(InputError, match="no classifier for each of 2 labels"):
        load_classifiers(path, 2)
    with pytest.raises(InputError, match="which holds a list"):
        load_classifier(path)
    save_classifier(fitted[0].classifier, path)
    with pytest.raises(InputError, match="no classifier for each of 3 labels"):
        load_classifiers(path, 3)
    save_classifier([fitted[0].classifier, fitted[0].classifier.estimator, fitted[1].classifier], path)
    with pytest.raises(InputError, match="which holds a Pipeline"):
        load_classifiers(path, 3)


def test_a_label_that_cannot_be_learned_is_named():
    labels = LABELS.copy()
    labels[:, 1] = np.minimum(labels[:, 1], 0)
    labels[3:, 2] = np.minimum(labels[3:, 2], 0)
    labels[:3, 2] = 1, 1, 0
    faults = find_labels_faults(search(), labels, None, NAMES)
    assert len(faults) == 2
    assert faults[0].endswith("Received: class 'mass' with 0 images.")
    assert faults[1].startswith("`folds` must be at most 2: class 'effusion' has 2 training images.")
    assert find_labels_faults(search("SVCC"), labels[:, :1], None, NAMES[:1])[0].startswith("`classifier` must be")
    assert find_labels_faults(search(), LABELS, GROUPS, NAMES) == []
