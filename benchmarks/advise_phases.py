"""By what few validation images should tell whether all layers are kept, or the head alone: by AUC or by log loss.

    python benchmarks/advise_phases.py --data DATA --runs runs/phases --sets nih-cxr-64 --size 64 --most 800
    python benchmarks/advise_phases.py --data DATA --runs runs/phases --sets busi breastmnist --size 64 --most 300

DATA is as for `head_ways.py`, and images are divided as in `advise.py`. The recipe `lp_ft` is trained with
`score_degrees=True`: the head, then all layers, each scored on validation and on test images. Each training becomes a
row of benchmarks/advise_phases.csv when it is over, and what has a row is not run again. Then the table is printed, and
written into the document if it has the two marks; without DATA nothing else is done.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from advise import Draw, list_draws
from head_ways import SETS, add_row, read_rows
from result_tables import replace_block, table

import tlmed
from tlmed.recipe import override
from tlmed.run_files import DEGREES_CSV, METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.whole_files import write_text

ROWS = Path(__file__).with_suffix(".csv")
BEGIN, END = "<!-- phases: begin -->", "<!-- phases: end -->"
KEYS = ("set", "most", "size", "seed")
HEAD, ALL = "head", "all"
SCORES = ("val_auc", "val_loss", "test_auc")
COLUMNS = (*KEYS, "test_images", *(f"{phase}_{score}" for phase in (HEAD, ALL) for score in SCORES))


def measure(draw: Draw) -> dict:
    """Train the recipe on a draw; return its row without the keys."""
    given = [each for each in draw.settings[2:] if each != "--set"]
    out = draw.folder / "phases"
    recipe = override(tlmed.load_recipe("lp_ft"), [*given, f"seed={draw.seed}", "score_degrees=True", "examples=0"])
    tlmed.train(recipe, out, draw.source, report=False, verbose=False)
    found = {row["phase"]: row for row in DEGREES_CSV.read(RunDir(out))}
    scores = {f"{phase}_{score}": round(float(found[phase][score]), 4) for phase in (HEAD, ALL) for score in SCORES}
    return {"test_images": METRICS_JSON.read(RunDir(out))["n"], **scores}


def _gain(row, score) -> float:
    return float(row[f"{ALL}_{score}"]) - float(row[f"{HEAD}_{score}"])


# Whether all layers are kept.
WAYS: dict[str, Callable[[dict], bool]] = {
    "higher AUC": lambda row: _gain(row, "val_auc") > 0,
    "lower log loss": lambda row: _gain(row, "val_loss") < 0,
    "both": lambda row: _gain(row, "val_auc") > 0 and _gain(row, "val_loss") <= 0,
}


def tabulate(rows: Sequence[dict]) -> str:
    """Return the mean test AUC of each set: of the head, of all layers, and of what each way keeps."""

    def place(row):
        return row["set"], int(row["most"] or 0), int(row["size"])

    lines = []
    for (name, most, size), group in itertools.groupby(sorted(rows, key=place), place):
        own = list(group)
        scores = [[float(row[f"{phase}_test_auc"]) for phase in (HEAD, ALL)] for row in own]
        kept = [[both[is_all(row)] for is_all in WAYS.values()] for row, both in zip(own, scores, strict=True)]
        apart = [last - first for first, *_, last in kept if last != first]
        counts = f"{sum(each > 0 for each in apart)} / {sum(each < 0 for each in apart)}"
        means = [f"{statistics.fmean(column):.3f}" for column in (*zip(*scores, strict=True), *zip(*kept, strict=True))]
        lines.append((f"{name}, {size} px", f"{most:,}" if most else "all", str(len(own)), *means, counts))
    return table(("images", "at most", "draws", HEAD, "all layers", *WAYS, "both: better / worse"), lines)


def main() -> None:
    """Run what has no row, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets; without it nothing is run")
    parser.add_argument("--runs", type=Path, default=Path("runs/phases"), help="for copies of images and runs")
    parser.add_argument("--sets", nargs="+", choices=[each.name for each in SETS], default=("nih-cxr-64",))
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2, 3, 4))
    parser.add_argument("--size", type=int, default=64, help="height and width of the images, in pixels")
    parser.add_argument("--most", type=int, help="images of a set, drawn by patient; by default all")
    parser.add_argument("--out", type=Path, default=Path("docs/advise_rules.md"))
    options = parser.parse_args()
    for draw in list_draws(options) if options.data else ():
        values = (draw.chosen.name, str(options.most or ""), str(draw.size), str(draw.seed))
        key = dict(zip(KEYS, values, strict=True))
        if not any(key.items() <= row.items() for row in read_rows(ROWS)):
            add_row(key | (found := measure(draw)), ROWS, COLUMNS)
            print(key | found, flush=True)
    block = tabulate(read_rows(ROWS))
    print(block)
    if options.out.exists() and BEGIN in (document := options.out.read_text(encoding="utf-8")):
        write_text(options.out, replace_block(document, block, BEGIN, END))


if __name__ == "__main__":
    main()
