"""A table of images in which what belongs together is one group, and copies under several labels are left out.

Rows that are left out are no rows of the table, because all rows of a table are trained on or tested: they go to a
table of their own beside it (`FIXED-left-out.csv`). In both the column `why` says what was changed and why; readers of
tables pass it over (`tlmed.data.table_rows.WHY`).
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.columns import BY_NAME, find_group, is_missing
from tlmed.data.leaks import contradict
from tlmed.data.table import Table
from tlmed.data.table_rows import WHY
from tlmed.data.units import join_units, list_present
from tlmed.errors import InputError
from tlmed.findings import IDENTICAL, NEAR_COPY, TWO_LABELS, Finding
from tlmed.gate.copy_findings import WITHIN_GROUPS
from tlmed.gate.evidence import Evidence
from tlmed.gate.file_stems import find_stems
from tlmed.gate.patient_spellings import find_alike_groups
from tlmed.gate.table_forms import find_lacking
from tlmed.patient_columns import squeeze
from tlmed.pseudonyms import is_file_group, name_file_group
from tlmed.split_names import SPLITS
from tlmed.whole_files import write_csv
from tlmed.words import count, join_names, listed

NAMED = 3  # names in a sentence; the others are counted
_COPIES = (TWO_LABELS, IDENTICAL, NEAR_COPY)
_OWN = ("path", "label", "group", "split", WHY)


@dataclass(frozen=True)
class Corrected:
    """A corrected table.

    Attributes:
        columns: Its columns: path, label, group and split where there are any, further ones of the source, why.
        rows: A row for each image that can be used, in the order of the images.
        left_out: A row for each image of which a copy has another label, likewise.
        joined: How many images of `rows` have another group than before; it may be that of a file.
        options: What `tlmed train --data FIXED.csv` must be given besides, such as "--group group"; "" for nothing.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: tuple[tuple[str, ...], ...]
    joined: int
    options: str = ""


def correct_table(evidence: Evidence, findings: Iterable[Finding], file: Path) -> Corrected:
    """Return the images of a source as a table that keeps apart what must be apart; nothing is written.

    One group are then: images of one group; copies, by bytes, by pixels and near-copies; groups whose names may mean
    one patient; and where no groups are named, images that share a stem of their names (`file_stems`). It has the
    smallest name of the groups that it is made of; where there are none, the name of a file. Given splits stay as they
    are, and `why` says where copies are in several of them. Copies under several labels are left out.

    Args:
        evidence: Of the images.
        findings: What the gate found in them; those on copies are used.
        file: Where the table will be: paths are relative to its folder.

    Raises:
        InputError: The images are no files by themselves, have several labels each, or lie elsewhere; or a class or a
            split would be lost.
    """
    check_correctable(evidence.table, file)
    table, findings = evidence.table, list(findings)
    row_of = {path: row for row, path in enumerate(table.paths)}
    # What lies within groups is joined already: one finding sums up all such sets.
    copies = [found for found in findings if found.kind in _COPIES and found.cure != WITHIN_GROUPS]
    sets = [[row_of[path] for path in found.files] for found in copies]
    out = {row for rows in sets if contradict(table, rows) for row in rows}
    _check_rest(evidence, out)
    bases, from_names = _name_bases(evidence)
    groups = _join_groups(evidence, bases, sets)
    reasons = _explain(evidence, bases, groups, from_names, sets)
    kept = [row for row in range(len(table)) if row not in out]
    has_groups = table.groups is not None or from_names or len({groups[row] for row in kept}) < len(kept)
    given = table.splits if evidence.split_made != SPLITS and "train" in (table.splits or ()) else None
    folder, root = file.parent.resolve(), table.root.resolve()
    cells = {
        "path": [Path(os.path.relpath(root / path, folder)).as_posix() for path in table.paths],
        "label": table.texts,
        **({"group": groups} if has_groups else {}),
        **({"split": given} if given else {}),
        **_name_traits(table.traits),
        WHY: reasons,
    }
    rows = list(zip(*cells.values(), strict=True))
    return Corrected(
        tuple(cells),
        tuple(rows[row] for row in kept),
        tuple(rows[row] for row in sorted(out)),
        sum(bases[row] != groups[row] for row in kept),
        _find_options(cells, kept, has_groups),
    )


def write_corrected(file: Path, corrected: Corrected) -> None:
    """Write a corrected table, and beside it the images that were left out, if there are any.

    Args:
        file: The table.
        corrected: Its content.
    """
    if corrected.left_out:
        write_csv(name_left_out(file), corrected.columns, corrected.left_out)
    write_csv(file, corrected.columns, corrected.rows)


def name_left_out(file: Path) -> Path:
    """Return where images that a corrected table leaves out are listed.

    >>> name_left_out(Path("data/FIXED.csv")).as_posix()
    'data/FIXED-left-out.csv'
    """
    return file.with_name(f"{file.stem}-left-out.csv")


def check_correctable(table: Table, file: Path) -> None:
    """Refuse images that a table of files cannot hold, each for a reason of its own.

    Args:
        table: The images.
        file: Where the table will be.

    Raises:
        InputError: What is wrong with them.
    """
    if fault := find_uncorrectable(table, file):
        raise InputError(fault)


def find_uncorrectable(table: Table, file: Path) -> str:
    """Return why a table of files cannot hold some images, or not there; "" if it can. Arguments as above."""
    if lacking := find_lacking(table):
        return f"`--write` must be given for files with one label each. Received: data={table.source}, {lacking}."
    if not table.root.resolve().is_relative_to(file.parent.resolve()):
        return (
            f"`--write` must name a file in {table.root}, where the images are, or in a folder above it: paths in a "
            f"table lead from its own folder. Received: {file}."
        )
    return ""


def _check_rest(evidence: Evidence, out: Collection[int]) -> None:
    """Refuse to leave out all images of a class, or of a given split."""
    table = evidence.table
    rest = [row for row in range(len(table)) if row not in out]
    given, labels = table.splits or [""] * len(table), table.texts
    lost = sorted(set(labels) - {labels[row] for row in rest})
    lost_splits = sorted(set(given) - {given[row] for row in rest})
    if lost or lost_splits:
        what = [*(f"the class {name!r}" for name in lost), *(f"the split {name!r}" for name in lost_splits)]
        raise InputError(
            "A table without copies under several labels must have images of every class and split: find out their "
            f"labels first. Received: data={table.source} with {count(len(out), 'image')} that would be left out, and "
            f"no other one of {join_names(what)}."
        )


def _name_bases(evidence: Evidence) -> tuple[list[str], bool]:
    """Return the group of each image before anything is joined, and whether some are from the names of files."""
    table = evidence.table
    if table.groups is not None:
        rows = zip(table.groups, table.paths, strict=True)
        return [name_file_group(path) if is_missing(group) else group for group, path in rows], False
    stems = find_stems(table.paths, len(table.classes))
    names = [stem or name_file_group(path) for stem, path in zip(stems, table.paths, strict=True)]
    return names, any(stems)


def _join_groups(evidence: Evidence, bases: Sequence[str], sets: Iterable[Sequence[int]]) -> list[str]:
    """Return the group of each image: joined through copies, and through names that may mean one patient."""
    table = evidence.table
    alike = find_alike_groups(evidence)[0] if table.groups is not None else ()
    one_name = {name: each.names[0] for each in alike for name in each.names}
    # `join_units` joins by two keys: names, and here sets of copies instead of contents. A file in several sets joins
    # them, so that they are made one set first.
    owner = _join_sets(sets)
    keys = [f"copies {owner[row]}" if row in owner else f"image {row}" for row in range(len(table))]
    # Names of files are none of patients: how they are spelled joins nothing.
    names = [f"\0{row}" if is_file_group(name) else one_name.get(name, name) for row, name in enumerate(bases)]
    units = join_units(names, keys).tolist()
    named: dict[int, tuple] = {}
    for unit, name in zip(units, bases, strict=True):
        # Names of groups come before names of files.
        named[unit] = min(named.get(unit, (True, chr(0x10FFFF))), (is_file_group(name), name))
    return [named[unit][1] for unit in units]


def _join_sets(sets: Iterable[Sequence[int]]) -> dict[int, int]:
    """Return for each row a number that all rows share which lie in one set, or in sets that have rows in common."""
    owner: dict[int, int] = {}
    members: list[list[int]] = []
    for rows in sets:
        met = {owner[row] for row in rows if row in owner}
        own = max(met, key=lambda number: len(members[number])) if met else len(members)
        if not met:
            members.append([])
        # The larger set takes in the smaller ones: each row moves a logarithmic number of times.
        others = [row for number in met - {own} for row in members[number]]
        for number in met - {own}:
            members[number] = []
        for row in (*others, *(row for row in rows if row not in owner)):
            owner[row] = own
            members[own].append(row)
    return owner


def _explain(evidence: Evidence, bases, groups, from_names: bool, sets: Sequence[Sequence[int]]) -> list[str]:
    """Return why each image is in its group, or is left out; "" where nothing was changed."""
    table = evidence.table
    given = np.array(table.splits or [""] * len(table))
    said: list[dict[str, None]] = [{} for _ in table.paths]
    for rows in sets:
        labels = {table.labels[row] for row in rows}
        where = list_present(given[rows])
        for place, row in enumerate(rows):
            other = rows[1] if place == 0 else rows[0]
            more = f", in a set of {len(rows):,} copies" if len(rows) > 2 else ""
            text = f"{_compare(evidence, row, other)} '{table.paths[other]}'{more}"
            if len(labels) > 1:
                text += f", under the labels {listed(sorted(table.classes[label] for label in labels), NAMED)}"
            if len(where) > 1:
                text += f", in {join_names(where)}: given splits stay as they are"
            said[row].setdefault(text)
    for row, (base, group) in enumerate(zip(bases, groups, strict=True)):
        if base != group and not is_file_group(base):
            said[row].setdefault(f"group '{base}' is joined with '{group}'")
        if from_names and not is_file_group(base):
            said[row].setdefault("the group is from the file's name")
    return ["; ".join(texts) for texts in said]


def _compare(evidence: Evidence, row: int, other: int) -> str:
    if evidence.sha256[row] == evidence.sha256[other]:
        return "same bytes as" if evidence.table.unit == "byte" else "same pixels as"
    if evidence.digests is not None and evidence.digests[row] == evidence.digests[other]:
        return "same pixels as"
    return "a copy, by its looks, of"


def _name_traits(traits: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return further columns of the source; one that has the name of a column with a meaning gets a longer one."""
    return {f"{name} (source)" if squeeze(name) in _OWN else name: texts for name, texts in traits.items()}


def _find_options(cells: Mapping[str, Sequence[str]], kept: Sequence[int], has_groups: bool) -> str:
    """Return the option without which the table's column of groups is not what a reader takes."""
    others = {name: [cells[name][row] for row in kept] for name in cells if name not in ("path", "label", "split", WHY)}
    filled = {name: texts for name, texts in others.items() if any(texts)}
    try:
        taken = find_group(filled, BY_NAME, "the table")
    except InputError:  # which of several columns is meant must be said
        taken = ""
    wanted = "group" if has_groups else None
    return "" if taken == wanted else "--group group" if has_groups else "--no-groups"
