import importlib
import re
from pathlib import Path

import pytest

from tlmed import whole_files
from tlmed.run_files import DEGREES_CSV, SPLITS_CSV
from tlmed.rundir import RunDir

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MARKS = "# Results\n\nBefore.\n\n<!-- results: begin -->\n\nold\n\n<!-- results: end -->\n\nBehind.\n"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("results")


@pytest.fixture
def tables(results):
    return importlib.import_module("result_tables")


def write_run(folder, auc=0.9, kept="top", classifier=None, splits=0, seconds=60.0):
    """Write what the tables read of a complete run."""
    folder.mkdir(parents=True)
    entry = {"value": auc, "low": auc - 0.05, "high": auc + 0.04, "method": "bootstrap"}
    metrics = {
        "classes": ["a", "b"],
        "metrics": dict.fromkeys(("auc", "accuracy", "sensitivity", "specificity"), entry),
    }
    metrics |= {"classifier": classifier} if classifier else {"kept": {"name": kept, "best_epoch": 7}}
    phases = [{"name": "head", "trainable_parameters": 3_843, "epochs": 4}]
    phases.append({"name": "top", "trainable_parameters": 1_009_843, "epochs": 3})
    files = {
        "metrics.json": metrics,
        "plan.json": {"backbone": "VGG16", "weights": "bsds500", "phases": [] if classifier else phases},
        "recipe.json": {"data": {"source": "/somewhere/busi", "image_size": [128, 128]}},
        "environment.json": {
            "python": "3.11.2",
            "versions": {"tlmed": "0.1.0", "keras": "3.15.1"},
            "cpus": 2,
            "devices": ["CPU: /physical_device:CPU:0"],
        },
        "timing.json": {"training_seconds": seconds},
    }
    for name, content in files.items():
        whole_files.write_json(folder / name, content)
    rows = [
        {"path": f"{label}/{i}.png", "label": label, "group": "", "split": split, "sha256": 64 * "0"}
        for label in "ab"
        for i, split in enumerate("test" if i == splits else "train" for i in range(3))
    ]
    SPLITS_CSV.write(RunDir(folder), rows)
    return folder


def write_degrees(folder):
    values = {name: "1" for name in DEGREES_CSV.columns} | {"val_auc": "0.91234", "test_auc": "", "seconds": "61.2"}
    rows = [
        {**values, "phase": "head", "blocks": "0", "fine_tuning_ratio": "0.0", "kept": "no"},
        {**values, "phase": "block5", "trainable_parameters": "1009843", "fine_tuning_ratio": "0.2308", "kept": "yes"},
    ]
    whole_files.write_csv(folder / "degrees.csv", DEGREES_CSV.columns, [list(row.values()) for row in rows])


def write_document(results, tmp_path):
    out = tmp_path / "results.md"
    out.write_text(MARKS)
    count = results.write_tables(tmp_path / "runs", out)
    return count, out.read_text()


def lines_of(text, first):
    return [line for line in text.splitlines() if line.startswith(f"| {first} |")]


def test_means_ranges_and_differences_on_the_same_test_images(results, tmp_path):
    runs = tmp_path / "runs"
    for seed, base, tuned in ((0, 0.90, 0.92), (1, 0.88, 0.87), (10, 0.86, 0.91)):
        write_run(runs / f"feature_extractor-{seed}", base, "head", splits=seed % 3, seconds=10 + seed)
        write_run(runs / f"fine_tuning-{seed}", tuned, "head" if seed else "top", splits=seed % 3)
    count, text = write_document(results, tmp_path)
    assert count == 6
    base, *base_runs = lines_of(text, "feature_extractor")
    tuned, *_ = lines_of(text, "fine_tuning")
    assert base.startswith("| feature_extractor | 3 | 0.880 (0.860 to 0.900) | ")
    assert base.endswith(" |  | 3,843 | 14 (10 to 20) |")
    assert "| +0.020 (-0.010 to +0.050) | 3,843 to 1,009,843 | 60 (60 to 60) |" in tuned
    assert [line.split(" | ")[1] for line in base_runs] == ["0", "1", "10"]
    assert "| 0.900 (0.850 to 0.940) |" in base_runs[0]
    assert "| head, epoch 7 | 3,843 |" in base_runs[0]


def test_other_test_images_are_not_compared(results, tmp_path):
    write_run(tmp_path / "runs" / "feature_extractor-0", 0.8, splits=0)
    write_run(tmp_path / "runs" / "blockwise-0", 0.9, splits=1)
    text = write_document(results, tmp_path)[1]
    assert "|  | 1,009,843 | 60 |" in lines_of(text, "blockwise")[0]


def test_a_hybrid_trains_nothing_of_the_network(results, tmp_path):
    classifier = {"name": "SVC", "parameters": {"C": 10, "gamma": "scale"}}
    write_run(tmp_path / "runs" / "hybrid_svc-0", classifier=classifier)
    text = write_document(results, tmp_path)[1]
    mean, single = lines_of(text, "hybrid_svc")
    assert "| 0 + SVC |" in mean
    assert "| SVC(C=10, gamma=scale) | 0 |" in single


def test_the_first_stage_costs_its_seconds(results, tmp_path):
    write_run(tmp_path / "runs" / "multi_stage-0", seconds=60)
    write_run(tmp_path / "runs" / "multi_stage-first-0", seconds=100)
    count, text = write_document(results, tmp_path)
    assert count == 1
    assert lines_of(text, "multi_stage")[0].endswith("| 160 |")


def test_vgg16_has_a_table_of_its_own_with_every_degree(results, tmp_path):
    write_run(tmp_path / "runs" / "feature_extractor-0")
    write_degrees(write_run(tmp_path / "runs" / "vgg16_blockwise-0"))
    text = write_document(results, tmp_path)[1]
    common, own = text.split("## vgg16_blockwise")
    assert "vgg16_blockwise" not in common
    assert "VGG16 with `bsds500` weights, 2 phases (4, 3 epochs)" in own
    assert lines_of(own, "head") == ["| head | 0 | 0.00 | 1 | 0.912 | undefined | 61 |"]
    assert lines_of(own, "block5 (kept)") == ["| block5 (kept) | 1 | 0.23 | 1,009,843 | 0.912 | undefined | 61 |"]


def test_a_degree_that_was_not_kept_does_not_read_like_the_kept_one(results, tmp_path):
    folder = write_run(tmp_path / "runs" / "vgg16_blockwise-0")
    write_run(tmp_path / "runs" / "feature_extractor-0")
    write_degrees(folder)
    file = folder / "degrees.csv"
    file.write_text(file.read_text().replace("0.91234", "0.91229", 1))
    text = write_document(results, tmp_path)[1]
    assert "| 0.91229 | undefined |" in lines_of(text, "head")[-1]
    assert "| 0.91234 | undefined |" in lines_of(text, "block5 (kept)")[-1]


def test_the_document_keeps_what_is_outside_the_marks(results, tmp_path):
    write_run(tmp_path / "runs" / "fine_tuning-0")
    text = write_document(results, tmp_path)[1]
    assert text.startswith("# Results\n\nBefore.\n\n<!-- results: begin -->\n\nMade by `python benchmarks/results.py")
    assert text.endswith("<!-- results: end -->\n\nBehind.\n")
    assert "old" not in text
    assert "/somewhere" not in text
    assert "--data busi --image-size 128 --seeds 0 " in text
    assert "Python 3.11.2, tlmed 0.1.0, keras 3.15.1, on 2 cores (CPU)" in text
    assert lines_of(text, "all") == ["| all | 4 | 0 | 2 |"]
    again = tmp_path / "results.md"
    results.write_tables(tmp_path / "runs", again)
    assert again.read_text() == text


def test_every_table_is_rectangular(results, tmp_path):
    write_run(tmp_path / "runs" / "feature_extractor-0")
    write_run(tmp_path / "runs" / "hybrid_svc-0", classifier={"name": "SVC", "parameters": {"kernel": "a|b"}})
    write_degrees(write_run(tmp_path / "runs" / "vgg16_blockwise-0"))
    text = write_document(results, tmp_path)[1]
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.M)
    assert len(tables) == 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_no_finished_run_leaves_the_document_as_it_is(results, tmp_path):
    (write_run(tmp_path / "runs" / "fine_tuning-0") / "UNFINISHED").write_text("Started.\n")
    assert write_document(results, tmp_path) == (0, MARKS)


@pytest.mark.parametrize("document", ["", "<!-- results: begin -->", MARKS + MARKS, MARKS[::-1]])
def test_a_document_without_its_marks_is_refused(tables, document):
    with pytest.raises(ValueError, match="must have the lines"):
        tables.replace_block(document, "new")


def test_every_job_names_a_directory_of_its_own_and_the_same_data(results, tmp_path):
    jobs = [
        job
        for approach in results.APPROACHES
        for seed in (0, 1)
        for job in results.make_jobs(approach, seed, "busi", 96, tmp_path)
    ]
    assert len({job.out for job in jobs}) == len(jobs)
    for job in jobs:
        assert {"data.image_size=96,96"} < set(job.settings)
        assert not re.search(r"[{}]", " ".join(job.settings))
    first, second = results.make_jobs(next(a for a in results.APPROACHES if a.first), 1, "busi", 96, tmp_path)
    assert first.out == tmp_path / "multi_stage-first-1"
    assert "data.source=tfds:tlmed_phantoms/images=1500,size=96,seed=0" in first.settings
    assert f"weights={first.out}" in second.settings
    assert "data.source=busi" in second.settings


def test_every_approach_is_a_shipped_recipe_with_fitting_settings(results, tmp_path):
    for approach in results.APPROACHES:
        for job in results.make_jobs(approach, 0, "busi", 96, tmp_path):
            recipe = results.override(results.load_recipe(job.recipe), job.settings)
            assert recipe.data.image_size == (96, 96)
    assert len({approach.name for approach in results.APPROACHES}) == len(results.APPROACHES)


def make_fake_training(results, ran, statuses=()):
    """Replace `run_job` by one that writes what `is_done` reads."""
    statuses = dict(statuses)

    def run_job(job):
        ran.append(job.out.name)
        status = statuses.get(job.out.name, 0)
        if not status:
            job.out.mkdir(parents=True)
            recipe = results.override(results.load_recipe(job.recipe), job.settings)
            whole_files.write_json(job.out / "recipe.json", results.dataclasses.asdict(recipe))
            whole_files.write_json(job.out / "metrics.json", {})
        return status

    return run_job


def test_what_is_done_is_not_repeated_and_seeds_come_in_turn(results, tmp_path, monkeypatch):
    approaches, ran = results.APPROACHES[:1] + results.APPROACHES[-1:], []
    monkeypatch.setattr(results, "run_job", make_fake_training(results, ran))
    assert results.run_all(approaches, [0, 1], "busi", 96, tmp_path)
    assert ran == ["feature_extractor-0", "vgg16_blockwise-0", "feature_extractor-1"]
    ran.clear()
    assert results.run_all(approaches, [0, 1, 2], "busi", 96, tmp_path)
    assert ran == ["feature_extractor-2"]
    ran.clear()
    assert results.run_all(approaches[:1], [0], "busi", 64, tmp_path / "other")
    assert not results.is_done(results.make_jobs(approaches[0], 0, "busi", 96, tmp_path / "other")[0])


def test_a_failed_stage_stops_its_approach_and_a_signal_stops_all(results, tmp_path, monkeypatch):
    staged = [approach for approach in results.APPROACHES if approach.first]
    approaches, ran = [*staged, results.APPROACHES[0]], []
    monkeypatch.setattr(results, "run_job", make_fake_training(results, ran, {"multi_stage-first-0": 3}))
    assert not results.run_all(approaches, [0], "busi", 96, tmp_path)
    assert ran == ["multi_stage-first-0", "feature_extractor-0"]
    ran.clear()
    monkeypatch.setattr(results, "run_job", make_fake_training(results, ran, {"multi_stage-first-0": 130}))
    assert not results.run_all(approaches, [0], "busi", 96, tmp_path)
    assert ran == ["multi_stage-first-0"]


def test_the_shipped_document_has_its_marks(tables):
    document = (BENCHMARKS.parent / "docs" / "results.md").read_text(encoding="utf-8")
    assert "new" in tables.replace_block(document, "new")
