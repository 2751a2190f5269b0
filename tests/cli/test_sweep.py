"""`tlmed sweep` as a user types it, up to where cells begin."""

import pytest

from tests.studies.conftest import program
from tlmed.cli.entry import cli
from tlmed.cli.sweep_command import read_time
from tlmed.errors import InputError, RunFailed
from tlmed.run_files.study_files import read_cells
from tlmed.studies import worker_pool


def sweep(*arguments):
    cli(["sweep", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("feature_extractor", "--vary", "phases.epoch=1,2", "--out", "x"), r"`phases.epoch` is not a field"),
        (("feature_extractor", "--vary", "phases.epochs", "--out", "x"), r"`--vary` takes KEY=V1,V2"),
        (("feature_extractor", "--seeds", "1001", "--out", "x"), r"needs --yes. Received: 1,001 cells"),
        (("feature_extractor", "--budget", "soon", "--out", "x"), r"`--budget` must be a time above 0"),
        (("feature_extractor", "--data", "nowhere/", "--out", "x"), r"nowhere"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_made(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        sweep(*arguments)
    assert not list(tmp_path.iterdir())


def test_a_study_is_given_alone(tmp_path):
    (tmp_path / "study.py").write_text('from tlmed.recipe import Study\nstudy = Study(recipes=("lora",))\n')
    with pytest.raises(InputError, match="A study must be given alone"):
        sweep(tmp_path / "study.py", "lora", "--out", tmp_path / "out")


def test_failed_cells_make_the_command_fail_after_the_others_are_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "PROGRAM", program(0.0, "killed"))
    with pytest.raises(RunFailed, match=r"1 of 2 cells failed, for the reasons in .*cells.csv"):
        sweep("feature_extractor", "--backbones", "LeNet5", "--seeds", "2", "--out", tmp_path / "out")
    complete, failed = read_cells(tmp_path / "out")
    assert (complete["state"], failed["state"]) == ("complete", "failed")
    assert failed["reason"].startswith("its process was ended by SIGKILL; the system kills what takes too much memory")


def test_times_are_read_in_the_usual_units():
    assert [read_time(text) for text in ("45", "45s", "1.5h", "2 min", "1d")] == [45, 45, 5400, 120, 86400]
    for text in ("", "-1h", "0m", "2 weeks"):
        with pytest.raises(InputError, match="Received"):
            read_time(text)
