"""From the features of a network to class probabilities, and what may go wrong there. It needs no TensorFlow."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from tlmed.errors import InputError, RunFailed, TlmedError, recall_change, summarise
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count


@contextlib.contextmanager
def clear_faults(memory: tuple[type, ...] = (), others: tuple[type, ...] = ()) -> Iterator[None]:
    """Turn the errors of a network that scores images into one clear line.

    Args:
        memory: Errors of a library, besides those of Python, that mean a lack of memory.
        others: Its other errors.
    """
    try:
        yield
    except TlmedError:
        raise
    except (MemoryError, *memory) as error:
        raise RunFailed("Scoring must fit into memory. Received: a network or images that do not.") from error
    except (ValueError, TypeError, RuntimeError, *others) as error:
        # An image changed while it was read; TensorFlow wraps our error of that into one of its own.
        if changed := recall_change(error):
            raise RunFailed(changed) from error
        raise InputError(
            f"The network of RUN must be able to score the images. Received: {summarise(error)}."
        ) from error


def load_finish(run: RunDir) -> Callable[[np.ndarray], np.ndarray]:
    """Return the classifier of a hybrid: features [n, d] to class probabilities [n, classes].

    Raises:
        InputError: It cannot be read, or would run code.
    """
    # Imported only for hybrids: scikit-learn's classifiers and skops take seconds.
    from tlmed.heads.hybrid import predict_probabilities
    from tlmed.heads.label_classifiers import predict_labels
    from tlmed.heads.skops_files import load_classifier, load_classifiers

    path, result = run / "classifier.skops", METRICS_JSON.read(run)
    classes = result["classes"]
    if read_task(result) == MULTI_LABEL:
        parts = load_classifiers(path, len(classes))
        return refuse_infinite(run, lambda found: predict_labels(parts, found))
    classifier = load_classifier(path)
    return refuse_infinite(run, lambda found: predict_probabilities(classifier, found, len(classes)))


def refuse_infinite(run: RunDir, finish: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from features to scores that refuses non-finite ones, which some classifiers would accept."""

    def check(features: np.ndarray) -> np.ndarray:
        scores = finish(features) if np.isfinite(features).all() else np.full((len(features), 1), np.nan)
        if bad := int((~np.isfinite(scores).all(axis=1)).sum()):
            raise InputError(
                "The network of RUN must give finite features and scores. "
                f"Received: {run.path}, which does not for {bad:,} of {count(len(scores), 'image')}."
            )
        return scores

    return check
