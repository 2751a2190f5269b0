"""What names of files say besides the class: words, patterns and numbers, without what names the class by construction.

A folder of a class is called after it, and so are files such as `benign (12).png`. That is no shortcut: names of
classes are taken out first. Where each class counts its own files from 1, the size of a number tells only how large
the class is: then numbers do not count.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from tlmed.part_names import split_part

_SHORT = 3  # letters; a shorter class name, such as "0", is taken out only where it stands alone
_OWN_NAMES = 0.5  # share of names with the name of a class from which each class is taken to count its own files
_SHARED = 0.02  # share of the names that occur in several classes, from which it is, too
_NUMBERS = 3  # of a name, from its beginning


def describe_names(paths: Sequence[str], labels: Sequence[str], classes: Sequence[str]) -> Mapping[str, list[str]]:
    """Return what the names of images say, by what it is called: a text for each image, "" where it says nothing.

    Args:
        paths: Of the images.
        labels: What each is labelled as; only to see whether each class counts its own files.
        classes: Names of classes or labels.

    >>> describe_names(["a/scan_a1.png", "b/x-7.png"], ["a", "b"], ["a", "b"])["words"]
    ['scan_a#', 'x-#']
    >>> sorted(describe_names(["a/a (1).png", "b/b (1).png"], ["a", "b"], ["a", "b"]))
    ['beginning', 'ending', 'folder', 'words']
    """
    words = _compile_classes(classes)
    files = [PurePosixPath(split_part(path)[0]) for path in paths]
    stems = [file.name[: len(file.name) - len("".join(file.suffixes[-1:]))].casefold() for file in files]
    plain = [words.sub("", stem) for stem in stems]
    found = {
        "ending": ["".join(file.suffixes[-1:]) for file in files],
        "folder": _name_folders(files, labels, words),
        "words": [re.sub(r"\d+", "#", stem) for stem in plain],
        "beginning": [re.match(r"[^\W\d_]*", stem)[0] for stem in plain],
    }
    if _count_apart(stems, plain, labels):
        return found
    numbers = [re.findall(r"\d{1,15}", stem) for stem in plain]
    found["length"] = [str(len(stem)) for stem in plain]
    found["digits"] = [str(sum(map(len, each))) for each in numbers]
    for place in range(_NUMBERS):
        found[f"number {place + 1}"] = [each[place] if place < len(each) else "" for each in numbers]
    return found


def _compile_classes(classes: Sequence[str]) -> re.Pattern:
    """Return what finds names of classes, in any case, with any signs between their words."""
    ways = []
    for name in sorted(classes, key=len, reverse=True):
        parts = re.findall(r"\w+", name.casefold().replace("_", " "))
        if not parts:
            continue
        body, beside = r"[\W_]*".join(map(re.escape, parts)), r"[^\W_]" if len(name) < _SHORT else r"[^\W\d_]"
        ways.append(rf"(?<!{beside}){body}(?!{beside})")
    return re.compile("|".join(ways) or r"(?!)")


def _name_folders(files: Sequence[PurePosixPath], labels: Sequence[str], words: re.Pattern) -> list[str]:
    """Return the folders of each file without names of classes; "" for all where they name the classes otherwise."""
    folders = [words.sub("", file.parent.as_posix().casefold()) for file in files]
    held = defaultdict(set)
    for folder, label in zip(folders, labels, strict=True):
        held[folder].add(label)
    return [""] * len(files) if all(len(names) == 1 for names in held.values()) else folders


def _count_apart(stems: Sequence[str], plain: Sequence[str], labels: Sequence[str]) -> bool:
    """Tell whether each class seems to count its own files, so that a number says only how many there are."""
    if np.mean([stem != rest for stem, rest in zip(stems, plain, strict=True)]) >= _OWN_NAMES:
        return True
    held = defaultdict(set)
    for stem, label in zip(stems, labels, strict=True):
        held[stem].add(label)
    return sum(len(names) > 1 for names in held.values()) >= max(_SHARED * len(held), 1)
