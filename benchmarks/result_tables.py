"""The tables of docs/results.md, from finished run directories; see `results.py`, which makes those."""

import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tlmed.run_files import DEGREES_CSV, ENVIRONMENT_JSON, METRICS_JSON, PLAN_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.words import tell_apart

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
METRICS = ("auc", "accuracy", "sensitivity", "specificity")
BASE = "feature_extractor"  # what every approach is compared with
NOTE = (
    "Means over the seeds, with the smallest and the largest value in brackets, on the test images. A seed decides the "
    "split too, so the same seed means the same test images for every approach; the AUC *against the feature "
    "extractor* is the difference on the same images. AUC, sensitivity and specificity are macro averages, each class "
    "against the rest. Trainable: the parameters that the kept phase trained. Seconds: from the first image read to "
    "the last weight updated, all phases and stages together, features and searches included."
)


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        approach: The name of its line.
        seed: Its seed.
        run: Its directory.
        seconds: Of training, first stages included.
    """

    approach: str
    seed: int
    run: RunDir
    seconds: float

    @cached_property
    def metrics(self) -> dict:
        """Read `metrics.json`."""
        return METRICS_JSON.read(self.run)

    @cached_property
    def plan(self) -> dict:
        """Read `plan.json`."""
        return PLAN_JSON.read(self.run)

    @cached_property
    def recipe(self) -> dict:
        """Read `recipe.json`."""
        return RECIPE_JSON.read(self.run)

    @property
    def kept(self) -> str:
        """Name what was kept: a phase, or the classifier with its parameters."""
        if classifier := self.metrics.get("classifier"):
            chosen = ", ".join(f"{name}={value}" for name, value in classifier["parameters"].items())
            return f"{classifier['name']}({chosen})"
        return f"{self.metrics['kept']['name']}, epoch {self.metrics['kept']['best_epoch']}"

    @property
    def trainable(self) -> int:
        """Count the network's parameters that the kept phase trained; a hybrid has no phase, and trains none."""
        kept = self.metrics.get("kept", {}).get("name")
        return sum(phase["trainable_parameters"] for phase in self.plan["phases"] if phase["name"] == kept)

    def score(self, metric: str) -> float | None:
        """Return a test score; None where it is undefined."""
        return self.metrics["metrics"][metric]["value"]


def make_block(common: Sequence[Result], own: Sequence[Result] = ()) -> str:
    """Return what stands between the marks of the document.

    Args:
        common: Runs of the approaches that are compared.
        own: Runs that get tables of their own.
    """
    parts = [describe_runs([*common, *own])]
    if common:
        parts += ["## Approaches", NOTE, tabulate_approaches(common), "## Every run", tabulate_runs(common)]
    for result in own:
        parts += [f"## {result.approach}", describe_own(result), tabulate_runs([result]), tabulate_degrees(result)]
    return "\n\n".join(parts)


def describe_runs(results: Sequence[Result]) -> str:
    """Return command, images, versions and hardware, as the runs recorded them."""
    environments = [ENVIRONMENT_JSON.read(result.run) for result in results]
    source = results[0].recipe["data"]["source"]
    data = source if source.startswith("tfds:") else Path(source).name  # where it lay says nothing
    height, width = results[0].recipe["data"]["image_size"]
    seeds = sorted({result.seed for result in results})
    command = ["python", "benchmarks/results.py", "--data", data, "--image-size", str(height)]
    command += ["--seeds", *map(str, seeds), "--runs", "runs/results"]
    versions = [f"{name} {' and '.join(found)}" for name, found in collect_versions(environments).items()]
    cores = sorted({str(environment.get("cpus", "?")) for environment in environments})
    devices = sorted({device.partition(":")[0] for environment in environments for device in environment["devices"]})
    return (
        f"Made by `{shlex.join(command)}` from images of {height} x {width} pixels, with {', '.join(versions)}, on "
        f"{' or '.join(cores)} cores ({', '.join(devices)}). Images per class and split, by seed {results[0].seed}:\n\n"
        f"{tabulate_splits(results[0])}"
    )


def collect_versions(environments: Iterable[dict]) -> dict[str, list[str]]:
    """Return every version of every package that the runs were made with, Python's too."""
    found = {}
    for environment in environments:
        for name, version in {"Python": environment["python"], **environment["versions"]}.items():
            found.setdefault(name, set()).add(str(version))
    return {name: sorted(versions) for name, versions in found.items()}


def tabulate_splits(result: Result) -> str:
    """Return images per class and split as a table."""
    rows = SPLITS_CSV.read(result.run)
    cells = Counter((label, row["split"]) for row in rows for label in (row["label"], "all"))
    splits = ("train", "val", "test")
    labels = [*sorted({row["label"] for row in rows}), "all"]
    return table(("class", *splits), [(label, *(str(cells[label, split]) for split in splits)) for label in labels])


def tabulate_approaches(results: Sequence[Result]) -> str:
    """Return one line per approach: means over its seeds."""
    lines = {}
    for result in results:
        lines.setdefault(result.approach, []).append(result)
    base = {result.seed: result for result in lines.get(BASE, [])}
    rows = [
        (
            name,
            str(len(runs)),
            *(spread([run.score(metric) for run in runs]) for metric in METRICS),
            "" if name == BASE else spread(find_differences(runs, base), "+.3f"),
            count_trainable(runs),
            spread([run.seconds for run in runs], ",.0f"),
        )
        for name, runs in lines.items()
    ]
    head = ("approach", "seeds", "test AUC", *METRICS[1:], "AUC against the feature extractor", "trainable", "seconds")
    return table(head, rows)


def find_differences(runs: Sequence[Result], base: dict[int, Result]) -> list[float]:
    """Return AUC minus that of the feature extractor, seed by seed, where both have the same splits."""
    pairs = [(run, base[run.seed]) for run in runs if run.seed in base and has_same_splits(run, base[run.seed])]
    scores = [(run.score("auc"), other.score("auc")) for run, other in pairs]
    return [score - other for score, other in scores if score is not None and other is not None]


def has_same_splits(one: Result, other: Result) -> bool:
    """Tell whether two runs have the same images in the same splits."""
    return (one.run / "splits.csv").read_bytes() == (other.run / "splits.csv").read_bytes()


def count_trainable(runs: Sequence[Result]) -> str:
    """Return the trainable parameters of the kept phases; a hybrid trains none of the network's."""
    if classifier := runs[0].metrics.get("classifier"):
        return f"0 + {classifier['name']}"
    fewest, most = (pick(run.trainable for run in runs) for pick in (min, max))
    return f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"


def tabulate_runs(results: Sequence[Result]) -> str:
    """Return one line per run, AUC with its 95 % interval."""
    rows = []
    for result in results:
        auc = result.metrics["metrics"]["auc"]
        interval = f" ({show(auc['low'])} to {show(auc['high'])})" if auc["low"] is not None else ""
        others = [show(result.score(metric)) for metric in METRICS[1:]]
        first = (result.approach, str(result.seed), show(auc["value"]) + interval)
        rows.append((*first, *others, result.kept, f"{result.trainable:,}", f"{result.seconds:,.0f}"))
    head = ("approach", "seed", "test AUC (95 % interval)", *METRICS[1:], "kept", "trainable", "seconds")
    return table(head, rows)


def describe_own(result: Result) -> str:
    """Say how a run outside the common table was made."""
    plan = result.plan
    epochs = ", ".join(str(phase["epochs"]) for phase in plan["phases"])
    return (
        f"{plan['backbone']} with `{plan['weights']}` weights, {len(plan['phases'])} phases ({epochs} epochs): "
        "another backbone and another schedule than above, to show the degrees, not to be compared."
    )


def tabulate_degrees(result: Result) -> str:
    """Return every degree of fine-tuning of a run."""
    degrees = DEGREES_CSV.read(result.run)
    # Validation AUC chose the degree: one that is lower must not read as if it were equal.
    scores = iter(tell_apart(*(float(row["val_auc"]) for row in degrees if row["val_auc"])))
    ratios = iter(tell_apart(*(float(row["fine_tuning_ratio"]) for row in degrees), places=2))
    rows = [
        (
            row["phase"] + (" (kept)" if row["kept"] == "yes" else ""),
            row["blocks"],
            next(ratios),
            f"{int(row['trainable_parameters']):,}",
            next(scores) if row["val_auc"] else show(None),
            show(float(row["test_auc"]) if row["test_auc"] else None),
            f"{float(row['seconds']):,.0f}",
        )
        for row in degrees
    ]
    head = ("degree", "blocks thawed", "fine-tuning ratio", "trainable", "validation AUC", "test AUC", "seconds")
    return table(head, rows)


def spread(values: Sequence[float | None], form: str = ".3f") -> str:
    """Return the mean and, of several values, the range.

    >>> spread([0.9, 0.8, 1.0]), spread([0.9]), spread([]), spread([-0.01, 0.03], "+.2f")
    ('0.900 (0.800 to 1.000)', '0.900', '', '+0.01 (-0.01 to +0.03)')
    """
    if not values or None in values:
        return "undefined" if values else ""
    mean = f"{statistics.fmean(values):{form}}"
    return mean if len(values) == 1 else f"{mean} ({min(values):{form}} to {max(values):{form}})"


def show(value: float | None) -> str:
    """Return a score with three decimals."""
    return "undefined" if value is None else f"{value:.3f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its first column on the left; bars within cells are escaped."""
    lines = [head, (":--", *("--:" for _ in head[1:])), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_block(document: str, block: str, first: str = BEGIN, last: str = END) -> str:
    """Return a document with what stands between two marks replaced.

    Raises:
        ValueError: If it has not one of each mark, in order.
    """
    before, begin, rest = document.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end or first in rest or last in after:
        raise ValueError(f"The document must have the lines {first} and {last}, once each, in this order.")
    return f"{before}{first}\n\n{block}\n\n{last}{after}"
