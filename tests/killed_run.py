"""Train, kill the process at given moments, and train on: a process of its own for each, forked from one.

    python -m tests.killed_run IMAGES FOLDER '[["step", 3], ...]' '["with", "with"]'

The last argument says of each command whether it can use the cache, "with", or not, "without". Prints, as JSON, the
exit statuses of the killed process and of those that go on, for each moment.
"""

import json
import os
import signal
import sys
from pathlib import Path

from tlmed.quiet import import_tensorflow

import_tensorflow()

import tlmed  # noqa: E402
from tests.conftest import SMALL  # noqa: E402
from tlmed import sealed  # noqa: E402
from tlmed.errors import RunFailed  # noqa: E402
from tlmed.features.engines import Engine  # noqa: E402
from tlmed.recipe import override  # noqa: E402
from tlmed.run import finished, phase_training, scoring, story  # noqa: E402
from tlmed.rundir import RunDir  # noqa: E402
from tlmed.training import fitting  # noqa: E402
from tlmed.training.checkpoints import Checkpoints  # noqa: E402

SETTINGS = (
    *("head.dropout=0.5", "phases.1.batch_norm=update", "engine=tensorflow", "cache=on"),
    *("phases.0.average=top3", "phases.1.average=ema"),
)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_before(place, name: str, number: int) -> None:
    """Kill the process where a function is called for the `number`th time."""
    original, calls = getattr(place, name), []

    def count(*args, **options):
        calls.append(1)
        if len(calls) == number:
            kill()
        return original(*args, **options)

    setattr(place, name, count)


def kill_while_writing(number: int) -> None:
    """Kill the process when the `number`th sealed file is half written."""
    original, calls = sealed.atomic, []

    class Half:
        def __init__(self, path):
            self.inner = original(path)

        def __enter__(self):
            part = self.inner.__enter__()
            calls.append(1)
            if len(calls) == number:
                part.write_bytes(b"half of it")
                kill()
            return part

        def __exit__(self, *error):
            return self.inner.__exit__(*error)

    sealed.atomic = Half


def kill_steps(number: int) -> None:
    """Kill the process behind its `number`th step, before it is saved."""
    original, calls = fitting.State.take, []

    def take(self):
        calls.append(1)
        if len(calls) == number:
            kill()
        return original(self)

    fitting.State.take = take


MOMENTS = {
    "step": kill_steps,
    "checkpoint": kill_while_writing,
    "extraction": lambda n: kill_before(Engine, "__call__", n),
    "validation": lambda n: kill_before(fitting.Validation, "on_epoch_end", n),
    "phase end": lambda n: kill_before(phase_training, "certify", n),
    "phase ended": lambda n: kill_before(finished.Finished, "write", n),
    "model": lambda n: kill_before(phase_training, "_write_degrees", n),
    "predictions": lambda n: kill_before(scoring, "write_pooled", n),
    "metrics": lambda n: kill_before(scoring, "describe_metrics", n),
    "report": lambda n: kill_before(story, "write_report", n),
    "finish": lambda n: kill_before(RunDir, "finish", n),
}


def run(images: str, out: Path, cache: str = "with", moment=None) -> int:
    """Train in a process of its own, and return its exit status."""
    child = os.fork()
    if child == 0:
        # No folder can be made where a file is.
        os.environ["TLMED_CACHE_DIR"] = str(out.parent / f"cache-{out.name}" if cache == "with" else Path(__file__))
        Checkpoints.due = property(lambda self: True)  # else nothing here would last until the first
        if moment:
            MOMENTS[moment[0]](moment[1])
        try:
            tlmed.train(override(tlmed.load_recipe("fine_tuning"), [*SMALL, *SETTINGS]), out, images)
        except RunFailed as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(images: str, folder: str, moments: str, caches: str) -> None:
    """Train once undisturbed, with the cache as it is at first, then once for each moment."""
    first, *others = json.loads(caches)
    if status := run(images, Path(folder) / "whole", first):
        sys.exit(f"the run that is left alone ended with {status}")
    ended = []
    for i, moment in enumerate(json.loads(moments)):
        out = Path(folder) / str(i)
        ended.append([run(images, out, first, moment), *(run(images, out, cache) for cache in others)])
    print(json.dumps(ended))


if __name__ == "__main__":
    main(*sys.argv[1:])
