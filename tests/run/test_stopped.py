"""What a stopped run goes on from is sealed: its other files can be damaged or lost, and it ends as it would have."""

import fcntl
import html
import json
import os
import shutil
import threading
import time
from types import SimpleNamespace

import keras
import pytest

import tlmed
from tests.conftest import SMALL
from tlmed import inference, rundir
from tlmed.errors import InputError, RunFailed, TlmedError
from tlmed.recipe import load_recipe, override
from tlmed.run import phase_training, records
from tlmed.run_files import SPLITS_CSV, STATUS_JSON
from tlmed.rundir import RunDir, find_run
from tlmed.sealed import seal, unseal
from tlmed.split_names import SPLITS
from tlmed.status import describe_status
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_json

pytestmark = pytest.mark.usefixtures("empty_figures")

SLOW = pytest.mark.slow
WORDS = [*SMALL, "phases.epochs=1", "engine=tensorflow"]
DAMAGES = {
    "gone": None,
    "flip": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "object": lambda content: b"{}",
    "list": lambda content: b"[]",
    "binary": lambda content: bytes(range(256)) * 4,
    "empty": lambda content: b"",
}


class Killed(BaseException):
    pass


def small(*more):
    return override(load_recipe("fine_tuning"), [*WORDS, *more])


def stop(patch, name="evaluate_run"):
    def kill(*_):
        raise Killed

    patch.setattr(f"tlmed.run.story.{name}", kill)


@pytest.fixture(scope="module")
def made(images, tmp_path_factory):
    """Give a run of two phases that was stopped after them, and the same run, complete."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        stop(patch)
        patch.setattr("tlmed.training.checkpoints.Checkpoints.due", True)
        with pytest.raises(Killed):
            tlmed.train(small(), folder / "stopped", images)
    tlmed.train(small(), folder / "whole", images)
    return folder


@pytest.fixture
def stopped(made, tmp_path):
    return RunDir(shutil.copytree(made / "stopped", tmp_path / "run"))


def damage(file, kind):
    content = file.read_bytes()
    file.unlink()
    if kind != "gone":
        file.write_bytes(DAMAGES[kind](content))


@pytest.mark.parametrize("kind", ["gone", "flip", *(pytest.param(kind, marks=SLOW) for kind in [*DAMAGES][2:])])
def test_the_readable_files_of_a_stopped_run_are_written_anew(kind, made, stopped, images):
    names = sorted(path.name for path in stopped.path.iterdir() if path.is_file() and path != stopped.marker)
    assert {"freeze.json", "plan.json", "history.csv", "splits.csv", "degrees.csv", "recipe.json"} <= set(names)
    for name in names:
        damage(stopped / name, kind)
    tlmed.train(small(), stopped.path, images)
    whole = RunDir(made / "whole")
    assert stopped.json("freeze.json")["phases"] == whole.json("freeze.json")["phases"]
    assert [entry["phase"] for entry in stopped.json("freeze.json")["phases"]] == ["head", "top"]
    for name in ("splits.csv", "plan.json", "predictions.csv", "recipe.json", "recipe.py"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name
    for name in ("history.csv", "degrees.csv"):
        old, new = ([{**row, "seconds": 0} for row in read_csv(run / name)] for run in (whole, stopped))
        assert old == new


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_it_began_with_must_be_as_it_was_written(kind, stopped, images):
    damage(stopped.progress / "start", kind)
    with pytest.raises(
        RunFailed, match=r"record of what a stopped run began with.*--fresh starts over\. Received: .*/start: "
    ):
        tlmed.train(small(), stopped.path, images)


def test_what_it_began_with_may_be_lost_where_nothing_was_trained(made, stopped, images):
    for path in stopped.progress.rglob("*"):
        if path.is_file():
            path.unlink()
    tlmed.train(small(), stopped.path, images)
    assert (stopped / "predictions.csv").read_bytes() == (made / "whole" / "predictions.csv").read_bytes()


def test_another_recipe_is_refused_whatever_recipe_json_says(stopped, images):
    (stopped / "recipe.json").unlink()
    with pytest.raises(InputError, match=r"phases.0.learning_rate=.* there, 0.5 here"):
        tlmed.train(small("phases.0.learning_rate=0.5"), stopped.path, images)


def test_images_may_lie_elsewhere_when_it_goes_on_if_they_are_the_same(made, stopped, images, tmp_path):
    shutil.copytree(images, tmp_path / "elsewhere")
    tlmed.train(small(), stopped.path, tmp_path / "elsewhere")
    assert (stopped / "predictions.csv").read_bytes() == (made / "whole" / "predictions.csv").read_bytes()
    with pytest.raises(InputError, match=r"another recipe.*data.source="):  # a complete one stays where it is
        tlmed.train(small(), stopped.path, images)


def test_a_change_of_environment_is_told_however_often_a_run_goes_on(stopped, images, monkeypatch):
    about, _ = unseal(stopped.progress / "start")
    about["environment"]["versions"]["keras"] = "3.0.0"
    seal(stopped.progress / "start", about, {})
    with monkeypatch.context() as patch:
        stop(patch)
        with pytest.raises(Killed):
            tlmed.train(small(), stopped.path, images)
    said = []
    tlmed.train(small(), stopped.path, images, voice=Voice(warn=said.append))
    assert not any("another environment" in sentence for sentence in said)  # it did not change again
    environment = stopped.json("environment.json")
    moved = f"versions.keras: 3.0.0 before, {keras.__version__} now, from the end of training on"
    assert environment["changed"] == [moved]
    assert environment["warnings"][-1].endswith(f"another environment than it began in: {moved}.")


@pytest.mark.parametrize(("left", "place"), [((), "phase 'head'"), (("head",), "phase 'top'")])
def test_the_phase_is_recorded_from_which_on_the_environment_is_another_one(left, place, stopped, images):
    for path in stopped.progress.rglob("*.*"):
        if path.suffix == ".checkpoint" or (path.suffix in (".phase", ".weights") and path.stem not in left):
            path.unlink()
    about, _ = unseal(stopped.progress / "start")
    about["environment"]["cpus"], about["code"] = 999, "0" * 64
    seal(stopped.progress / "start", about, {})
    said = []
    tlmed.train(small(), stopped.path, images, voice=Voice(warn=said.append))
    environment = stopped.json("environment.json")
    code = environment["code_sha256"][:12]
    moved = [
        f"cpus: 999 before, {environment['cpus']} now, from {place} on",
        f"tlmed's code: 000000000000 before, {code} now, from {place} on",
    ]
    assert environment["changed"] == stopped.json("lock.json")["environment"]["changed"] == moved
    assert any(", ".join(moved) in sentence for sentence in said)
    assert ", ".join(moved) in html.unescape((stopped / "report.html").read_text())


def make_older(recipe):
    """Remove the fields of a recipe that tlmed did not have a day ago."""
    for name in ("window", "fit", "planes", "axis", "channels", "pool", "pool_by", "tile", "mpp", "modality"):
        del recipe["data"][name]
    for name in ("noise", "stain", "from_preset"):
        del recipe["augment"][name]
    return recipe


@pytest.fixture
def older(stopped):
    """Give a stopped run as an older version of tlmed left it."""
    about, _ = unseal(stopped.progress / "start")
    make_older(about["recipe"])
    for name in ("window", "code", "columns", "made"):
        del about[name]
    seal(stopped.progress / "start", about, {})
    return stopped


def test_a_run_stopped_under_an_older_version_goes_on_and_its_code_counts_as_another_one(older, made, images):
    said = []
    tlmed.train(small(), older.path, images, voice=Voice(warn=said.append))
    assert (older / "predictions.csv").read_bytes() == (made / "whole" / "predictions.csv").read_bytes()
    assert (older / "recipe.json").read_bytes() == (made / "whole" / "recipe.json").read_bytes()
    (sentence,) = [sentence for sentence in said if "another environment" in sentence]
    assert "tlmed's code: of another version before" in sentence
    assert "Its numbers may not be those of an uninterrupted run." in sentence


def test_an_older_run_is_refused_only_where_a_field_that_it_did_not_record_asks_for_something_else(older, images):
    with pytest.raises(InputError) as caught:
        tlmed.train(small("data.window=full", "data.fit=pad", "seed=7"), older.path, images)
    words = "data.window not recorded there, 'full' here; data.fit not recorded there, 'pad' here"
    assert f"Received: {older.path}: {words}; seed=0 there, 7 here." in str(caught.value)


def test_a_run_whose_recipe_a_newer_version_wrote_is_refused_with_that_reason(stopped, images):
    about, _ = unseal(stopped.progress / "start")
    about["recipe"]["data"]["depth"] = 3
    seal(stopped.progress / "start", about, {})
    with pytest.raises(InputError, match=r"a run of another version of tlmed.*--fresh starts over.*depth"):
        tlmed.train(small(), stopped.path, images)


def test_a_run_finished_by_an_older_version_is_complete(made, images, tmp_path):
    run = RunDir(shutil.copytree(made / "whole", tmp_path / "run"))
    write_json(run / "recipe.json", make_older(run.json("recipe.json")))
    said = []
    tlmed.train(small(), run.path, images, voice=Voice(say=said.append))
    assert "is complete already" in said[-1]


@pytest.mark.parametrize("recorded", [True, False])
def test_another_processor_is_a_change_of_environment_if_the_run_recorded_it(recorded, stopped, images):
    about, _ = unseal(stopped.progress / "start")
    about["environment"]["processor"]["name"] = "Old"
    about["environment"]["onednn"] = "0"
    if not recorded:  # as an older version wrote it
        for name in ("system", "processor", "gpus", "cpus", "onednn", "variables"):
            del about["environment"][name]
    seal(stopped.progress / "start", about, {})
    tlmed.train(small(), stopped.path, images)
    found = stopped.json("environment.json")
    processor = f"processor.name: Old before, {found['processor']['name']} now"
    expected = [f"{words}, from the end of training on" for words in ("onednn: 0 before, default now", processor)]
    assert found["changed"] == (expected if recorded else [])
    assert stopped.json("lock.json")["environment"].get("changed", []) == found["changed"]


def list_sites(images, folder):
    """Copy images, and list them in a CSV with a column that makes subgroups."""
    shutil.copytree(images, folder)
    paths = [file.relative_to(folder).as_posix() for file in sorted(folder.glob("*/*.png"))]
    lines = [f"{path},{path.partition('/')[0]},{'AB'[number % 2]}" for number, path in enumerate(paths)]
    (folder / "list.csv").write_text("\n".join(["path,label,site", *lines]))
    return folder / "list.csv"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_column_that_changed_since_the_run_began_is_named_each_time(recorded, stopped, images, tmp_path, monkeypatch):
    about, _ = unseal(stopped.progress / "start")
    assert about["columns"] == {}
    if not recorded:  # as an older version wrote it
        del about["columns"]
        seal(stopped.progress / "start", about, {})
    source, said = list_sites(images, tmp_path / "data"), []
    with monkeypatch.context() as patch:
        stop(patch)
        with pytest.raises(Killed):
            tlmed.train(small(), stopped.path, source)
    tlmed.train(small(), stopped.path, source, voice=Voice(warn=said.append))
    sentence = "A column is not as when the run began, and subgroups are by what stands there now: 'site' (new)."
    assert (sentence in said) == (sentence in stopped.json("environment.json")["warnings"]) == recorded
    assert set(stopped.json("environment.json")["data"]["columns"]) == {"site"}


def test_one_image_that_changed_is_named_and_not_those_that_it_divides_anew(stopped, images, tmp_path):
    data = shutil.copytree(images, tmp_path / "data")
    (data / "benign" / "benign (3).png").write_bytes((data / "normal" / "normal (5).png").read_bytes())
    with pytest.raises(InputError, match=r": 1 changed: benign/benign \(3\)\.png \(sha256\)\.$"):
        tlmed.train(small(), stopped.path, data)


def test_a_run_whose_splits_alone_changed_is_refused(stopped):
    about, _ = unseal(stopped.progress / "start")
    rows = [{**row, "split": "train" if row["split"] == "test" else row["split"]} for row in about["images"]]
    with pytest.raises(InputError, match=r"changed: .* \(split\)"):
        records._check_images(stopped, about["images"], rows, (SPLITS, SPLITS))


@pytest.mark.parametrize("drawn", [(), ("val",)])
def test_a_given_split_that_moved_is_named_beside_other_changes(drawn, stopped):
    names = ("path", "label", "group", "split", "sha256")
    splits = {"a": "train", "b": "train", "c": "train", "d": "val", "e": "test"}
    began = [dict(zip(names, (path, "ill", "", split, path), strict=True)) for path, split in splits.items()]
    rows = {row["path"]: dict(row) for row in began}
    rows["e"]["split"] = "train"
    if drawn:  # train is divided anew, which no user did
        rows["d"]["split"], rows["a"]["split"] = "train", "val"

    def ask():
        with pytest.raises(InputError) as refused:
            records._check_images(stopped, began, list(rows.values()), (drawn, drawn))
        return str(refused.value).partition(f"{stopped.path}: ")[2]

    assert ask() == "1 changed: e (split)."
    rows["b"]["label"] = "well"
    assert ask() == "2 changed: b (label), e (split)."
    rows["e"]["sha256"] = "f"
    assert ask() == "2 changed: b (label), e (sha256, split)."


@pytest.mark.parametrize("recorded", [True, False])
def test_a_stopped_run_records_which_splits_came_with_its_images(
    recorded, made, stopped, images, tmp_path, monkeypatch
):
    given = {row["path"]: row for row in SPLITS_CSV.read(RunDir(made / "whole"))}
    data, run = shutil.copytree(images, tmp_path / "data"), RunDir(tmp_path / "given")

    def write(rows):
        lines = [f"{row['path']},{row['label']},{row['split']}" for row in rows.values()]
        (data / "given.csv").write_text("\n".join(["path,label,split", *lines]))
        return str(data / "given.csv")

    with monkeypatch.context() as patch:
        stop(patch)
        with pytest.raises(Killed):
            tlmed.train(small(), run.path, write(given))
    about, arrays = unseal(run.progress / "start")
    assert about["made"] == []
    if not recorded:  # as an older version wrote it
        del about["made"]
        seal(run.progress / "start", about, arrays)
    one = next(path for path, row in given.items() if row["split"] == "test")
    other = next(path for path, row in given.items() if row["split"] == "train")
    label = "benign" if given[other]["label"] == "normal" else "normal"
    changed = given | {one: {**given[one], "split": "train"}, other: {**given[other], "label": label}}
    with pytest.raises(InputError) as refused:
        tlmed.train(small(), run.path, write(changed))
    assert "2 changed: " in str(refused.value)
    assert f"{one} (split)" in str(refused.value)
    assert f"{other} (label)" in str(refused.value)


@pytest.mark.parametrize("step", ["unlink", "rmtree"])
def test_a_run_that_is_killed_in_its_last_step_is_not_trained_again(step, made, stopped, images, monkeypatch):
    def kill(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        if step == "rmtree":  # the note is gone, what it went on from is not
            patch.setattr("tlmed.rundir.RunDir.finish", lambda run: run.marker.unlink() or kill())
        else:
            patch.setattr("tlmed.rundir.RunDir.finish", kill)
        with pytest.raises(Killed):
            tlmed.train(small(), stopped.path, images)
    before = (stopped / "model.keras").read_bytes()
    monkeypatch.setattr("tlmed.run.phase_training._train_phase", lambda *_: pytest.fail("trained again"))
    tlmed.train(small(), stopped.path, images)
    assert stopped.complete
    assert not stopped.progress.exists()
    assert step == "unlink" or (stopped / "model.keras").read_bytes() == before


def test_the_stages_of_a_run_that_goes_on_hold_what_was_done_before(stopped, images):
    path = tlmed.train(small(), stopped.path, images).path
    timing, rows = json.loads((path / "timing.json").read_text()), read_csv(path / "degrees.csv")
    stages = {stage["name"]: stage["seconds"] for stage in timing["stages"]}
    assert [stages[f"phase {row['phase']}"] for row in rows] == [float(row["seconds"]) for row in rows]
    assert sum(stages.values()) <= timing["total_seconds"] + 0.001 * len(stages)  # each is rounded


def test_a_phase_that_goes_on_counts_its_features_of_before_the_stop(images, tmp_path, monkeypatch):
    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        # As if computing the features had taken 1,000 seconds.
        patch.setattr(phase_training, "time", SimpleNamespace(perf_counter=lambda: time.perf_counter() - 1000))
        patch.setattr("tlmed.training.checkpoints.Checkpoints.due", True)
        patch.setattr("tlmed.training.fitting.EpochLog.on_train_end", kill)
        with pytest.raises(Killed):
            tlmed.train(small("keep=last"), tmp_path / "run", images)
    result = tlmed.train(small("keep=last"), tmp_path / "run", images)
    first, last = (float(row["seconds"]) for row in read_csv(result.path / "degrees.csv"))
    timing = json.loads((result.path / "timing.json").read_text())
    assert first > 1000 > last
    assert timing["total_seconds"] > timing["training_seconds"] > first
    assert {"name": "phase head", "seconds": first} in timing["stages"]


def test_the_note_of_an_unfinished_run_goes_before_what_it_goes_on_from(tmp_path, monkeypatch):
    run = RunDir(tmp_path / "run")
    with run.open():
        run.mark("Started.")
        monkeypatch.setattr(
            rundir.shutil, "rmtree", lambda *_, **__: pytest.fail("first") if run.marker.exists() else 0
        )
        run.finish()


# Locks, links, and names that are not a run's


def test_a_look_at_a_run_does_not_keep_it_from_starting(tmp_path):
    run = RunDir(tmp_path / "run")
    with run.open():
        pass
    with run.guard.open("rb") as file:  # as `tlmed status` does, here for longer
        fcntl.flock(file, fcntl.LOCK_SH)
        timer = threading.Timer(0.2, lambda: fcntl.flock(file, fcntl.LOCK_UN))
        timer.start()
        with run.open():
            assert run.is_running
        timer.join()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
@pytest.mark.parametrize("name", ["progress/lock", "history.csv", "UNFINISHED", "progress/head.phase", "examples"])
def test_a_link_or_a_folder_where_a_file_goes_is_refused_and_left_alone(name, kind, stopped, images, tmp_path):
    mine, place = tmp_path / "mine", stopped / name
    mine.write_text("years of work")
    place.unlink(missing_ok=True)
    if kind == "link":
        place.symlink_to(mine)
    elif kind == "folder" and name != "examples":
        place.mkdir()
    else:
        os.mkfifo(place)
    for fresh in (False, True):
        refused = pytest.raises(InputError, match=rf"no links\. Received: {place}, a (link|folder|device or pipe)\.")
        with refused, stopped.open(fresh):
            pass
    assert mine.read_text() == "years of work"
    assert describe_status(stopped)


def test_progress_that_is_a_link_is_refused(stopped, tmp_path):
    stopped.progress.rename(tmp_path / "elsewhere")
    stopped.progress.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no links"), stopped.open(fresh=True):
        pass
    assert (tmp_path / "elsewhere" / "start").exists()


def test_a_stray_name_among_checkpoints_is_nobodys(made, stopped, images):
    (stopped.progress / "checkpoints" / "mine.checkpoint").write_text("x")
    (stopped.progress / "top.phase").unlink()  # so that its checkpoints are read
    tlmed.train(small(), stopped.path, images)
    assert (stopped / "predictions.csv").read_bytes() == (made / "whole" / "predictions.csv").read_bytes()


@pytest.mark.parametrize("name", ["a" * 250, "ü" * 101, "..", ".hidden"])
def test_the_name_of_a_phase_makes_names_of_files(name):
    with pytest.raises(InputError, match=r"`phases.0.name` must be a word of letters.* of 200 bytes at most"):
        small(f"phases.0.name={name}")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"phase": 1, "time": "x"}', b'{"time": 1e400}'], ids=repr
)
def test_a_note_that_cannot_be_read_is_said(content, stopped):
    (stopped / STATUS_JSON.name).write_bytes(content)
    with stopped.open():
        assert describe_status(stopped)[-1] == f"Its step cannot be read from {stopped / STATUS_JSON.name}."
    stopped.marker.write_bytes(b"\xff\xfe")
    assert describe_status(stopped)[1] == f"How far it got cannot be read from {stopped.marker}."


def mutate(file, kind, elsewhere):
    """Put something else in the place of a file."""
    if kind in DAMAGES:
        return damage(file, kind)
    elsewhere.write_bytes(file.read_bytes())
    file.unlink()
    file.mkdir() if kind == "folder" else file.symlink_to(elsewhere)


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def tell(call):
    """Return what a command says of a fault in a line; all else is raised."""
    try:
        call()
    except TlmedError as error:
        return str(error)
    return ""


KINDS = (*DAMAGES, "folder", "link")


@SLOW
def test_whatever_lies_in_place_of_a_file_of_a_stopped_run_ends_in_one_line(made, images, tmp_path):
    for number, name in enumerate(list_files(made / "stopped")):
        kind = KINDS[number % len(KINDS)]
        run = RunDir(shutil.copytree(made / "stopped", tmp_path / f"run{number}"))
        mutate(run / name, kind, tmp_path / "elsewhere")
        tell(lambda run=run: describe_status(find_run(run.path, complete=False)))
        said = tell(lambda run=run: tlmed.train(small(), run.path, images))
        assert said or json.loads((run / "metrics.json").read_text())["n"]


@SLOW
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_lies_in_place_of_a_file_of_a_complete_run_ends_in_one_line(kind, made, images, tmp_path):
    for number, name in enumerate(list_files(made / "whole")):
        run = RunDir(shutil.copytree(made / "whole", tmp_path / f"run{number}"))
        mutate(run / name, kind, tmp_path / "elsewhere")
        tell(lambda run=run: describe_status(find_run(run.path, complete=False)))
        tell(lambda run=run: inference.predict(find_run(run.path), [images / "normal" / "normal (0).png"]))
        tell(lambda run=run: inference.evaluate(find_run(run.path)))
        tell(lambda run=run: tlmed.train(small(), run.path, images))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("metrics.json", {"classes": None}),
        ("metrics.json", {"classes": ["benign"]}),
        ("metrics.json", {"positive": "nobody"}),
        ("environment.json", {"data": 5}),
        ("environment.json", {"data": {"left_out": [3]}}),
        ("environment.json", {"data": {}}),
        ("recipe.json", {"data": None}),
        ("recipe.json", {"backbone": 7}),
    ],
)
def test_json_of_another_shape_ends_an_evaluation_in_one_line(name, change, made, tmp_path):
    run = RunDir(shutil.copytree(made / "whole", tmp_path / "run"))
    (run / name).write_text(json.dumps({**run.json(name), **change}))
    with pytest.raises(InputError):
        inference.evaluate(run)
