"""What is odd about images that a run answers for, as far as it can be said without its network."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tlmed.part_names import name_kind, split_part
from tlmed.run_files import ENVIRONMENT_JSON
from tlmed.rundir import RunDir
from tlmed.slicing import VIEWS
from tlmed.words import count, listed

_NAMED = 3  # files that a sentence names; it counts the others


def join_notes(notes: Sequence[str], names: Sequence[str], members: np.ndarray) -> list[str]:
    """Return the notes of each unit, each once, and of how many of its samples where not of all.

    Args:
        notes: Of each of the n samples, "" for none.
        names: Of the samples, which say what they are, such as planes.
        members: The unit of each sample, int [n].

    >>> names = ["a.nii#plane=0", "b.nii#plane=0", "a.nii#plane=1", "b.nii#plane=1"]
    >>> join_notes(["dark", "", "dark", "dark"], names, np.array([0, 1, 0, 1]))
    ['dark', 'dark (1 of 2 planes)']
    """
    sizes = np.bincount(members).tolist()
    kinds = dict(zip(members.tolist(), map(name_kind, names), strict=True))
    found = [Counter() for _ in sizes]
    for note, unit in zip(notes, members.tolist(), strict=True):
        if note:
            found[unit][note] += 1

    def say(note: str, amount: int, unit: int) -> str:
        size = sizes[unit]
        return note if amount == size else f"{note} ({amount:,} of {count(size, kinds[unit])})"

    return ["; ".join(say(*each, unit) for each in said.items()) for unit, said in enumerate(found)]


def describe_flat(names: Sequence[str], channels: str, named: str = "") -> list[str]:
    """Say which files are no volumes, where the run shows three planes of a volume as one image.

    Args:
        names: Of the samples.
        channels: `data.channels` of the run.
        named: What to call the only file, in place of a count with its name.

    >>> describe_flat(["a.nii#views", "b.png"], "views")[0].partition(",")[0]
    '1 of 2 images (b.png) is no volume'
    """
    flat = [name for name in names if not split_part(name)[1]] if channels == VIEWS else []
    if not flat:
        return []
    verb, shows, its = ("is no volume", "shows", "its") if len(flat) == 1 else ("are no volumes", "show", "their")
    whose = named or f"{len(flat):,} of {count(len(names), 'image')} ({listed(flat, _NAMED)})"
    return [
        f"{whose} {verb}, and {shows} one plane where a volume shows three: {its} scores mean little, unless the run "
        "learned from such images too."
    ]


def read_usual(run: RunDir) -> dict[str, int] | None:
    """Return how many values a run's training images usually have; None for runs that did not record it yet."""
    return ENVIRONMENT_JSON.read(run, "data")["data"].get("values")
