"""Train a study, kill all its processes at moments spread over its whole length, and let it go on.

    python -m tests.killed_study IMAGES FOLDER [--moments 20]

Every moment has a directory and a feature store of its own. Ends with status 1 where a study that was killed has
another `study.csv` than one that was not, seconds apart.
"""

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tlmed.run_files.study_files import read_cells

# A solved head, two trained phases of which one thaws, and a classifier on features: six cells that share features.
STUDY = """
from tlmed.recipe import Dense, Images, Phase, Recipe, Study

phases = (
    Phase("head", thaw=0, epochs=4, learning_rate=1e-3),
    Phase("top", thaw=1, epochs=6, learning_rate=1e-4, batch_norm="affine"),
)
tuned = Recipe(Images("images"), "LeNet5", phases, "imagenet", Dense(dropout=0.2), name="tuned")
study = Study(
    recipes=("feature_extractor", tuned, "feature_extractor_hybrid"),
    backbones=("LeNet5=digits",),
    settings={"data.image_size": (32, 32), "data.batch_size": 8, "baselines": False},
    seeds=2,
)
"""
TLMED = (sys.executable, "-c", "from tlmed.cli import main; main()")


def start(folder: Path, images: str) -> subprocess.Popen:
    """Begin a study in `folder/study`, or go on with it."""
    command = [*TLMED, "sweep", str(folder / "study.py"), "--data", images, "--out", str(folder / "study")]
    environment = {**os.environ, "TLMED_CACHE_DIR": str(folder / "cache")}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--jobs", "2"], env=environment, start_new_session=True, stdout=log, stderr=log
        )


def finish(folder: Path, images: str) -> None:
    """Let a study go on to its end."""
    if status := start(folder, images).wait():
        sys.exit(f"status {status}: {(folder / 'log').read_text()}")


def read_all_but_seconds(folder: Path) -> list[list[str]]:
    """Return the rows of `study.csv` without those of seconds."""
    with (folder / "study" / "study.csv").open() as stream:
        return [row for row in csv.reader(stream) if not any("seconds" in value for value in row)]


def make(folder: Path) -> Path:
    """Make the folder of a study."""
    folder.mkdir(parents=True)
    (folder / "study.py").write_text(STUDY)
    return folder


def kill_at(folder: Path, images: str, seconds: float) -> str:
    """Kill a study that runs for some seconds, and say how far it was."""
    process = start(make(folder), images)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)  # its workers have sessions of their own, and end with it
    if process.wait() != -signal.SIGKILL:
        return "it had ended"
    if not (folder / "study" / "cells.csv").exists():
        return "no table yet"
    states = Counter(row["state"] for row in read_cells(folder / "study"))
    begun = sum(1 for _ in (folder / "study" / "runs").glob("*/UNFINISHED"))
    return f"{states['complete']} cells in the table as complete, {begun} runs begun and not complete"


def main() -> None:
    """Kill at all moments, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--moments", type=int, default=20)
    options = parser.parse_args()
    begin = time.monotonic()
    finish(make(options.folder / "whole"), options.images)
    length = time.monotonic() - begin
    wanted, same = read_all_but_seconds(options.folder / "whole"), 0
    print(f"whole: {len(wanted) - 1} rows without those of seconds, {length:.1f} s", flush=True)
    for number in range(options.moments):
        folder, seconds = options.folder / f"killed{number:02d}", length * (number + 0.5) / options.moments
        said = kill_at(folder, options.images, seconds)
        finish(folder, options.images)
        is_same = read_all_but_seconds(folder) == wanted
        same += is_same
        print(f"killed after {seconds:.1f} s ({said}): {'equal' if is_same else 'other scores'}", flush=True)
    print(f"{same} of {options.moments} equal")
    sys.exit(same != options.moments)


if __name__ == "__main__":
    main()
