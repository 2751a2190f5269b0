"""No command writes over an input, a file of a run, or anything that it did not make."""

import os
import shutil

import pytest

from tests.cli.test_cli import here
from tlmed.errors import InputError
from tlmed.rundir import RunDir
from tlmed.targets import check_targets, is_marked, make_mark, read_header
from tlmed.whole_files import write_json

pytestmark = pytest.mark.usefixtures("empty_figures")

PRECIOUS = b"years of work\n"


def never(path):
    return False


def always(path):
    return True


@pytest.fixture
def place(finished, images, tmp_path):
    """Give a folder with a run, an image and a file of the user's."""
    shutil.copytree(finished.path, tmp_path / "run")
    shutil.copyfile(images / "normal" / "normal (0).png", tmp_path / "scan.png")
    (tmp_path / "mine.txt").write_bytes(PRECIOUS)
    return tmp_path


def state(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Each command, with the option that writes in place of {}; and what it writes there.
FILES = [
    ("predict run scan.png --out {}", None),
    ("export run --format card --out {}", None),
    ("export run --format requirements --out {}", None),
    ("reproduce run --check --junit {}", None),
    ("reproduce run --check --summary {}", None),
    ("plan quickstart --write {}", False),
    ("recipes copy quickstart {}", False),
]
EVALUATION = ["evaluation.html", "metrics.json", "predictions.csv"]
FOLDERS = [
    ("predict run scan.png --explain {}", ["scan.grad-cam.png"]),
    ("evaluate run --out {}", EVALUATION),
    ("evaluate --predictions run/predictions.csv --out {}", EVALUATION),
    ("compare run run --out {}", ["comparison.html", "comparison.csv", "pairs.csv"]),
]


def say(command, target, *more, cwd):
    return here(*command.replace("{}", str(target)).split(), *more, cwd=cwd)


@pytest.mark.parametrize(("command", "forces"), FILES)
def test_a_file_is_never_written_over_unless_the_same_command_made_it(command, forces, place):
    forced = [] if forces is False else ["--force"]
    new = "new.py" if forces is False else "new.csv"
    link = place / "link.txt"
    link.symlink_to(place / "mine.txt")
    before = state(place)
    own = "must lie outside of the run" if command.startswith("reproduce") else "must not be a file of a run"
    for target, word in {
        "mine.txt": "must be a new file",
        "scan.png": "must ",
        "run/model.keras": own,
        "run/search.csv": own,  # which this run has not
        "link.txt": "must be a new file",
    }.items():
        for more in ([], forced):
            status, _, err = say(command, target, *more, cwd=place)
            assert (status, err.count("\n")) == (2, err.count("must"))
            assert word in err
    assert state(place) == before
    assert link.is_symlink()

    assert say(command, new, cwd=place)[0] == 0
    made = (place / new).read_bytes()
    status, _, err = say(command, new, cwd=place)
    assert (status, "must be a new file" in err) == (2, True)
    if forces is False:
        return
    assert say(command, new, "--force", cwd=place)[0] == 0
    assert len((place / new).read_bytes()) == pytest.approx(len(made), abs=20)  # some hold the time they took
    (place / new).write_bytes(PRECIOUS)  # the name is the same, the content is the user's
    assert say(command, new, "--force", cwd=place)[0] == 2
    assert (place / new).read_bytes() == PRECIOUS


@pytest.mark.parametrize(("command", "names"), FOLDERS)
def test_a_file_in_a_folder_is_never_written_over_unless_the_same_command_made_it(command, names, place):
    if command.startswith("compare"):
        shutil.copytree(place / "run", place / "other")
        command = command.replace("run run", "run other")
    assert say(command, "new", cwd=place)[0] == 0
    assert sorted(path.name for path in (place / "new").iterdir()) == sorted(names)
    assert say(command, "new", cwd=place)[0] == 2
    assert say(command, "new", "--force", cwd=place)[0] == 0
    (place / "new" / "notes.txt").write_bytes(PRECIOUS)
    for name in names:
        made = (place / "new" / name).read_bytes()
        (place / "new" / name).write_bytes(PRECIOUS)
        status, _, err = say(command, "new", "--force", cwd=place)
        assert (status, err.count("\n"), name in err) == (2, 1, True)
        assert (place / "new" / name).read_bytes() == PRECIOUS
        (place / "new" / name).write_bytes(made)
    assert say(command, "new", "--force", cwd=place)[0] == 0
    assert (place / "new" / "notes.txt").read_bytes() == PRECIOUS


def test_an_evaluation_does_not_write_over_the_predictions_that_it_reads(place):
    assert here("evaluate", "run", "--out", "new", cwd=place)[0] == 0
    before = state(place)
    status, _, err = here("evaluate", "--predictions", "new/predictions.csv", "--out", "new", "--force", cwd=place)
    assert (status, "must not be what the command reads. Received: new/predictions.csv" in err) == (2, True)
    assert state(place) == before


def test_predictions_that_a_user_has_edited_are_the_users(place):
    assert here("evaluate", "run", "--out", "new", cwd=place)[0] == 0
    with (place / "new" / "predictions.csv").open("a") as file:
        file.write("\n")
    status, _, err = here("evaluate", "run", "--out", "new", "--force", cwd=place)
    assert (status, "Received: new/predictions.csv." in err) == (2, True)


def test_an_input_is_known_by_any_of_its_names(tmp_path):
    (tmp_path / "a.csv").write_bytes(PRECIOUS)
    os.link(tmp_path / "a.csv", tmp_path / "b.csv")
    (tmp_path / "c.csv").symlink_to("a.csv")
    for name in "abc":
        with pytest.raises(InputError, match="must not be what the command reads"):
            check_targets("--out", {tmp_path / f"{name}.csv": always}, True, [tmp_path / "a.csv"])


def test_a_run_is_known_through_links_and_from_inside(tmp_path):
    run = RunDir(tmp_path / "run")
    with run.open():
        run.mark("Started.")
    (tmp_path / "link").symlink_to("run")
    for path in ("run/model.keras", "link/model.keras", "run/x/../plan.json", "run/progress/a", "run/folds/01/a"):
        with pytest.raises(InputError, match="must not be a file of a run"):
            check_targets("--out", {tmp_path / path: always}, True)
    check_targets("--out", {run / "mine.csv": never})  # what a user puts beside them is the user's


def test_many_files_are_named_by_three(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path in paths:
        path.write_bytes(PRECIOUS)
    with pytest.raises(InputError, match=r"Received: \S+0.png, \S+1.png, \S+2.png and 2 more\."):
        check_targets("--explain", dict.fromkeys(paths, always), False)
    check_targets("--explain", dict.fromkeys(paths, always), True)


def test_a_mark_and_a_header_are_read_from_any_file(tmp_path):
    file = tmp_path / "file"
    for content in (b"", b"\x00\xff\xfe", b"x" * 5000, b'"' * 100):
        file.write_bytes(content)
        assert not is_marked(file, "export")
        assert "path" not in read_header(file)
    file.write_text(f"path,label\n# {make_mark('export')}\n")
    assert is_marked(file, "export")
    assert not is_marked(file, "compare")
    assert read_header(file) == ["path", "label"]


def test_a_directory_with_a_file_of_a_runs_names_is_no_run(tmp_path):
    write_json(tmp_path / "recipe.json", {"eggs": 2})
    with pytest.raises(InputError, match="must be a new or empty directory, or a run's"), RunDir(tmp_path).open(True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]
