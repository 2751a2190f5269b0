"""Train the same run under several strategies, each in a process of its own, forked from one.

    python -m tests.replicated_run FOLDER IMAGES RECIPE '["one", "mirrored"]' KEY=VALUE ...

Replicas are two logical CPU devices. A run lies in FOLDER under its strategy's name.
"""

import json
import os
import sys
from pathlib import Path

from tlmed.quiet import import_tensorflow

import_tensorflow()

import tlmed  # noqa: E402
from tests.synchronized_run import open_devices  # noqa: E402
from tlmed.recipe import override  # noqa: E402


def run(strategy: str, out: Path, images: str, recipe: str, settings: list[str]) -> int:
    """Train in a process of its own, and return its exit status."""
    child = os.fork()
    if child == 0:
        os.environ["TLMED_CACHE_DIR"] = str(out.parent / f"cache-{strategy}")
        open_devices(strategy)
        tlmed.train(override(tlmed.load_recipe(recipe), [*settings, f"distribute={strategy}"]), out, images)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: str, images: str, recipe: str, strategies: str, *settings: str) -> None:
    """Train under each strategy."""
    for strategy in json.loads(strategies):
        if status := run(strategy, Path(folder) / strategy, images, recipe, list(settings)):
            sys.exit(f"{strategy} ended with {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
