"""The sections that a recipe is made of: frozen dataclasses, each field with its rule, without Keras or NumPy.

Everything that takes a phase, a split or a head as its argument imports it from here; `tlmed.recipe`, which puts the
sections together, stands above the networks that they describe.
"""

from tlmed.sections.augment import Augment
from tlmed.sections.data import Images, KFold
from tlmed.sections.head import Dense, Hybrid, Plain
from tlmed.sections.rules import find_faults
from tlmed.sections.stated import KAPPA_WEIGHTS, Stated
from tlmed.sections.training import MONITORS, THRESHOLD_RULE, UNITS, Degrees, Phase

__all__ = [
    "KAPPA_WEIGHTS",
    "MONITORS",
    "THRESHOLD_RULE",
    "UNITS",
    "Augment",
    "Degrees",
    "Dense",
    "Hybrid",
    "Images",
    "KFold",
    "Phase",
    "Plain",
    "Stated",
    "find_faults",
]
