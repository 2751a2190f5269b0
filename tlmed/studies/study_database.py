"""The database of a study that several machines share: opened, also where others make its tables at the same moment."""

import time
import warnings

from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from tlmed.errors import InputError

_TRIES = 5  # to open a database whose tables others make at the same moment
_WAIT = 0.25  # seconds after the first of these tries, and twice as long after each further one
_BUSY_SECONDS = 60  # for which a process waits for another one that writes into an SQLite file


def open_database(url: str, beat: int, grace: int) -> RDBStorage:
    """Return the storage in a database, whose tables are made if they are not there.

    Args:
        url: The database, as SQLAlchemy names it.
        beat: Seconds between two signs of life.
        grace: Seconds without one, after which a trial counts as lost.

    Raises:
        InputError: If the database cannot be reached, or the address is none.
    """
    try:
        for number in range(_TRIES - 1):
            try:
                return _open(url, beat, grace)
            except (StorageInternalError, SQLAlchemyError) as error:
                if not _is_late(error):
                    raise
            time.sleep(_WAIT * 2**number)
        return _open(url, beat, grace)
    except (StorageInternalError, SQLAlchemyError, ImportError, RuntimeError) as error:
        raise InputError(
            "`--storage` must be the address of a database that can be reached, as "
            f"postgresql://user:password@host/name. Received: {_hide(url)}: {say_cause(error)}."
        ) from error


def _is_late(error: StorageInternalError | SQLAlchemyError) -> bool:
    """Tell whether another process makes the tables of a database at the same moment (optuna issue 1092).

    PostgreSQL has errors of its own for it; SQLite and MySQL have one kind for all that goes wrong.
    """
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    said = str(getattr(cause, "orig", None) or cause)
    return isinstance(cause, IntegrityError | ProgrammingError) or (
        isinstance(cause, OperationalError) and any(words in said for words in ("already exists", "is locked"))
    )


def _open(url, beat, grace) -> RDBStorage:
    is_file = url.startswith("sqlite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # that heartbeats may change is no user's concern
        return RDBStorage(
            _with_driver(url),
            # A connection may have ended while a cell was trained; SQLite lets one process write, and others wait.
            engine_kwargs={"pool_pre_ping": True, **({"connect_args": {"timeout": _BUSY_SECONDS}} if is_file else {})},
            heartbeat_interval=beat,
            grace_period=grace,
        )


def _with_driver(url: str) -> str:
    """Return an address for the driver that tlmed installs where an address of PostgreSQL names none."""
    return f"postgresql+psycopg{url.removeprefix('postgresql')}" if url.startswith("postgresql:") else url


def _hide(url: str) -> str:
    """Return an address without its password.

    >>> _hide("postgresql://ann:secret@db/lab")
    'postgresql://ann:...@db/lab'
    """
    head, at, tail = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}:...{at}{tail}" if ":" in user else url


def say_cause(error: BaseException) -> str:
    """Return the first line of what a database says is wrong."""
    if isinstance(error, ImportError):
        return f"{error} (`pip install 'tlmed[postgresql]'` brings the driver of PostgreSQL)"
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(getattr(cause, "orig", None) or cause).splitlines() if line.strip()]
    return (lines or [type(cause).__name__])[0].rstrip(".")
