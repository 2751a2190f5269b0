"""Sigmoids that turn decision values into probabilities must not reverse their order.

A class's sigmoid 1 / (1 + exp(A f + B)) rises with the decision value f if A is below 0 (Platt 1999; Niculescu-Mizil
& Caruana, ICML 2005). scikit-learn's fit does not ensure that. A classifier can rank a few held-out images in the wrong
order by chance. A is then above 0, and the final classifier would be reversed: with ten breast ultrasound images of
each of two classes in 11 of 40 draws, where in one 0.72 became 0.28 (scikit-learn issue 31222).
"""

import math

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

MILDEST = 0.01  # log-odds between the mean decision value and the one that is farthest from it


def keep_order(classifier: CalibratedClassifierCV, features: np.ndarray, labels: np.ndarray) -> list[int]:
    """Replace each sigmoid that does not rise by a nearly constant one that does, near the frequency of its class.

    Of all sigmoids that do not fall, that constant is the likeliest. The slight slope only keeps the order.

    Args:
        classifier: Fitted with sigmoids and `ensemble=False`; it is changed.
        features: Of the training images [n, d].
        labels: Their classes [n].

    Returns:
        The classes whose sigmoids did not rise; of two classes the second stands for both.
    """
    fitted = classifier.calibrated_classifiers_[0]
    classes, turned = fitted.estimator.classes_[-len(fitted.calibrators) :], []
    for label, sigmoid, values in zip(classes, fitted.calibrators, _decide(fitted.estimator, features), strict=True):
        if sigmoid.a_ < 0:
            continue
        middle, own = values.mean(), int((labels == label).sum())
        spread = np.abs(values - middle).max()
        sigmoid.a_ = -MILDEST / spread if spread > 0 else 0.0
        # Platt's targets for the prior: (negatives + 1) / (positives + 1).
        sigmoid.b_ = math.log((len(labels) - own + 1) / (own + 1)) - sigmoid.a_ * middle
        turned.append(int(label))
    return turned


def _decide(estimator, features) -> np.ndarray:
    """Return the decision values, one row per sigmoid; two classes have one sigmoid, that of the second."""
    decide = getattr(estimator, "decision_function", None) or estimator.predict_proba
    values = decide(features).reshape(len(features), -1)
    return values[:, -1:].T if len(estimator.classes_) == 2 else values.T
