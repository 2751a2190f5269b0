"""Novelty: how unlike the training images an image is, and how often an image like them is as unlike. Arrays in."""

from tlmed.novelty.conformal import Calibration, calibrate, join_judgements, pool_judgements
from tlmed.novelty.distances import MEASURES, Measure, fit_measure
from tlmed.novelty.known_images import ALARM, Novelty, learn_novelty
from tlmed.novelty.novelty_file import NOVELTY, find_novelty, load_novelty, write_novelty

__all__ = [
    "ALARM",
    "MEASURES",
    "NOVELTY",
    "Calibration",
    "Measure",
    "Novelty",
    "calibrate",
    "find_novelty",
    "fit_measure",
    "join_judgements",
    "learn_novelty",
    "load_novelty",
    "pool_judgements",
    "write_novelty",
]
