"""Which images a run has seen: by its own record, and through the runs that gave its weights."""

from collections.abc import Mapping

import numpy as np

from tlmed.backbones.recollection import Earlier, identify, read_earlier
from tlmed.data.leaks import find_leaked
from tlmed.data.learned import Learned
from tlmed.run_files import RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir


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
        earlier: From `tlmed.backbones.recollection.find_earlier`.
    """
    rows, named = SPLITS_CSV.read(run), identify(run)
    digests, groups = ([row[name] for row in rows] for name in ("sha256", "group"))
    alone = RECIPE_JSON.read(run).get("data", {}).get("groups") is False
    hidden = [known.find_undecided(digests, groups, named.pseudonyms, alone) for known in earlier.elsewhere.values()]
    found = np.any([np.full(len(rows), not earlier.certain), *hidden], axis=0)
    recorded = set(read_earlier(run).get("undecided", ()))  # also where an earlier run has gone since
    tested = ((row["path"], is_hidden) for row, is_hidden in zip(rows, found, strict=True) if row["split"] == "test")
    return [path for path, is_hidden in tested if is_hidden or path in recorded]
