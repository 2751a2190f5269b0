"""Class folders, and train/val/test folders of class folders, as a table."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tlmed.columns import BY_NAME, Grouping, is_missing, name_spellings
from tlmed.data.kinds import describe_others, read_head
from tlmed.data.masks import find_masks
from tlmed.data.patients import name_patients
from tlmed.data.readers import describe_endings, has_usual_ending, is_image, names_patients
from tlmed.data.table import Table, describe_hidden, find_licence, make_table
from tlmed.data.walking import (
    describe_links_out,
    describe_unfollowed,
    find_hidden,
    find_unfollowed,
    list_hidden,
    list_visible,
    visible_files,
)
from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.split_names import SPLIT_NAMES
from tlmed.words import count, listed

NAMED = 3  # images that a sentence names; it counts the others


@dataclass
class _Listing:
    """Gather rows and faults while folders are read."""

    paths: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)  # the folder below the class folder that each image lies in
    others: list[Path] = field(default_factory=list)  # files that are not images
    hidden: list[str] = field(default_factory=list)
    unfollowed: list[str] = field(default_factory=list)  # links to folders below the class folders
    astray: list[str] = field(default_factory=list)  # images outside of the class folders
    faults: list[str] = field(default_factory=list)


def open_folder(root: Path, grouping: Grouping = BY_NAME) -> Table:
    """Read a folder of class folders, or one of train/val/test folders of class folders.

    Images lie directly in their class folder, or in those of their patients below it, if the user says so. Hidden files
    and folders are named and not read; links are followed, and named if they lead out of the folder; those to folders
    deeper than below class folders are named and not followed. Masks of other images are left out and named. Where
    files name their patients, as DICOM does, these are the groups, and images may lie in any depth.

    Args:
        root: The folder.
        grouping: How groups are found; no column can name them here.

    Returns:
        The table; `splits` is None for plain class folders.

    Raises:
        InputError: Every fault of the folder at once.
    """
    found = _Listing()
    folders = {entry.name: entry for entry in list_visible(root) if entry.is_dir()}
    _note_files(found, root, "")
    given = {name: folder for name, folder in folders.items() if name.lower() in SPLIT_NAMES}
    if given:
        _read_splits(found, root, folders, given)
    else:
        _check_class_folders(found, root, folders)
        for name, folder in folders.items():
            _read_class(found, folder, name, name, None)
    found.faults += _find_level_faults(root, found, grouping.folders)
    if found.faults:
        if near := _find_level(root, folders, found):
            found.faults[0] = found.faults[0].replace(" Received: ", f" Did you mean data={near}? Received: ", 1)
        raise InputError(found.faults)
    notes = (f"Left out, as in no class folder: {_count(found.astray)}.",) if found.astray else ()
    masks = find_masks(root, found.paths)
    # The order in which a folder lists its files is another one on each machine.
    kept = sorted((row for row, path in enumerate(found.paths) if path not in masks.of), key=found.paths.__getitem__)
    paths = [found.paths[row] for row in kept]
    notes += (*describe_links_out(root, paths), *describe_unfollowed(found.unfollowed))
    groups, told = _find_groups(root, found, kept, grouping)
    return make_table(
        str(root),
        paths,
        [found.names[row] for row in kept],
        _reader(root, paths),
        groups=groups,
        pseudonyms=groups is not None and not grouping.folders,
        splits=[found.splits[row] for row in kept] if given else None,
        skipped=tuple(sorted(path.relative_to(root).as_posix() for path in found.others)),
        hidden=tuple(sorted(found.hidden)),
        notes=(*notes, *told, *_describe_odd(paths), *masks.describe(), *describe_others(found.others)),
        licence=find_licence(root),
        masks=masks,
        root=root,
    )


def _find_groups(root: Path, found: _Listing, kept: list[int], grouping: Grouping):
    """Return the groups of images, or None, and sentences about them."""
    if grouping.folders:
        groups = tuple(found.patients[row] for row in kept)
        told = f"Images are grouped by {count(len(set(groups)), 'folder')} below the class folders."
        return groups, (told, *name_spellings(groups))
    if grouping.use:
        return name_patients([root / found.paths[row] for row in kept])
    return None, ()


def _reader(root: Path, paths: list[str]):
    return lambda row: read_regular(root / paths[row])


def _count(paths: list[str]) -> str:
    return f"{count(len(paths), 'image')} ({listed(sorted(paths), 3)})"


def _describe_odd(paths: list[str]) -> tuple[str, ...]:
    """Return a sentence about images whose names end in an unusual way; none or a number is usual for DICOM."""
    odd = [path for path in paths if not has_usual_ending(path) and PurePosixPath(path).suffix.strip(".0123456789")]
    if not odd:
        return ()
    return (f"Used as images, by what they hold and not by their names: {count(len(odd), 'file')} ({listed(odd, 3)}).",)


def _note_files(found: _Listing, folder: Path, prefix: str) -> None:
    """Note the files of a folder that should hold folders only."""
    found.hidden += list_hidden(folder, prefix)
    for entry in list_visible(folder):
        if not entry.is_dir():
            if is_image(entry):
                found.astray.append(prefix + entry.name)
            else:
                found.others.append(entry)


def _find_level(root: Path, folders: dict[str, Path], found: _Listing) -> Path | None:
    """Return the table that lies beside images without class folders, or the folder of class folders one level away."""
    tables = [file for file in found.others if file.suffix.lower() in (".csv", ".tsv")]
    if found.astray and not folders and len(tables) == 1:
        return tables[0]
    if len(folders) == 1 and all(found.patients):
        [inner] = folders.values()
        if sum(entry.is_dir() and _hold_image(visible_files(entry)) for entry in list_visible(inner)) > 1:
            return inner
    if found.astray and not folders:
        above = root.resolve().parent
        if sum(entry.is_dir() and _hold_image(list_visible(entry)) for entry in list_visible(above)) > 1:
            return above
    return None


def _hold_image(files: Iterable[Path]) -> bool:
    return any(map(is_image, files))


def _check_class_folders(found: _Listing, root: Path, folders: dict[str, Path]) -> None:
    """Note a fault if the images of a folder are not sorted into classes."""
    if found.astray and not folders:
        lie = "lies" if len(found.astray) == 1 else "lie"
        found.faults.append(
            "The data's folder must hold one folder per class with its images inside. "
            f"Received: data={root}, where {_count(found.astray)} {lie} in no class folder."
        )


def _read_splits(found: _Listing, root: Path, folders: dict[str, Path], given: dict[str, Path]) -> None:
    """Read train, val and test folders; `val` may be missing."""
    spelled: dict[str, list[str]] = {}
    for name in sorted(given):
        spelled.setdefault(SPLIT_NAMES[name.lower()], []).append(name)
    others = sorted(set(folders) - set(given))
    for split in ("train", "test"):
        if split not in spelled:
            found.faults.append(
                f"A folder of given splits must hold a folder '{split}' (only 'val' may be missing). "
                f"Received: data={root} with the folders {listed(sorted(folders))}."
            )
    for split, names in spelled.items():
        if len(names) > 1:
            found.faults.append(f"A split must be one folder. Received: {listed(names)}, which all mean '{split}'.")
    if others:
        found.faults.append(
            "No other folder may stand beside the folders train, val and test. "
            f"Received: data={root} with {listed(others)}."
        )
    for name, folder in given.items():
        _note_files(found, folder, f"{name}/")
        for entry in list_visible(folder):
            if entry.is_dir():
                _read_class(found, entry, f"{name}/{entry.name}", entry.name, SPLIT_NAMES[name.lower()])


def _read_class(found: _Listing, folder: Path, prefix: str, name: str, split: str | None) -> None:
    """Read the images of one class folder."""
    hidden = list_hidden(folder, f"{prefix}/")
    found.hidden += hidden
    # The number of images so far shows afterwards whether this folder added any.
    before, others = len(found.paths), []
    for entry in list_visible(folder):
        below = visible_files(entry) if entry.is_dir() else [entry]
        if entry.is_dir():
            found.hidden += (f"{prefix}/{entry.name}/{name}" for name in find_hidden(entry))
            found.unfollowed += (f"{prefix}/{entry.name}/{name}" for name in find_unfollowed(entry))
        for file in below:
            if is_image(file):
                found.paths.append(f"{prefix}/{file.relative_to(folder).as_posix()}")
                found.names.append(name)
                found.splits.append(split)
                found.patients.append(entry.name if entry.is_dir() else "")
            else:
                others.append(file)
    found.others += others
    if len(found.paths) == before:
        found.faults.append(
            f"Every class folder must hold images ({describe_endings()}). "
            f"Received: '{prefix}' with no image and {count(len(others), 'other file')}"
            f"{f'; {describe_hidden(hidden)}' if hidden else ''}"
            f"{''.join(f' ({sentence[:-1]})' for sentence in describe_others(others))}."
        )


def _is_archive(root: Path, found: _Listing, deep: Iterable[str]) -> bool:
    """Tell studies, whose files name patients and series themselves, in folders of whatever meaning but splits."""
    folders = {folder.lower() for path in deep for folder in path.split("/")[:-1]}
    given = any(split is not None for split in found.splits)
    return (
        len(set(found.names)) > 1
        and (given or not folders & SPLIT_NAMES.keys())
        and all(names_patients(read_head(root / path)) for path in deep)
    )


def _find_level_faults(root: Path, found: _Listing, by_folder: bool) -> list[str]:
    """Return a sentence where images lie in folders below class folders, or do not although patients have folders.

    Nobody can tell whether such a folder is a patient, a mask or a split, and tlmed does not guess.
    """
    deep = {path: patient for path, patient in zip(found.paths, found.patients, strict=True) if patient}
    if deep and not by_folder and not _is_archive(root, found, deep):
        rows = zip(found.names, found.patients, found.paths, strict=True)
        first = {(name, patient): path for name, patient, path in rows if patient}
        return [
            "A class folder must hold its images directly (folders of given splits are called train, val and test). "
            "`data.groups='folder'` says that the folders below are patients; a .csv with the columns path,label,group "
            f"can say anything else. Received: {listed(map(repr, sorted(first.values())), NAMED)}."
        ]
    if not by_folder:
        return []
    flat = sorted(path for path in found.paths if path not in deep)
    nobody = sorted(path for path, patient in deep.items() if is_missing(patient))
    kinds = {"lie in the folder of its patient, below that of its class": flat, "be of a patient with a name": nobody}
    return [
        f"Where folders are the groups (`data.groups='folder'`), every image must {rule}. "
        f"Received: {listed(map(repr, paths), NAMED)}."
        for rule, paths in kinds.items()
        if paths
    ]
