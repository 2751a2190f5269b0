"""Plan and train a scikit-learn classifier on a frozen backbone's features."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

from tlmed.data import ImageSet, join_units
from tlmed.errors import RunFailed
from tlmed.heads import classifiers, hybrid
from tlmed.heads.hybrid import FittedClassifier, Search, fit_classifier, predict_probabilities
from tlmed.heads.label_classifiers import find_labels_faults, fit_label_classifiers, predict_labels
from tlmed.heads.pipelines import GRIDS
from tlmed.heads.skops_files import save_classifier
from tlmed.label_texts import UNKNOWN
from tlmed.plan import describe_classifier
from tlmed.recipe import Recipe
from tlmed.run.job import Job
from tlmed.run.networks import predict_rows, wake
from tlmed.run.outcome import Outcome
from tlmed.run.prefixes import features_of, is_rounded
from tlmed.run.prepared import Prepared
from tlmed.run_files import SEARCH_CSV
from tlmed.sections import Hybrid
from tlmed.whole_files import atomic
from tlmed.words import count, join_names


@dataclass(frozen=True)
class _Fit:
    """A classifier, or one for each of several labels, as the rest of a run takes it.

    Attributes:
        classifier: What is saved.
        predict: Features [n, d] to probabilities [n, classes].
        rows: Of `search.csv`.
        notes: How it was chosen, for `metrics.json`.
        doubts: What the user should know of it, a sentence each.
        said: What was chosen, a sentence for each classifier.
    """

    classifier: CalibratedClassifierCV | list[CalibratedClassifierCV]
    predict: Callable[[np.ndarray], np.ndarray]
    rows: Sequence[dict]
    notes: dict
    doubts: Sequence[str]
    said: Sequence[str]


def train_classifier(job: Job, prepared: Prepared) -> Outcome:
    """Extract the features of every image once, choose and fit a classifier on the training ones, and save both."""
    recipe, run, clock, voice = job.recipe, job.run, job.clock, job.voice
    images, start = prepared.images, time.perf_counter()
    features = _extract(job, prepared)
    run.mark("Fitting the classifier.")
    with clock.stage("fit classifier"), voice.busy(f"Searching parameters of {recipe.head.classifier}"):
        fit = (_fit_labels if images.table.is_multi else _fit_classes)(recipe, images, features)
    clock.trained = time.perf_counter()
    for doubt in fit.doubts:
        voice.warn(doubt)
    rows = np.concatenate([images.indices("val"), images.indices("test")])
    # With rounded features: what is written down is what `model.keras` gives, which rounds nothing.
    seen = predict_rows(recipe, prepared.network, images, rows) if is_rounded(recipe) else features[rows]
    scores = fit.predict(seen)
    seconds = time.perf_counter() - start
    with atomic(run / "model.keras") as part:
        prepared.network.save(part)
    with atomic(run / "classifier.skops") as part:
        save_classifier(fit.classifier, part)
    SEARCH_CSV.write(run, fit.rows)
    for sentence in fit.said:
        voice.say(sentence)
    return Outcome(scores, {"classifier": fit.notes}, len(images.used), seconds, features=lambda rows: features[rows])


def _extract(job, prepared) -> np.ndarray:
    """Return the features of every image, which must be finite."""
    job.run.mark("Extracting features.")
    with job.clock.stage("re-estimate statistics"):
        wake(job.recipe, prepared.backbone, prepared.images)
    with job.clock.stage("extract features"):
        features = features_of(job, prepared.network, prepared.images, "hybrid", prepared.early)
    if prepared.early is not None:
        prepared.early.give_up()  # if the store could not be used
    if bad := int((~np.isfinite(features).all(axis=1)).sum()):
        raise RunFailed(
            f"Features must be finite numbers. Received: NaN or infinity for {bad:,} of {len(features):,} images."
        )
    return features


def _fit_classes(recipe, images, features) -> _Fit:
    """Fit one classifier, of all classes."""
    train, classes = images.indices("train"), images.table.classes
    fitted = fit_classifier(features[train], images.table.labels[train], find_units(images, train), _search(recipe))
    turned = [classes[label] for label in fitted.turned]
    notes = {
        "name": recipe.head.classifier,
        "parameters": fitted.parameters,
        "cv_score": fitted.score,
        "scoring": fitted.scoring,
        "folds": recipe.head.folds,
        "features": features.shape[1],
        **({"turned": turned} if turned else {}),
    }
    return _Fit(
        fitted.classifier,
        lambda seen: predict_probabilities(fitted.classifier, seen, len(classes)),
        fitted.rows,
        notes,
        [*fitted.notes, *_describe_turned(turned, len(train))],
        [f"Chosen: {_say_choice(recipe.head, fitted)}"],
    )


def _fit_labels(recipe, images, features) -> _Fit:
    """Fit a classifier for each label."""
    train, names = images.indices("train"), images.table.classes
    labels = images.table.labels[train]
    fitted = fit_label_classifiers(features[train], labels, find_units(images, train), _search(recipe))
    classifiers, amounts = [one.classifier for one in fitted], (labels != UNKNOWN).sum(axis=0).tolist()
    parts = dict(zip(names, zip(fitted, amounts, strict=True), strict=True))
    turned = [name for name, (one, _) in parts.items() if one.turned]
    notes = {
        "name": recipe.head.classifier,
        "cv_score": float(np.mean([one.score for one in fitted])),
        "scoring": fitted[0].scoring,
        "folds": recipe.head.folds,
        "features": features.shape[1],
        "labels": {
            name: {"parameters": one.parameters, "cv_score": one.score, "images": amount}
            for name, (one, amount) in parts.items()
        },
        **({"turned": turned} if turned else {}),
    }
    return _Fit(
        classifiers,
        lambda seen: predict_labels(classifiers, seen),
        [{"label": name, **row} for name, (one, _) in parts.items() for row in one.rows],
        notes,
        [f"Label {name!r}: {note}" for name, (one, _) in parts.items() for note in one.notes]
        + [said for name in turned for said in _describe_turned([name], parts[name][1])],
        [f"Chosen for {name}: {_say_choice(recipe.head, one)}" for name, (one, _) in parts.items()],
    )


def _say_choice(head, fitted: FittedClassifier) -> str:
    chosen = ", ".join(f"{name}={value}" for name, value in fitted.parameters.items()) or "its defaults"
    return f"{head.classifier} with {chosen}; {fitted.scoring} {fitted.score:.4f} in {head.folds} folds"


def _describe_turned(names, images) -> list[str]:
    """Name the classes whose images the folds did not rank above others; nothing where there are none."""
    if not names:
        return []
    return [
        f"In the folds, images of {join_names(names)} were not ranked above others: their probabilities keep the "
        f"classifier's order, but hardly differ from how often the class occurs ({count(images, 'training image')})."
    ]


def describe(head: Hybrid) -> dict:
    """Return the classifier's entry in `plan.json`; where the recipe's grid is empty, with the default grid."""
    return describe_classifier(head, head.grid or GRIDS.get(classifiers.find_classifier(head.classifier).__name__, {}))


def find_classifier_faults(recipe: Recipe) -> list[str]:
    """Return what is wrong with a recipe's classifier, whatever the images."""
    head = recipe.head
    return classifiers.find_classifier_faults(
        head.classifier, head.grid, head.scale, recipe.class_weight, recipe.monitor
    )


def find_hybrid_faults(recipe: Recipe, images: ImageSet) -> list[str]:
    """Return what keeps a recipe's classifier from being fitted to the training images."""
    train = images.indices("train")
    labels, units = images.table.labels[train], find_units(images, train)
    if images.table.is_multi:
        return find_labels_faults(_search(recipe), labels, units, images.table.classes)
    return hybrid.find_hybrid_faults(_search(recipe), labels, units, images.table.classes)


def _search(recipe) -> Search:
    return Search(recipe.head, recipe.monitor, recipe.class_weight, recipe.seed)


def find_units(images: ImageSet, rows: np.ndarray) -> tuple[str, ...]:
    """Return a unit for each of some images: images of one unit (same group, or same bytes) stay in one fold."""
    table = images.table
    groups = [table.groups[row] for row in rows] if table.groups else None
    return tuple(map(str, join_units(groups, [images.sha256[row] for row in rows])))
