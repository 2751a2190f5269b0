import contextlib
import json
import os

import pytest

from tlmed import rundir
from tlmed.errors import InputError
from tlmed.run_files import append_history, replace_history
from tlmed.rundir import RunDir, find_run
from tlmed.whole_files import atomic, read_csv, write_csv, write_json, write_text


def fail_half_way(path, error):
    with atomic(path) as part:
        part.write_text("half of the n")
        raise error


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError):
        fail_half_way(path, RuntimeError)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_nothing_stays_of_a_first_write_that_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fail_half_way(tmp_path / "file.txt", KeyboardInterrupt)
    assert os.listdir(tmp_path) == []


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert os.listdir(tmp_path) == []
    write_json(tmp_path / "x.json", {"value": 0.1})
    assert json.loads((tmp_path / "x.json").read_text()) == {"value": 0.1}


def test_tables_survive_commas_quotes_and_line_breaks(tmp_path):
    rows = [("a,b", 'say "x"'), ("two\nlines", "ü")]
    write_csv(tmp_path / "t.csv", ("one", "two"), rows)
    assert [tuple(row.values()) for row in read_csv(tmp_path / "t.csv")] == rows


def test_a_run_is_complete_when_its_marker_is_gone(tmp_path):
    run = RunDir(tmp_path / "run")
    assert not run.exists
    with run.open():
        run.mark("Started.")
        assert run.exists
        assert not run.complete
        write_json(run / "metrics.json", {})
        assert not run.complete
        with pytest.raises(InputError, match="must be complete"):
            find_run(run.path)
        run.finish()
    assert run.complete


def test_who_waits_for_a_run_that_ends_has_a_lock_that_keeps_others_out(tmp_path, monkeypatch):
    run, first = RunDir(tmp_path / "run"), contextlib.ExitStack()
    first.enter_context(run.open())
    run.mark("Started.")
    write_json(run / "metrics.json", {})

    def end(seconds):
        run.finish()  # removes the lock that the other one has opened already
        first.close()

    monkeypatch.setattr(rundir.time, "sleep", end)
    with run.open():
        run.mark("Again.")
        assert run.is_running
        monkeypatch.setattr(rundir, "_LOOK_SECONDS", -1.0)
        with pytest.raises(InputError, match="no other process writes to"), run.open():
            pass
    assert not run.is_running


def test_starting_over_removes_only_a_runs_own_files(tmp_path):
    run = RunDir(tmp_path)
    with run.open():
        run.mark("Started.")
        (run.progress / "checkpoints").mkdir()
        (run.progress / "head.phase").write_text("")
    (tmp_path / "notes.md").write_text("mine")
    write_json(run / "metrics.json", {})
    with run.open(fresh=True):
        assert sorted(os.listdir(tmp_path)) == ["notes.md", "progress"]
        assert os.listdir(run.progress) == ["lock"]


def test_starting_over_leaves_what_others_put_into_a_runs_folders(tmp_path):
    run = RunDir(tmp_path)
    ours = (
        "examples/right-1.png",
        "examples/named.png",
        "tensorboard/head/train/events.out.tfevents.1",
        "progress/start",
    )
    mine = ("examples/scan-1.png", "tensorboard/head/notes.txt", "progress/plan.txt")
    for name in (*ours, *mine, "progress/checkpoints/1.checkpoint"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    write_json(run / "examples.json", {"examples": [{"file": "examples/named.png"}]})
    run.mark("Started.")
    with run.open(fresh=True):
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
        assert left == {*mine, "progress/lock"}
        run.finish()
    assert (tmp_path / mine[2]).exists()


def test_a_fold_starts_over_beside_other_files_and_one_that_cannot_keeps_all(tmp_path):
    run, first, second = RunDir(tmp_path), *(RunDir(tmp_path / "folds" / name) for name in ("01", "02"))
    for one in (run, first, second):
        with one.open():
            write_json(one / "recipe.json", {})
            write_json(one / "metrics.json", {})
    (first / "notes.txt").write_text("mine")
    (second / "model.keras").mkdir()
    with pytest.raises(InputError, match="files where a run has files"), run.open(fresh=True):
        pass
    assert all((one / "metrics.json").exists() for one in (run, first, second))
    (second / "model.keras").rmdir()
    with run.open(fresh=True):
        run.mark("Started.")
        with first.open(fresh=True):
            assert sorted(os.listdir(first.path)) == ["notes.txt", "progress"]
        assert not second.path.exists()


def test_what_a_killed_process_left_half_written_is_swept(tmp_path):
    run = RunDir(tmp_path / "run")
    with run.open():
        run.mark("Started.")
        for folder in (run.path, run.progress):
            (folder / ".writing-abc").mkdir()
            (folder / ".writing-abc" / "model.keras").write_text("half")
    with run.open():
        assert not list(run.path.rglob(".writing-*"))


def test_history_grows_by_a_line_and_is_written_anew(tmp_path):
    run = RunDir(tmp_path)
    row = dict.fromkeys(("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_auc", "seconds"), 1)
    for phase in ("head", "head", "top"):
        append_history(run, {"phase": phase, **row})
    assert len(read_csv(run / "history.csv")) == 3
    replace_history(run, [{"phase": "head", **row}] * 2)
    assert [line["phase"] for line in read_csv(run / "history.csv")] == ["head", "head"]
    replace_history(run, [])
    assert not (run / "history.csv").exists()


def test_a_directory_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can be made"), RunDir(tmp_path / "file" / "run").open():
        pass


def test_a_folder_with_files_of_others_is_no_run_directory(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="new or empty"), RunDir(tmp_path).open():
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_no_run_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="directory of a run"):
        find_run(tmp_path)
