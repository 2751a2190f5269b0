"""`novelty.json`: what a run keeps to tell images unlike its training images, and how often it gives false alarms."""

from typing import Required, TypedDict

from tlmed.run_files.json_files import JsonFile


class Alarms(TypedDict):
    """How many of some images, or files, are called unusual."""

    n: int
    unusual: int
    value: float  # their share, 0..1
    low: float | None
    high: float | None
    method: str


class Novelty(TypedDict, total=False):
    """What is kept in `novelty.sealed`; where nothing is, only `reason`."""

    kept: Required[bool]
    reason: str  # why nothing is kept
    measure: str  # of `tlmed.novelty.MEASURES`
    images: int  # training images that were measured
    known: int  # of these, those whose features are kept; only where the measure keeps features
    unit: str  # what has one p-value: "image", or "file" where its samples are pooled; older versions did not say
    held_out: int  # validation images that p-values are by
    units: int  # to how many patients or files they belong: images, where nothing is known of groups
    least: float  # the smallest p-value that an image can get
    alarm: float  # images with a lower p-value are called unusual
    validation: Alarms  # each half judged by the other one; only where both are large enough
    validation_reason: str  # why it is not there; older versions did not say
    test: Alarms


NOVELTY_JSON = JsonFile("novelty.json", Novelty)
