"""Keep what tells images unlike those of training, and measure how often it gives false alarms."""

import numpy as np

from tlmed.answer_units import FILE, IMAGE
from tlmed.data import ImageSet, join_units
from tlmed.evaluation.pooling import choose_pooling
from tlmed.novelty import ALARM, Novelty, learn_novelty, write_novelty
from tlmed.novelty.distances import ROOM
from tlmed.novelty.known_images import LEAST, Seen, check_alarms, note_tested
from tlmed.part_names import split_part
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
        owners, files = _find_owners(images), _find_files(job.recipe, images.table)
        rows = _choose_rows(images, owners, files, seed)
        if reason := _find_lack(rows, owners, images):
            NOVELTY_JSON.write(run, {"kept": False, "reason": reason})
            return
        parts = {"val": _see(images, outcome, owners, files, rows["val"])}
        # No more training images than can be kept: computing the features of others would be for nothing.
        most = max(1, ROOM // (4 * parts["val"].features.shape[1]))
        rows["train"] = _limit(rows["train"], most=most, seed=derive(seed, "novelty", "train"))
        parts |= {name: _see(images, outcome, owners, files, rows[name]) for name in ("train", "test")}
        finite = all(np.isfinite(part.features).all() for part in parts.values())
        if not finite:
            NOVELTY_JSON.write(run, {"kept": False, "reason": "the network gives features that are not finite"})
            return
        novelty = note_tested(learn_novelty(parts["train"], parts["val"], seed), parts["test"])
        novelty.about["unit"] = IMAGE if files is None else FILE
        write_novelty(run, novelty)
        NOVELTY_JSON.write(run, describe_novelty(novelty) | check_alarms(novelty, parts["val"], seed))


def describe_novelty(novelty: Novelty) -> dict:
    """Return what `novelty.json` says of what is kept."""
    return {"kept": True, **novelty.about, "least": novelty.calibration.least, "alarm": ALARM}


def _choose_rows(images, owners, files, seed) -> dict[str, np.ndarray]:
    """Return the rows of each split that are measured: whole files where files have one answer."""
    train = images.indices("train")
    learned = np.unique(owners[train])
    val = images.indices("val")
    val = val[~np.isin(owners[val], learned)]
    test = images.indices("test")
    test = test[~np.isin(owners[test], np.union1d(learned, owners[val]))]
    chosen = {"train": (train, None), "val": (val, files), "test": (test, files)}
    return {name: _limit(*part, seed=derive(seed, "novelty", name)) for name, part in chosen.items()}


def _limit(rows, files=None, most=MOST, *, seed) -> np.ndarray:
    if files is None:
        return np.sort(np.random.RandomState(seed).permutation(rows)[:most])
    found, sizes = np.unique(files[rows], return_counts=True)
    order = np.random.RandomState(seed).permutation(len(found))
    fits = np.cumsum(sizes[order]) <= most
    fits[:1] = True  # a file of more planes is measured alone
    return rows[np.isin(files[rows], found[order[fits]])]


def _find_files(recipe, table) -> np.ndarray | None:
    pooling = choose_pooling(recipe.data.pool, recipe.data.pool_by, table.paths, table.labels, table.groups)
    return pooling.number_files(table.paths)


def _find_owners(images) -> np.ndarray:
    """Return whom each image belongs to, int [n]: the patient or other group, and copies to one another."""
    groups = images.table.groups
    if groups is not None:  # an empty name says nothing: the file is a group of its own
        groups = [group or f"\0{split_part(path)[0]}" for path, group in zip(images.table.paths, groups, strict=True)]
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


def _see(images, outcome, owners, files, rows) -> Seen:
    features = outcome.features(rows) if len(rows) else np.zeros((0, 0), np.float32)
    return Seen(features, owners[rows], images.table.labels[rows], None if files is None else files[rows])
