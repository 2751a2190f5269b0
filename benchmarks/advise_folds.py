"""What networks of folds add to one of all development images, on the draws of `advise.py`.

    python benchmarks/advise_folds.py --runs runs/advise --size 64 --most 800 --share 0.4

RUNS are those of `advise.py`: of each draw the runs of two recipes, and an advice with the networks that it has tried.
`lp_ft` is joined with networks of all layers on folds, `feature_extractor` with those of the probe; where an advice has
tried none, `--train` trains them by the recipe itself, on five folds. The scores are those of the draw's test images:
of the recipe alone, with the first network of a fold, with all of them, and with the recipe `surgical` in their place.
Each draw becomes a row of benchmarks/advise_folds.csv; then the table of their means is printed, and written into the
document if it has the two marks.
"""

import argparse
import dataclasses
import re
import statistics
from pathlib import Path

from head_ways import SETS, add_row, read_rows
from result_tables import replace_block, table

import tlmed
from tlmed.ensembles import make_ensemble, score_put_aside
from tlmed.recipe import from_json
from tlmed.run_files import METRICS_JSON, RECIPE_JSON
from tlmed.rundir import RunDir, find_run
from tlmed.sections import KFold
from tlmed.whole_files import write_text

ROWS = Path(__file__).with_suffix(".csv")
BEGIN, END = "<!-- folds: begin -->", "<!-- folds: end -->"
TRIED = {"lp_ft": "whole-MobileNetV2", "feature_extractor": "probe-MobileNetV2"}  # recipe to the trial of an advice
OTHER = "surgical"  # of other rates, on the same images
KEYS = ("set", "most", "size", "seed", "recipe")
SCORES = ("auc", "log_loss", "accuracy")
COLUMNS = (*KEYS, "folds", *(f"{score}_{way}" for way in ("alone", "first", "all", "other") for score in SCORES))


def list_folds(draw: Path, recipe: str, share: str, train: bool) -> list[RunDir]:
    """Return runs of the first five folds of the development images, by a trial of an advice or by the recipe."""
    tried = draw / f"advise-{share}" / "tried"
    found = sorted(path for path in tried.glob(f"{TRIED[recipe]}-fold0[1-5]") if RunDir(path).complete)
    if not found and train:
        whole = from_json(RECIPE_JSON.read(find_run(draw / recipe)))
        for fold in range(1, 6):
            data = dataclasses.replace(whole.data, inner=KFold(5, fold=fold))
            own = dataclasses.replace(whole, data=data, examples=0)
            found.append(tlmed.train(own, draw / f"{recipe}-fold{fold:02d}", report=False, verbose=False).path)
    return [find_run(path) for path in found]


def read_scores(metrics: dict) -> list[float]:
    """Return AUC, log loss after calibration, and accuracy."""
    calibrated = metrics["calibration"]["metrics"]["log_loss"]["value"]
    return [metrics["metrics"]["auc"]["value"], calibrated, metrics["metrics"]["accuracy"]["value"]]


def measure(draw: Path, recipe: str, share: str, train: bool) -> dict | None:
    """Return the row of a draw without its keys; None where there are no networks of folds."""
    run, runs = find_run(draw / recipe), list_folds(draw, recipe, share, train)
    if not runs:
        return None
    folds = score_put_aside(runs)
    made = [make_ensemble([run], folds=folds[:number]).result for number in (1, len(folds))]
    other = make_ensemble([run, find_run(draw / OTHER)]).result if recipe != "feature_extractor" else None
    found = [METRICS_JSON.read(run), *made, *([other] if other else [])]
    scores = [round(value, 4) for each in found for value in read_scores(each)]
    return dict(zip(COLUMNS[len(KEYS) :], [len(runs), *scores, *[""] * (0 if other else 3)], strict=True))


def tabulate(rows: list[dict]) -> str:
    """Return the table of means over draws."""
    lines = []
    for recipe, name in dict.fromkeys((row["recipe"], row["set"]) for row in rows):
        own = [row for row in rows if (row["recipe"], row["set"]) == (recipe, name)]
        mean = {key: statistics.fmean(float(row[key]) for row in own) for key in COLUMNS[len(KEYS) :] if own[0][key]}
        counts = sorted({row["folds"] for row in own})
        gained = sum(float(row["auc_all"]) > float(row["auc_alone"]) for row in own)
        shown = [
            f"{mean[key]:.3f}" if key in mean else "" for key in ("auc_alone", "auc_first", "auc_all", "auc_other")
        ]
        rest = [f"{mean[f'{key}_{way}']:.3f}" for key in SCORES[1:] for way in ("alone", "all")]
        lines.append(
            (
                f"`{recipe}`",
                name,
                "-".join(dict.fromkeys((counts[0], counts[-1]))),
                *shown,
                f"{gained} of {len(own)}",
                *rest,
            )
        )
    head = ("recipe", "set", "folds", "AUC alone", "with one", "with all", f"with `{OTHER}`", "draws gained in")
    return table((*head, "log loss alone", "with all", "accuracy alone", "with all"), lines)


def main() -> None:
    """Measure what has no row, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="those of advise.py; without them nothing is measured")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--most", type=int)
    parser.add_argument("--share", default="0.4", help="the budget of the advices whose trials are taken")
    parser.add_argument("--train", action="store_true", help="train the folds that no advice has tried")
    parser.add_argument("--out", type=Path, default=Path("docs/advise_rules.md"))
    options = parser.parse_args()
    for chosen in SETS if options.runs else ():
        place = f"{chosen.name}-{options.most or 'all'}-{options.size}"
        for draw in sorted(options.runs.glob(f"{place}-*")):
            for recipe in TRIED:
                values = (
                    chosen.name,
                    str(options.most or ""),
                    str(options.size),
                    re.findall(r"\d+$", draw.name)[0],
                    recipe,
                )
                key = dict(zip(KEYS, values, strict=True))
                if any(key.items() <= row.items() for row in read_rows(ROWS)):
                    continue
                if found := measure(draw, recipe, options.share, options.train):
                    add_row(key | found, ROWS, COLUMNS)
                    print(key | found, flush=True)
    block = tabulate(read_rows(ROWS))
    print(block)
    if options.out.exists() and BEGIN in (document := options.out.read_text(encoding="utf-8")):
        write_text(options.out, replace_block(document, block, BEGIN, END))


if __name__ == "__main__":
    main()
