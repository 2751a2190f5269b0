"""Options of the command that asked for an advice, which another command needs so that it works when it is pasted."""

import itertools
import shlex
from collections.abc import Iterator
from pathlib import Path

# Whether each takes a value. How images are read, and which of them may be left out; a written recipe holds the former.
READING = {"--set": True, "--group": True, "--no-groups": False, "--positive": True, "--seed": True}
LENIENT = {"--skip-bad": False, "--trust": False}


def keep_options(command: str, names: dict[str, bool]) -> list[str]:
    """Return the words of some options of a command.

    Args:
        command: As a shell reads it; "": none.
        names: The options, and whether each takes a value.

    >>> keep_options("tlmed advise --data 'a b' --set weights=none --skip-bad --goal=auc", READING | LENIENT)
    ['--set', 'weights=none', '--skip-bad']
    """
    return [word for name, words in _list_options(command) if name in names for word in words[: 1 + names[name]]]


def change_option(command: str, option: str, value: str) -> str:
    """Return a command with another value of an option that takes one; at its end if it had none.

    >>> change_option("tlmed advise --out=x --data 'a b'", "--out", "my advice-again")
    "tlmed advise --out 'my advice-again' --data 'a b'"
    >>> change_option("tlmed advise --data images", "--budget", "1h")
    'tlmed advise --data images --budget 1h'
    """
    options = list(_list_options(command))
    if option not in [name for name, _ in options]:
        return shlex.join([*shlex.split(command), option, value])
    changed = list(itertools.takewhile(lambda word: not word.startswith("--"), shlex.split(command)))
    for name, words in options:
        changed += [option, value, *words[2:]] if name == option else words
    return shlex.join(changed)


def _list_options(command) -> Iterator[tuple[str, list[str]]]:
    """Yield each option with its own word and those up to the next option; `--name=value` becomes two words."""
    words: list[str] = []
    for word in shlex.split(command):
        if word.startswith("--"):
            if words:
                yield words[0], words
            name, equals, value = word.partition("=")
            words = [name, value] if equals else [name]
        elif words:
            words.append(word)
    if words:
        yield words[0], words


def name_beside(folder: Path, what: str) -> str:
    """Return the path of a folder beside another one.

    >>> name_beside(Path("runs/advice"), "again"), name_beside(Path("."), "again") == f"{Path.cwd()}-again"
    ('runs/advice-again', True)
    """
    return f"{folder if folder.name not in ('', '..') else folder.resolve()}-{what}"
