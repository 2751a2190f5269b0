"""Export a run in all formats, and write the table of docs/exporting.md: size, AUC and time of each model.

    python benchmarks/export.py --run runs/busi --out exported

The times are those of the processor for one image on one core, all models in turn, many times; the median counts. Only
their ratios mean anything elsewhere. OpenVINO and ONNX Runtime are given one thread, too. Needs the extra `export`.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from result_tables import replace_block, table

from tlmed.conversion import FORMATS, Request, export_run
from tlmed.conversion.export_graph import IMAGES
from tlmed.conversion.format_runs import open_litert
from tlmed.conversion.quantization_loss import say_loss
from tlmed.errors import CheckFailed
from tlmed.whole_files import write_text

BEGIN, END = "<!-- export: begin -->", "<!-- export: end -->"
MODELS = (
    *(("onnx", None), ("openvino", None), ("openvino", "float16")),
    *(("litert", None), ("litert", "float16"), ("litert", "int8")),
)
ROUNDS, CALLS = 15, 10


def open_single(name: str, path: Path):
    """Return what runs a model over one image, with one thread."""
    if name == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda image: session.run(None, {IMAGES: image})
    if name == "openvino":
        import openvino

        model = openvino.Core().compile_model(
            path, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        )
        return lambda image: model(image)
    return open_litert(path, threads=1)


def measure(runs: list, image: np.ndarray) -> list[float]:
    """Return the median milliseconds of each, called in turn."""
    seconds = [[] for _ in runs]
    for round_ in range(ROUNDS + 1):
        for own, run in zip(seconds, runs, strict=True):
            start = time.process_time()
            for _ in range(CALLS):
                run(image)
            if round_:  # the first one warms up
                own.append((time.process_time() - start) / CALLS)
    return [1000 * statistics.median(own) for own in seconds]


def export_all(run: Path, out: Path, most: float) -> list[tuple[str, str | None, dict]]:
    """Export a run in all formats, unless it is done; return the facts of each model."""
    found = []
    for name, quantize in MODELS:
        folder = out / "-".join(filter(None, (name, quantize)))
        if not folder.exists():
            try:
                export_run(run, Request(FORMATS[name], quantize, most), folder)
            except CheckFailed as error:
                print(f"{folder.name}: {error}", flush=True)
                continue
        found.append((name, quantize, json.loads((folder / "model.json").read_text())))
        print(folder.name, found[-1][2].get("auc_loss", ""), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-loss", type=float, default=0.005)
    parser.add_argument("--page", type=Path, help="where the table is written; by default it is printed")
    options = parser.parse_args()
    models = export_all(options.run, options.out, options.max_loss)
    folders = [options.out / "-".join(filter(None, (name, quantize))) for name, quantize, _ in models]
    opened = [
        open_single(name, folder / facts["file"]) for (name, _, facts), folder in zip(models, folders, strict=True)
    ]
    image = np.random.default_rng(0).integers(256, size=(1, *models[0][2]["pixels"]["size"], 3)).astype("uint8")
    times = measure(opened, image)
    base = times[[(name, quantize) for name, quantize, _ in models].index(("litert", None))]
    rows = []
    for (name, quantize, facts), folder, spent in zip(models, folders, times, strict=True):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.name.startswith("model.")) / 1e6
        loss = say_loss(facts["auc_loss"]) if quantize else "-"
        differ = f"{facts['agreement']['largest_difference']:.1e}"
        rows.append((name, quantize or "float32", f"{size:.1f}", differ, loss, f"{spent:.2f}", f"{base / spent:.2f}"))
    header = (
        "format",
        "numbers",
        "MB",
        "largest difference",
        "AUC lost",
        "ms per image",
        "times as fast as LiteRT float32",
    )
    text = table(header, rows)
    print(text)
    if options.page:
        write_text(options.page, replace_block(options.page.read_text(), text, BEGIN, END))


if __name__ == "__main__":
    main()
