"""How often an advice finds something to learn in random labels: it must not.

    python benchmarks/advice_random_labels.py DATA --draws 40

DATA has class folders. In each draw, images are drawn, and their labels are dealt out anew. A row for each draw goes to
`advice_random_labels.csv` in `--out` as soon as it is there, so that the command goes on where it was stopped.
"""

import argparse
import csv
import shutil
import tempfile
from pathlib import Path

import numpy as np

import tlmed
from tlmed.cli.sweep_command import read_time
from tlmed.recipe import load_recipe, override
from tlmed.run_files.advice_files import read_decision

COLUMNS = ("draw", "learnable", "development_auc", "development_low", "test_auc", "test_low", "test_high", "seconds")


def deal_labels(source: Path, folder: Path, images: int, draw: int) -> None:
    """Copy some images into two folders, by lot."""
    random = np.random.RandomState(draw)
    files = sorted(path for path in source.rglob("*.png"))
    for number, place in enumerate(random.permutation(len(files))[:images]):
        target = folder / "ab"[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[place], target / f"{place}.png")


def measure(asked: argparse.Namespace, draw: int) -> dict:
    """Return what an advice says of random labels."""
    budget, backbones = read_time(asked.budget), tuple(asked.backbones.split(","))
    with tempfile.TemporaryDirectory() as folder:
        deal_labels(asked.data, Path(folder) / "images", asked.images, draw)
        given = {"data.source": f"{folder}/images", "data.image_size": (asked.size, asked.size), "seed": draw}
        recipe = override(load_recipe("feature_extractor"), (), given)
        advice = tlmed.advise(recipe, f"{folder}/advice", budget, accept=True, backbones=backbones, verbose=False)
        content = advice.content
        decision = read_decision(advice.path)
    found, tested = decision["found_auc"], content["answer"]["metrics"]["auc"]
    return {
        "draw": draw,
        "learnable": content["verdict"]["learnable"],
        "development_auc": found["value"],
        "development_low": found["low"],
        "test_auc": tested["value"],
        "test_low": tested["low"],
        "test_high": tested["high"],
        "seconds": round(content["seconds"], 1),
    }


def main() -> None:
    """Draw, advise, and count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--budget", default="3m", help="of each advice")
    parser.add_argument("--backbones", default="MobileNetV2")
    parser.add_argument("--out", type=Path, default=Path())
    asked = parser.parse_args()
    file = asked.out / "advice_random_labels.csv"
    rows = list(csv.DictReader(file.open(newline=""))) if file.exists() else []
    known = {int(row["draw"]) for row in rows}
    for draw in (draw for draw in range(asked.draws) if draw not in known):
        row = measure(asked, draw)
        with file.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
        rows.append({name: str(value) for name, value in row.items()})
        print(row, flush=True)
    counts = {kind: sum(row["learnable"] == kind for row in rows) for kind in ("no", "unsure", "yes")}
    print(f"{len(rows)} draws: {counts}")


if __name__ == "__main__":
    main()
