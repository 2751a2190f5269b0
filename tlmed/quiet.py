"""Import TensorFlow without its start-up noise, which is written by C++ before any logging is set up."""

import contextlib
import json
import logging
import os
import re
import resource
import sys
import tempfile
from pathlib import Path

from tlmed.errors import InputError, RunFailed

# How absl and TensorFlow's own logging begin a line, two lines that they begin otherwise, and those of LiteRT.
_NOISE = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] "
    rb"|WARNING: All log messages before absl|To enable the following instructions: "
    rb"|INFO: Created TensorFlow Lite |fully_quantize: "
)
SPACE = 5 * 2**29  # bytes of address space for TensorFlow 2.21, Keras and a small network: 2.5 GB


@contextlib.contextmanager
def quiet_stderr():
    """Hold back standard error of the process; drop what TensorFlow's C++ side logs, unless an error is raised.

    Other threads may write there too: their lines come after the block.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        keep = _is_of_others
        try:
            yield
        except BaseException:
            keep = bool
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            os.write(2, b"".join(filter(keep, held)))


def _is_of_others(line: bytes) -> bool:
    return not _NOISE.match(line)


def check_backend() -> None:
    """Check, before Keras is imported, that its backend will be TensorFlow.

    Raises:
        InputError: Another backend is set by the environment or by Keras's own file, or is in use already.
    """
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    if "keras" in sys.modules:
        chosen, where = sys.modules["keras"].config.backend(), "keras.config.backend(), which was imported earlier"
    elif chosen := os.environ.get("KERAS_BACKEND"):
        where = "KERAS_BACKEND"
    else:
        chosen, where = _read_backend(file), f"backend in {file}"
    if chosen not in (None, "", "tensorflow"):
        raise InputError(
            "Keras must run on TensorFlow, as tlmed does; KERAS_BACKEND=tensorflow sets it for a command. "
            f"Received: {chosen!r} as {where}."
        )


def _read_backend(file: Path) -> str | None:
    """Return what a `keras.json` says, None if it says nothing that Keras would follow."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content.get("backend") if isinstance(content, dict) else None


def import_tensorflow():
    """Import TensorFlow quietly, once; set TF_CPP_MIN_LOG_LEVEL=0 to see what its C++ side logs later.

    Raises:
        InputError: If Keras is set to another backend.
        RunFailed: If the address space is too small for it.
    """
    check_backend()
    if "tensorflow" not in sys.modules:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY and limit < SPACE:
            raise RunFailed(
                f"The address space must have room for TensorFlow: `ulimit -v` must be {SPACE // 2**10} or more, or "
                f"`unlimited`. Received: ulimit -v {limit // 2**10}."
            )
        if not os.environ.get("TF_CPP_MIN_LOG_LEVEL"):  # TensorFlow reads an empty value as 0, which shows everything
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        with quiet_stderr():
            import tensorflow  # noqa: F401
        # Python's side: "retracing" and the like, about which a user can do nothing.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        logging.getLogger("absl").setLevel(logging.ERROR)
