"""Turn what can stop a run into one clear line, and note in the run how far it got."""

import tlmed.tensorflow_start

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from tlmed import stopping
from tlmed.errors import Interrupted, RunFailed, Terminated, recall_change
from tlmed.rundir import RunDir

_ONEDNN_MEMORY = "received an exception:Status: 1,"  # oneDNN's dnnl_out_of_memory, in an AbortedError
_NO_THREAD = "can't start new thread"  # there is no room for its stack
NO_ROOM = "The disk must have room for the run."
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def explained(run: RunDir, batch_size: int, image_size: tuple[int, int], continues: bool = True) -> Iterator[None]:
    """Explain how the block ends, where it does not end well.

    Args:
        run: Where to leave a note, if the run has begun.
        batch_size: What to lower where memory is short.
        image_size: The same.
        continues: Whether the same command goes on from there.

    Raises:
        Interrupted, Terminated, KeyboardInterrupt: If the user or the system asked to stop.
        RunFailed: If the loss is no longer finite, memory or disk are full, or an operation is not deterministic.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        clear = _explain(error, run, batch_size, image_size)
        if clear is None:
            raise
        message = str(clear)
        if continues and run.marker.exists():
            message += f" The same command with `--out {run.path}` continues."
            with contextlib.suppress(OSError):  # no room even for a note: the marker says "unfinished" without it
                run.mark(message)
        raise type(clear)(message) from error


def _explain(error, run, batch_size, image_size) -> BaseException | None:
    """Return the error that a user should see instead of `error`; None for what is unforeseen or clear already."""
    if stop := stopping.requested():
        return stop
    if isinstance(error, KeyboardInterrupt):
        return KeyboardInterrupt("Stopped by Ctrl-C.")
    if isinstance(error, RunFailed | Interrupted | Terminated):
        return error
    if lacks_memory(error):
        return refuse_size(batch_size, image_size)
    if isinstance(error, tf.errors.OpError) and (changed := recall_change(error)):  # raised inside a `tf.data` pipeline
        return RunFailed(changed)
    if isinstance(error, tf.errors.UnimplementedError) and "determinis" in str(error).lower():
        return RunFailed(
            "Every operation must have a deterministic kernel on the device, or runs could not be repeated; "
            "`deterministic=False` allows others. "
            f"Received: {_first_line(error)}"
        )
    if _is_full_disk(error):
        return RunFailed(f"{NO_ROOM} Received: no space left for {run.path}.")
    return None


@contextlib.contextmanager
def writing(folder: Path, option: str = "--out") -> Iterator[None]:
    """Say in one line that a directory cannot be written to, where that ends the block: its disk is full, or read-only.

    Args:
        folder: The directory.
        option: What it was given as. The same command has to go on from there.

    Raises:
        RunFailed: If nothing can be written there any more.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not _is_full_disk(error) and getattr(error, "errno", None) != errno.EROFS:
            raise
        raise RunFailed(
            f"`{option}` must be on a disk that can be written to and has room; the same command goes on once it is. "
            f"Received: {folder}: {error}."
        ) from error


def refuse_size(batch_size: int, image_size: tuple[int, int]) -> RunFailed:
    """Return the error of a run that does not fit into memory."""
    return RunFailed(
        f"The run must fit into memory: a smaller `data.batch_size` or `data.image_size` needs less. "
        f"Received: data.batch_size={batch_size}, data.image_size={image_size}."
    )


def lacks_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory is short, in whatever words."""
    return (
        isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
        or (isinstance(error, tf.errors.OpError) and _ONEDNN_MEMORY in str(error))
        or (isinstance(error, RuntimeError) and _NO_THREAD in str(error))
    )


def _first_line(error) -> str:
    """Return the line of TensorFlow's message that names the operation."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if "determinis" in line.lower()), lines[0])


def _is_full_disk(error) -> bool:
    # h5py reports a full disk as an OSError or a RuntimeError, with or without the number.
    named = isinstance(error, OSError | RuntimeError) and any(os.strerror(n) in str(error) for n in FULL_DISK)
    return named or getattr(error, "errno", None) in FULL_DISK
