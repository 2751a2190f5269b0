"""How calibrated probabilities become classes, where it is not by the highest score: costs, and logit adjustment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tlmed.metrics.decision_rules import (
    adjust_logs,
    expect_costs,
    find_adjusted_cutoff,
    find_cutoff,
    name_costs,
    predict_adjusted,
    predict_cheapest,
    weigh_costs,
)


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class ExpectedCost:
    """Predict the class of least expected cost.

    Attributes:
        costs: What an answer costs, float [true class, predicted class].
        priors: The share of each class among the training images, which its probabilities follow, float [k]; None where
            classes are taken to be as frequent in use.
        stated: The share of each class where the answers are used, float [k]; None likewise.
    """

    name: ClassVar[str] = "expected-cost"
    costs: np.ndarray
    priors: np.ndarray | None = None
    stated: np.ndarray | None = None

    @property
    def weighed(self) -> np.ndarray:
        """Return the costs that decide by probabilities for the mix of the training images."""
        return self.costs if self.stated is None else weigh_costs(self.costs, self.priors, self.stated)

    def choose(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the class of each image by its calibrated probabilities [n, k], int [n]."""
        return predict_cheapest(probabilities, self.weighed)

    def rate(self, probabilities: np.ndarray) -> np.ndarray:
        """Return what decides between more classes than two, float [n, k]: the largest is predicted.

        It is the expected cost, taken negative.
        """
        return -expect_costs(probabilities, self.weighed)

    def find_cutoff(self, main: int) -> float:
        """Return the calibrated probability from which on the positive one of two classes is predicted."""
        return find_cutoff(self.weighed, main)

    def describe(self, classes: Sequence[str]) -> dict:
        """Return the rule as `metrics.json` holds it."""
        shares = {"priors": self.priors, "stated": self.stated} if self.stated is not None else {}
        named = {name: dict(zip(classes, found.tolist(), strict=True)) for name, found in shares.items()}
        return {"rule": self.name, "costs": name_costs(self.costs, classes), **named}


@dataclass(frozen=True, eq=False)
class LogitAdjustment:
    """Predict the class with the largest log p - tau log prior.

    Attributes:
        priors: The share of each class among the training images, float [k].
        tau: How far frequent classes are held back.
    """

    name: ClassVar[str] = "logit-adjustment"
    stated: ClassVar[None] = None  # it asks for equal sensitivities, whatever the shares are in use
    priors: np.ndarray
    tau: float

    def choose(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the class of each image by its calibrated probabilities [n, k], int [n]."""
        return predict_adjusted(probabilities, self.priors, self.tau)

    def rate(self, probabilities: np.ndarray) -> np.ndarray:
        """Return what decides between more classes than two, float [n, k]: the largest is predicted.

        It is log p - tau log prior.
        """
        return adjust_logs(probabilities, self.priors, self.tau)

    def find_cutoff(self, main: int) -> float:
        """Return the calibrated probability from which on the positive one of two classes is predicted."""
        return find_adjusted_cutoff(self.priors, self.tau, main)

    def describe(self, classes: Sequence[str]) -> dict:
        """Return the rule as `metrics.json` holds it."""
        priors = dict(zip(classes, self.priors.tolist(), strict=True))
        return {"rule": self.name, "tau": self.tau, "priors": priors}


AnswerRule = ExpectedCost | LogitAdjustment


def read_rule(content: Mapping, classes: Sequence[str]) -> AnswerRule:
    """Return the rule that `decision` of `metrics.json` describes.

    Raises:
        KeyError, TypeError, ValueError: If it is not as `describe` returns it.

    >>> rule = LogitAdjustment(np.array([0.75, 0.25]), 1.0)
    >>> read_rule(rule.describe(["a", "b"]), ["a", "b"]).find_cutoff(1)
    0.25
    """
    if content["rule"] == LogitAdjustment.name:
        return LogitAdjustment(_read_shares(content["priors"], classes), float(content["tau"]))
    if content["rule"] != ExpectedCost.name:
        raise ValueError(content["rule"])
    shares = [_read_shares(content[name], classes) for name in ("priors", "stated") if name in content]
    return ExpectedCost(read_costs(content["costs"], classes), *shares)


def _read_shares(named, classes) -> np.ndarray:
    return np.array([named[name] for name in classes], dtype=float)


def read_costs(named: Mapping[str, Mapping[str, float]], classes: Sequence[str]) -> np.ndarray:
    """Return what an answer costs, float [true class, predicted class], from `costs` of `metrics.json`.

    >>> read_costs({"a": {"b": 2.0}, "b": {"a": 1.0}}, ["a", "b"]).tolist()
    [[0.0, 2.0], [1.0, 0.0]]
    """
    rows = [[0 if guess == true else named[true][guess] for guess in classes] for true in classes]
    return np.array(rows, dtype=float)


def say_rule(decision: Mapping) -> str:
    """Say which class is predicted, from `decision` of `metrics.json`.

    >>> say_rule({"rule": "expected-cost"})
    'the class of least expected cost, by calibrated probabilities'
    >>> say_rule({"rule": "logit-adjustment", "tau": 1.0})
    'the class with the largest log p - 1 log prior, by calibrated probabilities p and the shares of training images'
    """
    if decision["rule"] == ExpectedCost.name:
        moved = ", for the stated prevalence" if "stated" in decision else ""
        return f"the class of least expected cost, by calibrated probabilities{moved}"
    formula = f"log p - {decision['tau']:g} log prior"
    return f"the class with the largest {formula}, by calibrated probabilities p and the shares of training images"
