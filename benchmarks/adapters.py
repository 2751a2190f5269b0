"""Measure memory and seconds per step of adapters beside full fine-tuning, as a table in Markdown.

    python benchmarks/adapters.py [--backbones MobileNetV2,ViT] [--size 224] [--batch 16] [--steps 5] [--rounds 2]

All blocks are thawed, with BatchNorm frozen; weights and images are random: neither time nor memory depends on them.
Each way is measured in a process of its own, the ways in turn, `--rounds` times. Seconds are the median of all steps
after two that warm up; memory is by how much the resident set of the process grew at most, from the network before
`thaw` to the last step: optimizer, gradients and activations. "ViT" is ViT-Small/16 of keras-hub.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

WAYS = {"all weights": {}, "lora": {"adapt": "lora", "rank": 8}, "ssf": {"adapt": "ssf"}, "bitfit": {"adapt": "bitfit"}}
CLASSES, WARM = 3, 2


def build(name: str, size: int):
    """Return a backbone with random weights, on raw images."""
    from tlmed import backbones

    if name != "ViT":
        return backbones.build(name, "none", (size, size)).model
    import tempfile

    import keras_hub

    with tempfile.TemporaryDirectory() as folder:
        vit = keras_hub.models.ViTBackbone((size, size, 3), 16, 12, 6, 384, 1536)
        vit.save_to_preset(folder)
        keras_hub.layers.ViTImageConverter(image_size=(size, size), scale=1 / 255).save_to_preset(folder)
        return backbones.build(f"hub:{folder}", "own", (size, size)).model


def measure(name: str, way: str, size: int, batch: int, steps: int) -> dict:
    """Return the trained numbers, the seconds of each step and the growth of memory of one way, in this process."""
    from tlmed.quiet import import_tensorflow

    import_tensorflow()
    import numpy as np

    from tlmed.heads.dense import attach_head
    from tlmed.phases import thaw
    from tlmed.recipe import Phase

    model = attach_head(build(name, size), CLASSES, seed=1)
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (batch, size, size, 3)).astype("uint8")
    labels = random.randint(0, CLASSES, batch)
    before = read_memory("VmRSS")
    thaw(model, Phase("p", thaw="all", epochs=1, learning_rate=1e-4, **WAYS[way]))
    taken = []
    for _ in range(WARM + steps):
        begin = time.perf_counter()
        model.train_on_batch(images, labels)
        taken.append(time.perf_counter() - begin)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    return {"trained": trained, "seconds": taken[WARM:], "memory": read_memory("VmHWM") - before}


def read_memory(name: str) -> float:
    """Return the resident set of this process now (`VmRSS`) or at its largest (`VmHWM`), in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure every way for every backbone, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default="MobileNetV2,ViT")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("BACKBONE", "WAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(*given.one, given.size, given.batch, given.steps)))
        return
    print("| backbone | trained | numbers | memory | seconds per step |\n|---|---|---|---|---|")
    for name in given.backbones.split(","):
        found = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way in WAYS:
                found[way].append(call(name, way, given))
        for way, rounds in found.items():
            seconds = statistics.median(second for each in rounds for second in each["seconds"])
            memory = max(each["memory"] for each in rounds)
            print(f"| {name} | {way} | {rounds[0]['trained']:,} | {memory:,.0f} MB | {seconds:.2f} |", flush=True)


def call(name: str, way: str, given: argparse.Namespace) -> dict:
    """Return what `measure` finds in another process."""
    words = [sys.executable, __file__, "--one", name, way]
    for option in ("size", "batch", "steps"):
        words += [f"--{option}", str(getattr(given, option))]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
