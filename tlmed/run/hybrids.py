"""Plan and train a scikit-learn classifier on a frozen backbone's features."""

import time

import numpy as np

from tlmed.data import ImageSet, join_units
from tlmed.errors import RunFailed
from tlmed.heads import classifiers, hybrid
from tlmed.heads.hybrid import Search, fit_classifier, predict_probabilities
from tlmed.heads.pipelines import GRIDS
from tlmed.heads.skops_files import save_classifier
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


def train_classifier(job: Job, prepared: Prepared) -> Outcome:
    """Extract the features of every image once, choose and fit a classifier on the training ones, and save both."""
    recipe, run, clock, voice = job.recipe, job.run, job.clock, job.voice
    images, head, start = prepared.images, recipe.head, time.perf_counter()
    run.mark("Extracting features.")
    with clock.stage("re-estimate statistics"):
        wake(recipe, prepared.backbone, images)
    with clock.stage("extract features"):
        features = features_of(job, prepared.network, images, "hybrid")
    if bad := int((~np.isfinite(features).all(axis=1)).sum()):
        raise RunFailed(
            f"Features must be finite numbers. Received: NaN or infinity for {bad:,} of {len(features):,} images."
        )
    run.mark("Fitting the classifier.")
    train = images.indices("train")
    with clock.stage("fit classifier"), voice.busy(f"Searching parameters of {head.classifier}"):
        units = find_units(images, train)
        fitted = fit_classifier(features[train], images.table.labels[train], units, _search(recipe))
    clock.trained = time.perf_counter()
    turned = [images.table.classes[label] for label in fitted.turned]
    for note in (*fitted.notes, *_describe_turned(turned, len(train))):
        voice.warn(note)
    rows = np.concatenate([images.indices("val"), images.indices("test")])
    # With rounded features: what is written down is what `model.keras` gives, which rounds nothing.
    seen = predict_rows(recipe, prepared.network, images, rows) if is_rounded(recipe) else features[rows]
    scores = predict_probabilities(fitted.classifier, seen, len(images.table.classes))
    seconds = time.perf_counter() - start
    with atomic(run / "model.keras") as part:
        prepared.network.save(part)
    with atomic(run / "classifier.skops") as part:
        save_classifier(fitted.classifier, part)
    SEARCH_CSV.write(run, fitted.rows)
    chosen = ", ".join(f"{name}={value}" for name, value in fitted.parameters.items()) or "its defaults"
    voice.say(f"Chosen: {head.classifier} with {chosen}; {fitted.scoring} {fitted.score:.4f} in {head.folds} folds")
    notes = {
        "name": head.classifier,
        "parameters": fitted.parameters,
        "cv_score": fitted.score,
        "scoring": fitted.scoring,
        "folds": head.folds,
        "features": features.shape[1],
        **({"turned": turned} if turned else {}),
    }
    return Outcome(scores, {"classifier": notes}, len(images.splits), seconds)


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
    return hybrid.find_hybrid_faults(_search(recipe), labels, units, images.table.classes)


def _search(recipe) -> Search:
    return Search(recipe.head, recipe.monitor, recipe.class_weight, recipe.seed)


def find_units(images: ImageSet, rows: np.ndarray) -> tuple[str, ...]:
    """Return a unit for each of some images: images of one unit (same group, or same bytes) stay in one fold."""
    table = images.table
    groups = [table.groups[row] for row in rows] if table.groups else None
    return tuple(map(str, join_units(groups, [images.sha256[row] for row in rows])))
