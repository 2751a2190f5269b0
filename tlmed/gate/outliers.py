"""Images that are far from all others in feature space."""

import numpy as np

from tlmed.findings import OUTLIER, WARNING, Finding
from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence
from tlmed.gate.neighbours import find_neighbours
from tlmed.logistic import project
from tlmed.words import count, listed

LEAST = 20  # images: with fewer, nothing tells how far apart they usually are
NEIGHBOURS = 5  # the distance is the mean over these, so that a twin of an odd image is odd too
COMPONENTS = 64  # principal components; the others are mostly noise, which makes all distances alike
# Robust standard deviations of the logarithm of the distance above its median. See `find_far`.
CUT = 6.0
NAMED = 4  # files in the sentence
_CURE = "Look at these images: they may be of another kind, or damaged. Leave them out if they do not belong."


def check_outliers(evidence: Evidence) -> Checked:
    """Look for images that are far from all others in feature space.

    Args:
        evidence: With features.

    Returns:
        One finding, if there are any, with all such images, the farthest first. Figures: `cut`, `median` and
        `outliers`, with `path`, `distance` and `deviations` for each.
    """
    if evidence.features is None:
        said = f"Images far from all others were not looked for: {evidence.why_lacking}."
        return Checked("outliers", unchecked=(said,))
    if len(evidence) < LEAST:
        few = f"that takes {LEAST} images, and there {'is' if len(evidence) == 1 else 'are'} {len(evidence)}"
        return Checked("outliers", unchecked=(f"Images far from all others were not looked for: {few}.",))
    distances, deviations = find_far(project(evidence.features, COMPONENTS))
    far = np.flatnonzero(deviations > CUT)
    far = far[np.argsort(-deviations[far], kind="stable")]
    paths = [evidence.table.paths[row] for row in far]
    found = [
        {"path": path, "distance": float(distances[row]), "deviations": float(deviations[row])}
        for path, row in zip(paths, far, strict=True)
    ]
    figures = {"cut": CUT, "median": float(np.median(distances)), "outliers": found}
    if not paths:
        return Checked("outliers", figures=figures)
    are = "is" if len(paths) == 1 else "are"
    times = distances[far[0]] / max(np.median(distances), 1e-12)
    text = (
        f"{count(len(paths), 'image')} {are} far from all others in the features of the network, up to {times:.1f} "
        f"times as far as usual: {listed(map(repr, paths), NAMED)}."
    )
    return Checked("outliers", (Finding(OUTLIER, text, tuple(paths), WARNING, _CURE),), figures)


def find_far(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each image is from its nearest neighbours, and how unusual that is; float64 [n] each.

    The distance is the mean to the nearest `NEIGHBOURS`. Distances are skewed, their logarithms much less: how unusual
    one is, is how many robust standard deviations its logarithm lies above the median. The robust one is taken from the
    upper half, (the 75th percentile less the median) / 0.674, because near-copies stretch the lower one. Where the
    distances are normal, 1 of a billion images is beyond `CUT`.

    Args:
        features: float [n, d], rows of `project`.
    """
    many = min(NEIGHBOURS, len(features) - 1)
    distances = find_neighbours(features, many)[0].mean(1, dtype=np.float64)
    # Copies have no distance; what is far is measured on the others.
    apart = distances > 1e-6 * max(distances.max(), 1e-300)
    if apart.sum() < 2:
        return distances, np.zeros(len(distances))
    logs = np.log(np.where(apart, distances, distances[apart].min()))
    middle, upper = np.percentile(logs[apart], [50, 75])
    return distances, (logs - middle) / max((upper - middle) / 0.6745, 0.02)
