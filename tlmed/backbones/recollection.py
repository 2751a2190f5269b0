"""What runs recorded of those that gave their weights, which still tells what these know after they are gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlmed.backbones.ancestry import add_recorded, find_known, name_weights
from tlmed.backbones.weights import run_folder
from tlmed.columns import spell
from tlmed.data.learned import Learned, list_learned
from tlmed.identifiers import Identifiers, read_identifiers
from tlmed.part_names import file_of
from tlmed.run_files import ENVIRONMENT_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.split_names import LEARNED

HIDDEN = "Runs in which the weights began cannot be read as they were: what they know is as RUN recorded it."


@dataclass(frozen=True)
class Earlier:
    """What the runs know that gave the weights.

    Attributes:
        elsewhere: What each of them learned from, by its directory.
        unsure: Why it is not certain which images they know, a sentence each.
        certain: Whether it is known all the same which of the run's own images they know: the run recorded it.
    """

    elsewhere: Mapping[str, Learned]
    unsure: list[str]
    certain: bool


def find_earlier(run: RunDir) -> Earlier:
    """Return what the runs that gave a run's weights know of the run's own images."""
    elsewhere, unsure = recall([run], identify(run))
    if not unsure or not read_earlier(run).get("certain"):
        return Earlier(elsewhere, unsure, not unsure)
    # The run was trained when they could be read.
    return Earlier(elsewhere, [HIDDEN], _names_undecided(read_earlier(run)))


def _names_undecided(recorded) -> bool:
    """Tell whether it is recorded whose patients may be known: older versions recorded only of how many images."""
    return "undecided" in recorded or not any(earlier["undecided"] for earlier in recorded.get("runs", ()))


def identify(run: RunDir) -> Identifiers:
    """Return how a run identifies its images and their groups."""
    return read_identifiers(ENVIRONMENT_JSON.read(run, "data")["data"])


def read_earlier(run: RunDir) -> Mapping:
    """Return what a run recorded of the runs that gave its weights; {} of one that started from no other."""
    return ENVIRONMENT_JSON.read(run).get("earlier", {})


def recall(runs: Sequence[RunDir], images: Identifiers) -> tuple[dict[str, Learned], list[str]]:
    """Return what the runs know that gave the weights of some, as `find_known`; where one is gone, what is recorded.

    Args:
        runs: The runs that started from the weights.
        images: How those to be recognised are identified.
    """
    given = {run.path: name_weights(run) for run in runs}
    known, unsure = find_known({start for starts in given.values() for start in starts}, images)
    if not unsure:
        return known, unsure
    met = frozenset().union(*(learned.digests for learned in known.values()))
    for run in runs:
        learned = _read_recorded(run)
        if learned.digests <= met:  # what others are known to know is said of them
            continue
        folders = dict.fromkeys(str(folder) for start in given[run.path] if (folder := run_folder(start.name)))
        name = " or ".join([folder for folder in folders if folder not in known] or folders)
        known[name] = known[name].join(learned) if name in known else learned
    return known, unsure


def _read_recorded(run) -> Learned:
    """Return the test images of a run that earlier runs know, as it recorded them, and others of their groups."""
    rows = [row if row["split"] == "test" else {**row, "split": ""} for row in SPLITS_CSV.read(run)]
    return list_learned(add_recorded(rows, ENVIRONMENT_JSON.read(run)), identify(run).pseudonyms)


def find_cleared(
    runs: Sequence[RunDir], images: Identifiers, sha256: Sequence[str], groups: Sequence[str] | None
) -> np.ndarray:
    """Tell which images all runs recorded to be unknown to those that gave their weights; bool [n].

    An image of a group counts only where the run recorded the same group for it, and all images of the group count:
    otherwise an image that is known might be one of the same patient.

    Args:
        runs: The runs that started from the weights; of some all earlier runs may be there.
        images: How those to be recognised are identified.
        sha256: The digest of every image.
        groups: The group of every image as their source names it, "" for none; None if there are no groups.
    """
    cleared = np.ones(len(sha256), bool)
    for run in runs:
        if not find_known(name_weights(run), images)[1]:
            continue
        own, found = _list_cleared(run), []
        for digest, group in zip(sha256, groups or [""] * len(sha256), strict=True):
            found.append(file_of(digest) in own and (not group or spell(group) in own[file_of(digest)]))
        cleared &= found
    if groups is not None:
        owners = [spell(group) for group in groups]
        unsure = {owner for owner, is_cleared in zip(owners, cleared, strict=True) if owner and not is_cleared}
        cleared &= [owner not in unsure for owner in owners]
    return cleared


def _list_cleared(run) -> dict[str, set[str]]:
    """Return the files of a run's own images of which it is certain what earlier runs know, and their groups.

    Those that training or validation knows are known anyway.
    """
    recorded = read_earlier(run)
    if not (recorded.get("certain") and _names_undecided(recorded)):
        return {}
    rows, undecided, found = SPLITS_CSV.read(run), set(recorded.get("undecided", ())), {}
    for row in rows:
        if row["split"] in (*LEARNED, "test"):
            found.setdefault(file_of(row["sha256"]), set()).add(spell(row["group"]))
    hidden = {file_of(row["sha256"]) for row in rows if row["path"] in undecided}
    return {file: owners for file, owners in found.items() if file not in hidden}
