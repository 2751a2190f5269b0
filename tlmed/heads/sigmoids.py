"""Sigmoids that turn decision values into probabilities must not turn their order round.

A class's sigmoid 1 / (1 + exp(A f + B)) rises with the decision value f where A is below 0 (Platt 1999; Niculescu-Mizil
& Caruana, ICML 2005). Nothing in scikit-learn's fit asks for that. What a classifier says of held-out images can rank
few images the wrong way round by chance; A is then above 0, and the classifier that is kept would be reversed: with ten
breast ultrasound images of each of two classes in 11 of 40 draws, 0.72 becoming 0.28 in one (scikit-learn issue 31222).
"""

import math

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

MILDEST = 0.01  # log-odds between the mean decision value and the one that is farthest from it


def keep_order(classifier: CalibratedClassifierCV, features: np.ndarray, labels: np.ndarray) -> list[int]:
    """Give each sigmoid that does not rise the mildest one that does, about how often its class occurs.

    The likeliest sigmoid that does not fall is that constant; its slope serves the order alone.

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
        sigmoid.b_ = math.log((len(labels) - own + 1) / (own + 1)) - sigmoid.a_ * middle
        turned.append(int(label))
    return turned


def _decide(estimator, features) -> np.ndarray:
    """Return what the sigmoids are given: a row per sigmoid, of two classes for the second alone."""
    decide = getattr(estimator, "decision_function", None) or estimator.predict_proba
    values = decide(features).reshape(len(features), -1)
    return values[:, -1:].T if len(estimator.classes_) == 2 else values.T
