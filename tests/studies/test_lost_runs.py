"""Complete cells whose runs are gone, or in the directory of another machine."""

import shutil

import pytest

from tests.studies.conftest import small
from tests.studies.test_sweeping import states
from tlmed.errors import InputError
from tlmed.run_files.study_files import read_cells, write_cells
from tlmed.status import describe_study
from tlmed.studies.cell_results import to_cell_row
from tlmed.studies.ledger import Ledger
from tlmed.studies.lost_runs import note_place, renew_lost, say_place
from tlmed.study_report import read_study_scores


def test_a_run_that_is_gone_is_told_and_trained_again_by_the_same_command(sweeping):
    folder, _ = sweeping()
    assert describe_study(folder) == [f"{folder}: a study of 8 cells: 8 complete."]
    first, second, third = (row["cell"] for row in read_cells(folder)[:3])
    shutil.rmtree(folder / "runs" / first)
    (folder / "runs" / second / "metrics.json").unlink()
    said = f"The runs of 2 complete cells are gone ({first}, {second}): the same `tlmed sweep` command"
    assert said in describe_study(folder)[1]
    with pytest.raises(InputError) as found:
        read_study_scores(folder)
    assert said in str(found.value)
    before = (folder / "runs" / third / "metrics.json").stat().st_mtime_ns
    folder, shown = sweeping()
    assert f"The runs of 2 complete cells are gone; these are trained again: {first}, {second}" in " ".join(
        shown.split()
    )
    assert states(folder) == ["complete"] * 8
    assert len(describe_study(folder)) == 1
    assert (folder / "runs" / third / "metrics.json").stat().st_mtime_ns == before
    lost = next(row["cell"] for row in read_cells(folder) if row["backbone"] == "LeNet5" and row["seed"] == "1")
    shutil.rmtree(folder / "runs" / lost)
    folder, _ = sweeping(words=("fail",))
    others = [row for row in read_cells(folder) if row["state"] != "complete"]
    assert [(row["cell"], row["state"], row["reason"]) for row in others] == [(lost, "failed", "no weights for LeNet5")]


def test_a_run_in_the_directory_of_another_machine_is_not_lost(tmp_path):
    cells, ledger = small(seeds=1).expand("images"), Ledger(tmp_path, None, "study")
    measured = {"value": 0.9, "low": 0.8, "high": 1.0}
    result = {"metrics": {"auc": measured}, "run": f"runs/{cells[0].name}", **note_place(tmp_path, "there")}
    ledger.enter([cells[0].name], again=False)
    ledger.finish(ledger.claim(lambda name: True)[0], 0.9, result)

    def describe(directory):
        entries = ledger.read()
        found = (entries.get(cell.name) for cell in cells)
        rows = [
            to_cell_row(cell, it, say_place(it, tmp_path, directory)) for cell, it in zip(cells, found, strict=True)
        ]
        write_cells(tmp_path, [], rows)
        return [line for line in describe_study(tmp_path)[1:] if "sign of life" not in line]

    assert renew_lost(ledger, cells, tmp_path, "here") == []
    (said,) = describe("here")
    assert said.startswith(f"The runs of 1 complete cell are not here ({cells[0].name}; run in another directory: ")
    assert str(tmp_path) in said
    (said,) = describe("there")
    assert "are gone" in said
    (tmp_path / "runs" / cells[0].name).mkdir(parents=True)
    (tmp_path / "runs" / cells[0].name / "metrics.json").write_text("{}")
    assert describe("here") == describe("there") == []
    shutil.rmtree(tmp_path / "runs")
    assert renew_lost(ledger, cells, tmp_path, "there") == [cells[0].name]
    assert ledger.read()[cells[0].name].state == "waiting"
    ledger.close()
