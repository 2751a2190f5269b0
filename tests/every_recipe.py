"""Train shipped recipes, made small, under a strategy: each in a process of its own, forked from one.

python -m tests.every_recipe one|mirrored|multi-worker FOLDER NAME|KEY=VALUE ...
"""

import os
import sys
from pathlib import Path

from tests.run.test_recipes import train
from tests.synchronized_run import open_devices


def main(strategy: str, folder: str, *words: str) -> None:
    """Train one after the other; a worker, which cannot fork behind its strategy, just one."""
    settings = [word for word in words if "=" in word]
    for name in (word for word in words if "=" not in word):
        child = os.fork() if strategy != "multi-worker" else 0
        if child == 0:
            open_devices(strategy)
            train(name, Path(folder) / name, f"distribute={strategy}", *settings)
            if strategy != "multi-worker":
                os._exit(0)
        elif status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(f"{name} ended with {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
