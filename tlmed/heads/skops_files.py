"""Save a fitted scikit-learn classifier with skops, and load one without running code from the file.

A skops file names the types that it holds. skops itself trusts scikit-learn's public estimators and NumPy's arrays, and
reports all others before it builds anything. Of those, the types in `ALLOWED` are built too, and the rest are refused
by name. Not only types can be harmful: a tree is arrays of indices, which scikit-learn follows without checking, so an
index out of range crashes Python and a cycle never ends. Trees are therefore checked.
"""

import json
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import Pipeline
from sklearn.tree._tree import TREE_LEAF, Tree
from skops.io.exceptions import UnsupportedTypeException, UntrustedTypesFoundException

from tlmed.errors import InputError
from tlmed.regular_files import open_regular

# Exact names, sorted: types in scikit-learn's classifiers that some version of skops does not trust by itself.
ALLOWED = (
    # How decision values become probabilities: two numbers per class.
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    # Trees of HistGradientBoosting (checked below).
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    # Gaussian processes with their default kernel: numbers and arrays.
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    # The state in which training left a multi-layer perceptron: numbers and arrays.
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    # Decision trees, and all ensembles of them (checked below).
    "sklearn.tree._tree.Tree",
    # A dictionary, in which a vote of one keeps its classifier by name.
    "sklearn.utils._bunch.Bunch",
)

# Raised for a file that is damaged or no skops file. skops follows its JSON without checking it, so a missing key, a
# wrong type or an unknown name raises whatever Python raises at that place.
_READ_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, json.JSONDecodeError, UnicodeDecodeError),
    *(KeyError, IndexError, ValueError, TypeError, AttributeError, ImportError, NotImplementedError, RecursionError),
    *(UnsupportedTypeException, UntrustedTypesFoundException, OverflowError, MemoryError),
)


def save_classifier(classifier: CalibratedClassifierCV | Sequence[CalibratedClassifierCV], path: str | Path) -> None:
    """Write a fitted classifier, or one for each label, to a skops file.

    Args:
        classifier: What `fit_classifier` found; of several labels a list, in their order. Its pipeline is saved as it
            is: a `KNeighborsClassifier` is its training features, and an `SVC` holds those of its support vectors. No
            images, paths or groups are in it.
        path: The file; an existing one is replaced.

    Raises:
        InputError: If `load_classifier` would refuse it.
    """
    Path(path).write_bytes(to_bytes(classifier))


def to_bytes(classifier: CalibratedClassifierCV | Sequence[CalibratedClassifierCV]) -> bytes:
    """Return the content of a skops file.

    Raises:
        InputError: If skops cannot save the classifier, or `load_classifier` would refuse it.
    """
    try:
        content = skops.io.dumps(classifier, compression=zipfile.ZIP_DEFLATED)
    except UnsupportedTypeException as error:
        raise InputError(f"The classifier must be of types that skops can save. Received: {error}") from error
    if foreign := _foreign_types(skops.io.get_untrusted_types(data=content)):
        raise InputError(f"The classifier must be made of types that are safe to load. Received: {', '.join(foreign)}.")
    return content


def load_classifier(path: str | Path) -> CalibratedClassifierCV:
    """Read a classifier that `save_classifier` wrote.

    Args:
        path: A `classifier.skops`.

    Returns:
        The fitted classifier.

    Raises:
        InputError: If the file is missing, damaged or no skops file, holds a type that is neither trusted by skops nor
            in `ALLOWED` (nothing of such a file is built), or holds something else than a classifier.
    """
    return _load(Path(path), _find_fault)


def load_classifiers(path: str | Path, labels: int) -> list[CalibratedClassifierCV]:
    """Read the classifiers of several labels, one for each, that `save_classifier` wrote.

    Args:
        path: A `classifier.skops`.
        labels: How many there must be.

    Raises:
        InputError: As `load_classifier`, or if it does not hold so many.
    """

    def find_fault(content) -> str | None:
        if type(content) is not list or len(content) != labels:
            return f"which holds no classifier for each of {labels} labels"
        return next(filter(None, map(_find_fault, content)), None)

    return _load(Path(path), find_fault)


def _load(path: Path, find_fault: Callable):
    """Return what a skops file holds, unless `find_fault` says what is wrong with it."""
    try:
        open_regular(path).close()  # refuses a pipe, which would be waited for
        foreign = _foreign_types(skops.io.get_untrusted_types(file=path))
        if foreign:
            raise InputError(
                f"`{path.name}` must hold nothing but scikit-learn's classifiers and NumPy's arrays; other types could "
                f"run code and are not loaded. Received: {path}, which holds {', '.join(foreign)}."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecations were noted when it was fitted
            content = skops.io.load(path, trusted=list(ALLOWED))
        fault = find_fault(content)
    except InputError:
        raise
    except _READ_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"`{path.name}` must be a whole skops file. Received: {path}: {reason}") from error
    if fault:
        raise InputError(f"`{path.name}` must hold a classifier that tlmed has fitted. Received: {path}, {fault}.")
    return content


def _foreign_types(names: list[str]) -> list[str]:
    return sorted(set(names) - set(ALLOWED))


def _find_fault(classifier) -> str | None:
    """Say why this is no fitted classifier of tlmed; None if it is one."""
    if type(classifier) is not CalibratedClassifierCV:  # a subclass could hold other code
        return f"which holds a {type(classifier).__name__}"
    fitted = getattr(classifier, "calibrated_classifiers_", None) or []
    pipelines = [getattr(part, "estimator", None) for part in fitted]
    if not pipelines or not all(type(pipeline) is Pipeline for pipeline in pipelines):
        return "whose classifier is not fitted, or no pipeline"
    if not all(_is_sound(*found) for pipeline in pipelines for found in _trees(pipeline[-1])):
        return "in which a tree points outside itself"
    return None


def _trees(part, width: int | None = None, seen: set | None = None) -> Iterator[tuple[object, int | None]]:
    """Yield every tree in an estimator, with the least number of features that the estimators around it take."""
    seen = set() if seen is None else seen
    # Objects may refer to one another in a circle.
    if (id(part), width) in seen:
        return
    seen.add((id(part), width))
    if isinstance(part, (Tree, TreePredictor)):
        yield part, width
    for inner in _parts_of(part):
        own = getattr(part, "n_features_in_", None)
        widths = [number for number in (width, own) if isinstance(number, int)]
        yield from _trees(inner, min(widths, default=None), seen)


def _parts_of(part) -> list:
    """Return what an object of a skops file is made of, one level down."""
    if isinstance(part, np.ndarray):
        return part.ravel().tolist() if part.dtype == object else []
    if isinstance(part, dict):
        return list(part.values())
    if isinstance(part, (list, tuple, set)):
        return list(part)
    return [] if isinstance(part, type) else list(getattr(part, "__dict__", {}).values())


def _is_sound(tree: Tree | TreePredictor, width: int | None) -> bool:
    """Tell whether a tree's splits read existing features and lead on to later nodes, to a leaf in the end."""
    if isinstance(tree, Tree):
        if not 0 < tree.node_count <= tree.capacity:
            return False
        left, right, feature = tree.children_left, tree.children_right, tree.feature
        inner = left != TREE_LEAF
    else:
        nodes = tree.nodes
        if nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes) or nodes["is_categorical"].any():
            return False
        left, right, feature = (nodes[name].astype("int64") for name in ("left", "right", "feature_idx"))
        inner = nodes["is_leaf"] == 0
    own = np.arange(len(left))
    # Children come after their parent, so a walk down the tree cannot go round in a circle.
    onward = (np.minimum(left, right) > own) & (np.maximum(left, right) < len(left))
    return width is not None and bool((onward & (feature >= 0) & (feature < width))[inner].all())
