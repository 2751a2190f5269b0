"""Turns: of several processes that need the same features, one computes them, and the others wait for these."""

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from tlmed.cache.folder import make_private, open_private

SUFFIX = ".turn"
# File systems without locks, as some of clusters: features may then be computed twice, which costs nothing but time.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Turn:
    """The right to compute the features of an address; the system takes it back when the process ends, however it ends.

    Attributes:
        path: The file that is locked.
        number: Its descriptor.
    """

    path: Path
    number: int

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, *error) -> None:
        self.path.unlink(missing_ok=True)  # before it is unlocked: nobody else may have the lock of a file that goes
        os.close(self.number)


def take_turn(folder: Path, key: str) -> Turn | None:
    """Return the turn of an address; None where another process, or another thread of this one, has it.

    Args:
        folder: Where the files that are locked lie.
        key: The address.

    Raises:
        OSError: If the folder cannot be written to.
    """
    path = folder / f"{key}{SUFFIX}"
    while True:
        make_private(folder)
        number = open_private(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(number)
                raise
            return Turn(path, number)
        if _is_at(path, number):
            return Turn(path, number)
        os.close(number)  # whoever had the turn has removed the file since it was opened


def _is_at(path, number) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.lstat())
    except FileNotFoundError:
        return False
