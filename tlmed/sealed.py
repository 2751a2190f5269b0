"""Files that show when they are damaged: arrays and a few facts, after the SHA-256 of both."""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tlmed.regular_files import open_regular
from tlmed.whole_files import atomic

DIGEST = hashlib.sha256().digest_size
ABOUT = "about.json"
LIMIT = 2**36  # bytes: the weights of the largest networks, with the state of their optimizer


class DamagedFile(ValueError):
    """A file is not as it was written."""


class _Digested:
    """A file that can only be appended to, with the SHA-256 of what was written."""

    def __init__(self, file):
        self.file, self.digest = file, hashlib.sha256()

    def write(self, content) -> int:
        """Write some bytes."""
        self.digest.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        """Write out what is buffered."""
        self.file.flush()


def seal(path: Path, about: dict, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write facts and arrays, whole or not at all; arrays are taken one at a time, and none is copied.

    Args:
        path: The file.
        about: Facts, as JSON can hold them.
        arrays: Names and arrays of numbers.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     seal(Path(folder) / "state", {"epoch": 3}, {"weights": np.arange(2)}.items())
    ...     about, arrays = unseal(Path(folder) / "state")
    >>> about, arrays["weights"].tolist()
    ({'epoch': 3}, [0, 1])
    """
    with atomic(path) as part, part.open("wb") as file:
        # Zeros keep the place of the digest, which is known only at the end.
        file.write(bytes(DIGEST))
        digested = _Digested(file)  # without `seek`, zipfile never goes back to change what is digested
        with zipfile.ZipFile(digested, "w") as members:
            members.writestr(ABOUT, json.dumps(about))
            for name, array in arrays:
                # Sizes are unknown here, and may be over 2 GiB.
                with members.open(name, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        file.seek(0)
        file.write(digested.digest.digest())


def unseal(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Return what `seal` wrote.

    Raises:
        DamagedFile: If the content does not have the digest it begins with, or cannot be read.
        FileNotFoundError: If there is no such file.
    """
    with _opened(path) as file:
        digest = file.read(DIGEST)
        if hashlib.file_digest(file, "sha256").digest() != digest:
            raise DamagedFile("its content does not have its SHA-256")
        with zipfile.ZipFile(file) as members:
            arrays = {}
            for name in members.namelist():
                if name != ABOUT:
                    with members.open(name) as member:
                        arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
            return json.loads(members.read(ABOUT)), arrays


def read_facts(path: Path) -> dict:
    """Return the facts that `seal` wrote, without reading the arrays or checking that they are whole.

    Raises:
        DamagedFile, FileNotFoundError: As `unseal`.
    """
    with _opened(path) as file, zipfile.ZipFile(file) as members:
        return json.loads(members.read(ABOUT))


@contextlib.contextmanager
def _opened(path) -> Iterator[BinaryIO]:
    try:
        with open_regular(path, LIMIT) as file:
            yield file
    except (FileNotFoundError, DamagedFile):
        raise
    except OSError as error:
        raise DamagedFile(f"it cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedFile(f"it is no file of tlmed: {error}") from error
