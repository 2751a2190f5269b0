"""Keep what tells images unlike those of training, and measure how often it gives false alarms."""

import numpy as np

from tlmed.data import ImageSet, join_units
from tlmed.novelty import ALARM, Novelty, learn_novelty, write_novelty
from tlmed.novelty.distances import ROOM
from tlmed.novelty.known_images import LEAST, Seen, check_alarms, note_tested
from tlmed.run.job import Job
from tlmed.run.outcome import Outcome
from tlmed.run_files import NOVELTY_JSON
from tlmed.seeds import derive
from tlmed.words import count

MOST = 2048  # images of a split that are measured: with more, it would take a part of training that counts


def keep_novelty(job: Job, images: ImageSet, outcome: Outcome) -> None:
    """Write `novelty.sealed` and `novelty.json`; only the latter, with the reason, where nothing can be told.

    Validation images of a patient who has training images, and copies of these, are left out, and so are such test
    images: they are nearer to the training images than those of new patients.
    """
    run, seed = job.run, job.recipe.seed
    with job.clock.stage("unusual images"), job.voice.busy("Learning what images look like"):
        owners = _find_owners(images)
        rows = _choose_rows(images, owners, seed)
        if reason := _find_lack(rows, owners, images):
            NOVELTY_JSON.write(run, {"kept": False, "reason": reason})
            return
        parts = {"val": _see(images, outcome, owners, rows["val"])}
        # No more training images than can be kept: computing the features of others would be for nothing.
        most = max(1, ROOM // (4 * parts["val"].features.shape[1]))
        rows["train"] = _limit(rows["train"], derive(seed, "novelty", "train"), most)
        parts |= {name: _see(images, outcome, owners, rows[name]) for name in ("train", "test")}
        finite = all(np.isfinite(part.features).all() for part in parts.values())
        if not finite:
            NOVELTY_JSON.write(run, {"kept": False, "reason": "the network gives features that are not finite"})
            return
        novelty = note_tested(learn_novelty(parts["train"], parts["val"], seed), parts["test"])
        write_novelty(run, novelty)
        NOVELTY_JSON.write(run, describe_novelty(novelty) | check_alarms(novelty, seed))


def describe_novelty(novelty: Novelty) -> dict:
    """Return what `novelty.json` says of what is kept."""
    return {"kept": True, **novelty.about, "least": novelty.calibration.least, "alarm": ALARM}


def _choose_rows(images, owners, seed) -> dict[str, np.ndarray]:
    """Return the rows of each split that are measured."""
    train = images.indices("train")
    learned = np.unique(owners[train])
    val = images.indices("val")
    val = val[~np.isin(owners[val], learned)]
    test = images.indices("test")
    test = test[~np.isin(owners[test], np.union1d(learned, owners[val]))]
    chosen = {"train": train, "val": val, "test": test}
    return {name: _limit(rows, derive(seed, "novelty", name)) for name, rows in chosen.items()}


def _limit(rows, seed, most=MOST) -> np.ndarray:
    return np.sort(np.random.RandomState(seed).permutation(rows)[:most])


def _find_owners(images) -> np.ndarray:
    """Return whom each image belongs to, int [n]: the patient or other group, and copies to one another."""
    groups = images.table.groups
    if groups is not None:  # an empty name is a group of its own
        groups = [group or f"\0{row}" for row, group in enumerate(groups)]
    return join_units(groups, images.sha256)


def _find_lack(rows, owners, images) -> str:
    """Return why nothing can be told of unusual images; "" where it can."""
    units = len(np.unique(owners[rows["val"]]))
    if units >= LEAST and len(rows["train"]):
        return ""
    what = "image" if images.table.groups is None else "group"
    return (
        f"validation has {count(units, what)} unknown to training; it takes {LEAST} for an image to be unusual at "
        f"{ALARM:g}"
    )


def _see(images, outcome, owners, rows) -> Seen:
    features = outcome.features(rows) if len(rows) else np.zeros((0, 0), np.float32)
    return Seen(features, owners[rows], images.table.labels[rows])
