"""A process that trains cells of a study, one after another, as it is told over its standard input.

Each line that comes in is a job as JSON, each line that goes out an answer. Whatever else is printed goes to the log.
"""

import tlmed.tensorflow_start

import contextlib
import gc
import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import keras
from tensorflow.python.framework import ops

from tlmed import stopping
from tlmed.errors import Interrupted, Terminated, TlmedError
from tlmed.failures import lacks_memory
from tlmed.recipe import from_json
from tlmed.run import find_source_faults, forecast, introduce, train
from tlmed.studies.jobs import COMPLETE, FAILED, FORECAST, LESS, LOOK, READ, READY, STOPPED

_ADVICE = " The same command with `--out"  # that of `tlmed train`, which is not the one of the study


def main() -> None:
    """Serve over standard input and output; what is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    stopping.listen()
    gc.freeze()  # the 440,000 objects of libraries stay: looking at them would take half a second after each cell
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin, answers)


def serve(jobs: TextIO, answers: TextIO) -> None:
    """Do the jobs of a stream until it ends, or until the process is asked to stop."""
    _tell(answers, {"state": READY})
    try:
        for line in jobs:
            _tell(answers, _do(json.loads(line)))
            keras.utils.clear_session()  # names of layers are counted from the beginning, as in a new process
            forget_gradients()
            gc.collect()
    except (Interrupted, Terminated, KeyboardInterrupt):
        _tell(answers, {"state": STOPPED})


def forget_gradients() -> None:
    """Forget the graphs of trainings that have ended, so that their memory comes back.

    Keras sums gradients by a `tf.custom_gradient`, which TensorFlow keeps for ever under a name of its own, with the
    whole graph: 200 MB for each training of a VGG16. Where nothing else trains in a process, no graph needs it again.
    """
    # No public name gives access to it; a TensorFlow that keeps it elsewhere only keeps the memory.
    registry = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        del registry[name]


def _do(job: dict) -> dict:
    """Train a cell, say how long it will take, look at images or at lists; a fault of the cell is an answer, too."""
    try:
        if job["kind"] == LOOK:
            return {"state": COMPLETE, "faults": find_source_faults(list(map(from_json, job["recipes"])))}
        recipe = from_json(job["recipe"])
        if job["kind"] == FORECAST:
            return {"state": COMPLETE, **asdict(forecast(recipe, job["skip_bad"]))}
        if job["kind"] == READ:
            return {"state": COMPLETE, **asdict(introduce(recipe, job["skip_bad"]))}
        train(recipe, Path(job["out"]), skip_bad=job["skip_bad"], report=job["report"], verbose=False)
        return {"state": COMPLETE}
    except (Interrupted, Terminated):
        raise
    except TlmedError as error:
        said = " ".join(error.faults).partition(_ADVICE)[0]
        return {"state": FAILED, "reason": f"{said} {LESS[0].upper()}{LESS[1:]}." if _is_memory(error) else said}
    except Exception as error:  # a cell must not end the others: its reason is told, and the log shows where
        if stop := stopping.requested():  # TensorFlow may have turned the request into an error of its own
            raise stop from error
        traceback.print_exc()
        reason = f"it ran out of memory; {LESS}" if lacks_memory(error) else f"{type(error).__name__}: {error}"
        return {"state": FAILED, "reason": reason}


def _is_memory(error: TlmedError) -> bool:
    return error.__cause__ is not None and lacks_memory(error.__cause__)


def _tell(answers: TextIO, content: dict) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()
