"""What checks may look at."""

from dataclasses import replace

import numpy as np
import pytest

from tests.gate.made_evidence import make_evidence
from tlmed.gate.battery import CHEAP, DESCRIBING, WITH_FEATURES, conduct
from tlmed.gate.evidence import leave_out_closed
from tlmed.gate.frame_measures import measure_frames


def make_shown(flipped, closed):
    """Return evidence in which brightness and features tell the class; labels of test images may be flipped."""
    random, labels = np.random.RandomState(0), np.arange(64) % 2
    splits = np.array(["train", "train", "train", "test"]).repeat(2)[np.arange(64) % 8]
    pixels = (random.randint(0, 120, (64, 16, 16, 3)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    features = (random.normal(size=(64, 8)) + 2 * labels[:, None]).astype(np.float32)
    shown = np.where((splits == "test") & flipped, 1 - labels, labels)
    paths = [f"{row}.png" for row in range(64)]
    evidence = make_evidence(paths, shown, splits=splits, frames=measure_frames(pixels))
    return replace(evidence, features=features, closed=closed)


@pytest.mark.parametrize("closed", [True, False])
def test_labels_of_test_images_that_stay_closed_are_not_measured(closed):
    """An advice looks for shortcuts and wrong labels before it decides, and its test images must take no part."""

    def measure(flipped):
        parts = conduct(make_shown(flipped, closed), (*CHEAP, *WITH_FEATURES, *DESCRIBING))
        found = {part.name: part.figures for part in parts}
        near = found["fingerprint"]["nearest_neighbour_auc"]
        return {"shortcuts": found["shortcuts"], "labels": found["labels"], "near": near}

    as_they_are, flipped = measure(False), measure(True)
    assert [as_they_are[name] == flipped[name] for name in flipped] == [closed] * 3
    assert as_they_are["shortcuts"]["images"] == (48 if closed else 64)


def test_copies_among_closed_test_images_are_still_known():
    evidence = make_shown(False, True)
    assert len(leave_out_closed(evidence)) == 48
    assert leave_out_closed(replace(evidence, closed=False)) is not None
    digests = (*evidence.digests[:7], evidence.digests[1], *evidence.digests[8:])
    (copies,) = conduct(replace(evidence, digests=digests), CHEAP[:1])
    assert copies.figures["sets_in_several_splits"] == 1
