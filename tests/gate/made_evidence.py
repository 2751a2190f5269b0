"""Evidence made of arrays, without files."""

from dataclasses import replace

import numpy as np

from tlmed.data.file_facts import FileFacts
from tlmed.data.table import Table
from tlmed.gate import Evidence
from tlmed.gate.frame_measures import FRAME
from tlmed.split_names import SPLITS


def make_evidence(paths, labels=None, groups=None, splits=None, made=SPLITS, sha256=None, digests=None, **fields):
    """Return evidence of images that differ from each other, unless it is said that they do not.

    Fields of the table (`classes`, `traits`, `root` ...) and of the evidence (`files`, `frames`) may be given, too.
    """
    n = len(paths)
    labels = np.arange(n) % 2 if labels is None else np.array(labels)
    given = None if made == SPLITS else tuple(splits)
    table = Table("data", tuple(paths), labels, fields.pop("classes", ("ill", "well")), groups, given, open)
    evidence = {name: fields.pop(name) for name in ("files", "frames", "sketches") if name in fields}
    frames = np.zeros(n, FRAME)
    frames["deviation"] = 50
    return Evidence(
        table=replace(table, **fields),
        splits=np.array(["train"] * n if splits is None else splits),
        split_made=made,
        sha256=tuple(f"file {row}" for row in range(n)) if sha256 is None else tuple(sha256),
        digests=tuple(b"%d" % row for row in range(n)) if digests is None else digests,
        **{"files": (FileFacts(),) * n, "frames": frames, "sketches": np.zeros((n, 64, 64), np.uint8), **evidence},
    )
