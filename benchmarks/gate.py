"""Measure the gate: what it finds of what was planted, what it calls wrong although it is right, and how long it takes.

    python benchmarks/gate.py copies plant --data DIR [--features]
    python benchmarks/gate.py real DIR
    python benchmarks/gate.py shortcuts planted|permuted|real --data DIR
    python benchmarks/gate.py labels --data DIR
    python benchmarks/gate.py forecast DIR [SEEDS]
    python benchmarks/gate.py speed [IMAGES]

`DIR` holds real data sets (`busi`, `cxr-pediatric`, `nih-cxr-64`, `ct-contrast-dicom`, `medmnist`). Each part is a
module beside this one; `--help` after its name shows its options. Tables of all parts are in docs/gate.md.
"""

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

PARTS = ("copies", "forecast", "labels", "real", "shortcuts")
SIDE, FEATURES, PATIENTS = 256, 1280, 4  # pixels, numbers of an image, images of a patient


def write_images(folder: Path, images: int) -> None:
    """Write gray pictures of two classes: smooth noise, as ultrasound is, with a bright spot in one class."""

    def write(number: int) -> None:
        random = np.random.RandomState(number)
        coarse = Image.fromarray(random.randint(0, 256, (24, 24), np.uint8)).resize((SIDE, SIDE), Image.BICUBIC)
        pixels = np.asarray(coarse, np.float32) * 0.7 + random.normal(0, 12, (SIDE, SIDE)) + 20
        label = number // PATIENTS % 2
        if label:
            row, column = random.randint(60, 180, 2)
            pixels[row : row + 20, column : column + 20] += 60
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            folder / "ab"[label] / f"p{number // PATIENTS}_{number}.png"
        )

    for name in "ab":
        (folder / name).mkdir()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(images)))


def read_clocks() -> np.ndarray:
    """Return the time, and the processor time of this process, in seconds, float [2]."""
    return np.array([time.perf_counter(), time.process_time()])


def measure_speed(images: int) -> None:
    """Print how long reading and each check take, without features and with drawn ones.

    Seconds of processors are shown beside those of the clock: they are nearly the same on a machine that does other
    work, too.
    """
    from tlmed.quiet import import_tensorflow

    import_tensorflow()
    from tlmed.data import load
    from tlmed.gate.battery import CHEAP, DESCRIBING, WITH_FEATURES, conduct
    from tlmed.gate.evidence import gather
    from tlmed.gate.learning_curves import forecast

    rows, start = [], read_clocks()

    def note(name: str) -> None:
        nonlocal start
        now = read_clocks()
        rows.append((name, now - start))
        start = now

    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), images)
        start = read_clocks()
        found = load(folder, (224, 224))
        evidence = gather(found)
    note("read, decode and measure")
    for check in CHEAP:
        list(conduct(evidence, (check,)))
        note(check.__name__)
    cheap = sum(spent for _, spent in rows)
    random = np.random.RandomState(0)
    features = random.normal(0, 1, (images, FEATURES)).astype(np.float32)
    features[:, :20] += found.table.labels[:, None] * random.normal(0, 1, 20)
    evidence = replace(evidence, features=features)
    start = read_clocks()
    for check in (*WITH_FEATURES, forecast, *DESCRIBING):
        list(conduct(evidence, (check,)))
        note(check.__name__)
    print(f"| {images:,} images of {SIDE} px | seconds | seconds of processors |\n|---|--:|--:|")
    rows += [("together without features", cheap)]
    rows += [("together with features, once these are cached", sum(spent for _, spent in rows[:-1]) - cheap)]
    for name, (seconds, of_processors) in rows:
        print(f"| {name} | {seconds:.1f} | {of_processors:.1f} |")


def main(part: str, *options: str) -> int:
    """Run a part, and return its exit status."""
    if part == "speed":
        measure_speed(int(*options or ["10000"]))
        return 0
    if part not in PARTS:
        print(f"A part must be one of {', '.join(PARTS)}, speed. Received: {part}.", file=sys.stderr)
        return 2
    return subprocess.run(
        [sys.executable, Path(__file__).with_name(f"gate_{part}.py"), *options], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or [""]))
