"""Files that tell when they are damaged: arrays and a few facts, behind the SHA-256 of both."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from tlmed.regular_files import read_regular
from tlmed.rundir import atomic

DIGEST = hashlib.sha256().digest_size
ABOUT = "about.json"
LIMIT = 2**36  # bytes: the weights of the largest networks, with the state of their optimizer


class DamagedFile(ValueError):
    """A file is not as it was written."""


def seal(path: Path, about: dict, arrays: dict[str, np.ndarray]) -> None:
    """Write facts and arrays, whole or not at all.

    Args:
        path: The file.
        about: Facts, as JSON can hold them.
        arrays: Arrays of numbers by name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     seal(Path(folder) / "state", {"epoch": 3}, {"weights": np.arange(2)})
    ...     about, arrays = unseal(Path(folder) / "state")
    >>> about, arrays["weights"].tolist()
    ({'epoch': 3}, [0, 1])
    """
    content = io.BytesIO()
    np.savez(content, **{ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)}, **arrays)
    with atomic(path) as part, part.open("wb") as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())


def unseal(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Return what `seal` wrote.

    Raises:
        DamagedFile: If the content does not have the digest it begins with, or cannot be read.
        FileNotFoundError: If there is no such file.
    """
    try:
        content = memoryview(read_regular(path, LIMIT))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFile(f"it cannot be read: {error.strerror}") from error
    if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
        raise DamagedFile("its content does not have its SHA-256")
    try:
        with np.load(io.BytesIO(content[DIGEST:]), allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        return json.loads(arrays.pop(ABOUT).tobytes()), arrays
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedFile(f"it is no file of tlmed: {error}") from error
