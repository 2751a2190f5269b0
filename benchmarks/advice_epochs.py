"""For how many epochs all layers must be trained: the recipe `lp_ft` with fewer and with more, on the same test images.

    python benchmarks/advice_epochs.py --data DATA --runs runs/epochs --sets busi --seeds 1 2 --epochs 8
    python benchmarks/advice_epochs.py --data DATA --runs runs/epochs --sets busi --seeds 1 2 --epochs 16 --augmented

Images are divided as in `advise.py`, whose rows of `lp_ft` are those of 16 epochs. With `--augmented`, four versions of
each training image are made by the preset of its kind. Each training becomes a row of
benchmarks/advice_epochs.csv when it is over, and what has a row is not run again. Then the table is printed, and
written into the document if it has the two marks; without DATA nothing else is done.
"""

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path

from advise import ROWS as OTHERS
from advise import Draw, call, list_draws, read_auc
from head_ways import SETS, add_row, read_rows
from result_tables import replace_block, table

from tlmed.recipe import read_recipe
from tlmed.whole_files import write_text

ROWS = Path(__file__).with_suffix(".csv")
BEGIN, END = "<!-- epochs: begin -->", "<!-- epochs: end -->"
KEYS = ("set", "most", "size", "seed", "epochs", "preset")
COLUMNS = (*KEYS, "auc", "seconds", "processor_seconds")
RECIPE, GIVEN = "lp_ft", 16
PRESETS = {"busi": "sonography", "cxr-pediatric": "chest-x-ray", "nih-cxr-64": "chest-x-ray", "ct-contrast-dicom": "ct"}
VERSIONS = 4  # of an augmented image, so that the head can be solved


def measure(draw: Draw, epochs: int, preset: str) -> dict:
    """Train all layers for so many epochs; return what the row says of it.

    Args:
        draw: The images.
        epochs: For how many.
        preset: Of augmentation; "" for none.
    """
    name = f"epochs{epochs}{'-' if preset else ''}{preset}"
    folder, recipe = draw.folder / name, draw.folder / f"{name}.py"
    draw.folder.mkdir(parents=True, exist_ok=True)
    write_text(recipe, read_recipe(RECIPE).text.replace(f"epochs={GIVEN}", f"epochs={epochs}"))
    augment = ["--set", f"augment.preset={preset}", "--set", f"augment.views={VERSIONS}"] if preset else []
    given = ["train", str(recipe), *draw.settings, *augment, "--seed", str(draw.seed), "--out", str(folder)]
    seconds, processor = call(given, folder, draw.folder / "cache")
    return {"auc": read_auc(folder), "seconds": round(seconds, 1), "processor_seconds": round(processor, 1)}


def read_all() -> list[dict]:
    """Return the rows of this table, and those of the recipe as it is."""
    given = [row | {"epochs": str(GIVEN), "preset": ""} for row in read_rows(OTHERS) if row["way"] == RECIPE]
    return [{name: row[name] for name in COLUMNS} for row in (*given, *read_rows(ROWS))]


def make_table(rows: Sequence[dict]) -> str:
    """Return the mean AUC of each set and number of epochs, and that of the recipe on the same draws.

    Args:
        rows: Of all draws.
    """
    usual = {_name(row): row for row in rows if _place(row)[2:] == (GIVEN, "")}
    lines = []
    for (name, size, epochs, preset), own in itertools.groupby(sorted(rows, key=_place), _place):
        pairs = [(row, usual[key]) for row in own if (key := _name(row)) in usual]
        if (epochs, preset) == (GIVEN, "") or not pairs:
            continue
        auc = [[float(row["auc"]) for row in column] for column in zip(*pairs, strict=True)]
        apart = [one - other for one, other in zip(*auc, strict=True)]
        taken = [sum(float(row["processor_seconds"]) for row in column) for column in zip(*pairs, strict=True)]
        lines.append(
            (
                f"{name}, {size} px",
                str(epochs),
                preset,
                str(len(pairs)),
                *(f"{statistics.fmean(values):.3f}" for values in auc),
                f"{statistics.fmean(apart):+.3f}",
                f"{min(apart):+.3f}",
                f"{taken[0] / taken[1]:.0%}",
            )
        )
    head = (
        "images",
        "epochs",
        "augmented",
        "draws",
        "AUC",
        f"AUC with {GIVEN}",
        "difference",
        "worst draw",
        "processor seconds",
    )
    return table(head, lines)


def _place(row) -> tuple[str, int, int, str]:
    return row["set"], int(row["size"]), int(row["epochs"]), row["preset"]


def _name(row) -> tuple[str, ...]:
    """Return what names a draw."""
    return tuple(row[field] for field in ("set", "most", "size", "seed"))


def main() -> None:
    """Run, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets; without it nothing is run")
    parser.add_argument("--runs", type=Path, default=Path("runs/epochs"), help="for copies of images, runs, features")
    parser.add_argument("--sets", nargs="+", choices=[chosen.name for chosen in SETS], default=("busi",))
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2, 3, 4))
    parser.add_argument("--epochs", type=int, nargs="+", default=(8,))
    parser.add_argument("--augmented", action="store_true", help="by the preset of each kind of image")
    parser.add_argument("--size", type=int, default=64, help="height and width of the images, in pixels")
    parser.add_argument("--most", type=int, default=800, help="images of a set, drawn by patient")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/advise_rules.md"), help="the document with the two marks"
    )
    parser.set_defaults(budget="none")
    asked = parser.parse_args()
    for draw, epochs in itertools.product(list_draws(asked) if asked.data else (), asked.epochs):
        preset = PRESETS[draw.chosen.name] if asked.augmented else ""
        own = (draw.chosen.name, asked.most, asked.size, draw.seed, epochs, preset)
        key = dict(zip(KEYS, map(str, own), strict=True))
        if any(key.items() <= row.items() for row in read_all()):
            continue
        row = key | measure(draw, epochs, preset)
        add_row(row, ROWS, COLUMNS)
        print(row, flush=True)
    block = make_table(read_all())
    print(block)
    if asked.out.exists() and BEGIN in (document := asked.out.read_text(encoding="utf-8")):
        write_text(asked.out, replace_block(document, block, BEGIN, END))


if __name__ == "__main__":
    main()
