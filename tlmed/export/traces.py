"""Look in what will be shared for names that must not leave: paths, files and groups of a run."""

import html
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from tlmed.errors import InputError
from tlmed.export.card_facts import CardFacts
from tlmed.source_forms import is_path
from tlmed.words import listed

_NAMED = 3  # names that an error quotes; it counts the others
_FEWEST = 4  # characters of a group's name that can be told from any number
_FEWEST_DIGITS = 6  # of a name that is a number


def list_names(run: Path, content: CardFacts) -> set[str]:
    """Return what must not be in any shared file: the run's directory, its source, its files and its groups.

    Names that any text may hold by chance are left out: a group that is a short number or a plain word.

    Args:
        run: The run's directory.
        content: What its files say.
    """
    source = str(content.recipe["data"]["source"])
    folders = [run.resolve(), run.absolute(), Path.home()]
    folders += [Path(source).expanduser().absolute()] if is_path(source) else []
    names = {str(folder) for folder in folders if len(folder.parts) > 2}
    for row in content.splits:
        path, group = PurePosixPath(row["path"]), row["group"]
        names |= {row["path"], path.name} if path.suffix else set()
        if _is_telling(group):
            names.add(group)
    return names - {*content.metrics["classes"], content.title}


def _is_telling(group: str) -> bool:
    if group.isdecimal():
        return len(group) >= _FEWEST_DIGITS
    return len(group) >= _FEWEST and (any(map(str.isdigit, group)) or not group.isalpha())


def refuse_traces(texts: Mapping[str, str], names: Iterable[str]) -> None:
    """Refuse texts that hold one of some names as a word of its own.

    Args:
        texts: What is in each file that will be shared, by the file's name.
        names: From `list_names`.

    Raises:
        InputError: With the files and the names.

    >>> refuse_traces({"README.md": "a network of p-17."}, ["p-1"])
    """
    names = sorted(names)
    faults = [
        "A shared folder must not name a path, a file or a group of the run; rename the run's directory, its title, a "
        f"class or a layer. Received: {file} with {listed(found, _NAMED)}."
        for file, text in texts.items()
        if (found := [name for name in names if name in text and _is_word(name, text)])
    ]
    if faults:
        raise InputError(faults)


def _is_word(name, text) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def read_texts(path: Path) -> str:
    """Return all that a reader finds in a shared file: JSON's texts, and Markdown also without its escapes.

    Args:
        path: JSON, Markdown, or a zip file whose JSON is read, as of a network or a classifier.
    """
    if path.suffix == ".json":
        return "\n".join(sorted(set(_walk(json.loads(path.read_text("utf-8"))))))
    if not zipfile.is_zipfile(path):
        text = path.read_text("utf-8")
        return f"{text}\n{html.unescape(text.replace(chr(92), ''))}"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        found = {text for name in names if name.endswith(".json") for text in _walk(json.loads(archive.read(name)))}
    return "\n".join(sorted({*names, *found}))


def _walk(content) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        yield from content
        for part in content.values():
            yield from _walk(part)
    elif isinstance(content, list):
        for part in content:
            yield from _walk(part)
