"""Train the feature extractor on ever more phantoms, and write what an image costs to docs/performance.md.

    python benchmarks/scale.py --out docs/performance.md

Cost is to grow linearly. A run has a part that does not depend on the number of images (building the network,
converting it for its engine, tracing), so what is looked at is what a further image costs from one row to the next.
The phantoms are generated before the clock starts. Needs ImageNet weights for MobileNetV2.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from performance import Place, read_auc, run_tlmed, write
from result_tables import table

NUMBERS, SIZE, EPOCHS = (1_000, 10_000, 100_000), 32, 10
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"


@dataclass(frozen=True)
class Row:
    """What a run took.

    Attributes:
        images: How many there were.
        seconds: From the first image read to the last weight updated.
        peak_memory_mb: The most memory that the process had.
        auc: On the test images.
    """

    images: int
    seconds: float
    peak_memory_mb: float
    auc: float


def measure(images: int, scratch: Path) -> Row:
    """Run the recipe on so many phantoms, with an empty cache."""
    from tlmed.data import open_source

    source = f"tfds:tlmed_phantoms/images={images},size={SIZE},seed=0"
    open_source(source)
    settings = (f"data.image_size={SIZE},{SIZE}", f"phases.epochs={EPOCHS}", "phases.patience=none", "head.dropout=0.2")
    out = run_tlmed(Place(source, scratch), "feature_extractor", *settings)
    timing = json.loads((out / "timing.json").read_text())
    return Row(images, timing["training_seconds"], timing["peak_memory_mb"], read_auc(out))


def make_table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown, with what a further image costs from each to the next."""
    further = [None] + [
        (after.seconds - before.seconds) / (after.images - before.images) for before, after in itertools.pairwise(rows)
    ]
    head = ("images", "seconds", "ms per image", "ms per further image", "peak memory, MB", "test AUC")
    return table(
        head,
        (
            (
                f"{row.images:,}",
                f"{row.seconds:.1f}",
                f"{1000 * row.seconds / row.images:.2f}",
                "" if cost is None else f"{1000 * cost:.2f}",
                f"{row.peak_memory_mb:,.0f}",
                f"{row.auc:.3f}",
            )
            for row, cost in zip(rows, further, strict=True)
        ),
    )


def main() -> None:
    """Make the runs, print each, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, nargs="+", default=NUMBERS)
    parser.add_argument("--out", type=Path, help="a document with the two marks, such as docs/performance.md")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for images in sorted(options.numbers):
            rows.append(measure(images, Path(scratch)))
            print(rows[-1], flush=True)
    print(make_table(rows))
    if options.out:
        write(options.out, make_table(rows), BEGIN, END)


if __name__ == "__main__":
    main()
