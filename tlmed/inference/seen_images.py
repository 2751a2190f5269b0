"""Which images a run has seen: by its own record, and through the runs that gave its weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tlmed.backbones.ancestry import find_known, name_weights
from tlmed.data.leaks import find_leaked
from tlmed.data.learned import Learned
from tlmed.identifiers import Identifiers, read_identifiers
from tlmed.run_files import ENVIRONMENT_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir

_HIDDEN = "Runs in which the weights began cannot be read as they were: what they know is as RUN recorded it."


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
    elsewhere, unsure = find_known(name_weights(run), identify(run))
    recorded = read_earlier(run)
    if not unsure or not recorded.get("certain"):
        return Earlier(elsewhere, unsure, not unsure)
    # The run was trained when they could be read. Older versions recorded how many patients they may know, not whose.
    whose = "undecided" in recorded or not any(earlier["undecided"] for earlier in recorded.get("runs", ()))
    return Earlier(elsewhere, [_HIDDEN], whose)


def identify(run: RunDir) -> Identifiers:
    """Return how a run identifies its images and their groups."""
    return read_identifiers(ENVIRONMENT_JSON.read(run, "data")["data"])


def read_earlier(run: RunDir) -> Mapping:
    """Return what a run recorded of the runs that gave its weights; {} of one that started from no other."""
    return ENVIRONMENT_JSON.read(run).get("earlier", {})


def list_leaked(run: RunDir, elsewhere: Mapping[str, Learned]) -> list[str]:
    """Return the paths of a run's own test images that training, validation or an earlier run has seen.

    Args:
        run: The run.
        elsewhere: What each of the runs learned from that gave the weights.
    """
    recorded = SPLITS_CSV.read(run)
    digests, groups, splits = ([row[name] for row in recorded] for name in ("sha256", "group", "split"))
    leaked = find_leaked(digests, identify(run).own(groups), np.array(splits), elsewhere)
    earlier = set(read_earlier(run).get("known", ()))  # also where an earlier run has gone since
    return [row["path"] for row, known in zip(recorded, leaked, strict=True) if known or row["path"] in earlier]


def list_undecided(run: RunDir, earlier: Earlier) -> list[str]:
    """Return the paths of a run's own test images of which it cannot be told whether earlier runs know them.

    They are all where it is not certain what those runs know, and else those whose patient they may know.

    Args:
        run: The run.
        earlier: From `find_earlier`.
    """
    rows, named = SPLITS_CSV.read(run), identify(run)
    digests, groups = ([row[name] for row in rows] for name in ("sha256", "group"))
    alone = RECIPE_JSON.read(run).get("data", {}).get("groups") is False
    hidden = [known.find_undecided(digests, groups, named.pseudonyms, alone) for known in earlier.elsewhere.values()]
    found = np.any([np.full(len(rows), not earlier.certain), *hidden], axis=0)
    recorded = set(read_earlier(run).get("undecided", ()))  # also where an earlier run has gone since
    tested = ((row["path"], is_hidden) for row, is_hidden in zip(rows, found, strict=True) if row["split"] == "test")
    return [path for path, is_hidden in tested if is_hidden or path in recorded]
