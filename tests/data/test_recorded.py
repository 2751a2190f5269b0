import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.conftest import draw, write_images
from tlmed import inference
from tlmed.data import load
from tlmed.data.recorded import Changes, compare_rows, describe_changes, find_moved, read_made, recall, to_rows
from tlmed.errors import InputError
from tlmed.lock import write_lock
from tlmed.run_files import SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.split_names import SPLITS
from tlmed.voice import Voice

CLASSES = ("ill", "well")


def write_listing(folder):
    """Write images with a CSV that names a group for each."""
    write_images(folder, 12, CLASSES)
    rows = [(f"{name}/{name} ({i}).png", name, f"{name[0]}{i}") for name in CLASSES for i in range(12)]
    write_rows(folder / "list.csv", rows)
    return folder / "list.csv"


def write_rows(file, rows):
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "group"), *rows])


def write_archive(file, change=lambda arrays: arrays):
    pixels = np.array([draw(label, i) for i in range(12) for label in (0, 1)])
    arrays = {}
    for number, split in enumerate(("train", "val", "test")):
        part = pixels[8 * number : 8 * number + 8]
        arrays |= {f"{split}_images": part, f"{split}_labels": np.tile([[0], [1]], (4, 1))}
    np.savez(file, **change(arrays))
    return file


def make(kind, tmp_path):
    """Return a source, and its images as they are recorded."""
    if kind == "folder":
        source = write_images(tmp_path / "data", 12, CLASSES)
    elif kind == "csv":
        source = write_listing(tmp_path / "data")
    else:
        source = write_archive(tmp_path / "data.npz")
    images = load(source, (8, 8), (0.5, 0.25, 0.25))
    return source, images


def alter(kind, source):
    """Change one image, remove one and add one, all in the class `ill` or among the test images; return their paths."""
    if kind == "npz":

        def change(arrays):
            arrays["test_images"][0] = 255 - arrays["test_images"][0]
            arrays["val_images"] = np.concatenate([arrays["val_images"], arrays["val_images"][:1]])
            arrays["val_labels"] = np.concatenate([arrays["val_labels"], [[0]]])
            arrays["test_images"], arrays["test_labels"] = arrays["test_images"][:-1], arrays["test_labels"][:-1]
            return arrays

        write_archive(source, change)
        return "test/0", "test/7", "val/8"
    folder = source if kind == "folder" else source.parent
    Image.fromarray(draw(0, 99)).save(folder / "ill" / "ill (0).png")
    (folder / "ill" / "ill (1).png").unlink()
    Image.fromarray(draw(0, 98)).save(folder / "ill" / "another.png")
    if kind == "csv":
        rows = [(f"{name}/{name} ({i}).png", name, f"{name[0]}{i}") for name in CLASSES for i in range(12)]
        del rows[1]
        write_rows(source, [*rows, ("ill/another.png", "ill", "i99")])
    return "ill/ill (0).png", "ill/ill (1).png", "ill/another.png"


@pytest.mark.parametrize("kind", ["folder", "csv", "npz"])
def test_what_is_the_same_keeps_its_split_and_the_rest_is_named(kind, tmp_path):
    source, images = make(kind, tmp_path)
    recorded = to_rows(images)
    before = recall(source, (8, 8), recorded, images.table.classes, made=images.split_made)
    assert before.images.split_made == images.split_made
    assert before.changes == Changes()
    assert before.same.all()
    assert to_rows(before.images) == recorded

    changed, gone, new = alter(kind, source)
    found = recall(source, (8, 8), recorded, images.table.classes)
    assert found.changes == Changes((new,), (gone,), (f"{changed} (sha256)",))
    paths = found.images.table.paths
    assert [path for path, same in zip(paths, found.same, strict=True) if not same] == [changed]
    assert not {new, gone} & set(paths)
    splits = {row["path"]: row["split"] for row in recorded}
    assert {path: str(split) for path, split in zip(paths, found.images.splits, strict=True)} == {
        path: split for path, split in splits.items() if path != gone
    }


def test_labels_and_groups_must_be_those_that_were_recorded(tmp_path):
    source = write_listing(tmp_path / "data")
    recorded = to_rows(load(source, (8, 8)))
    rows = [(f"{name}/{name} ({i}).png", name, f"{name[0]}{i}") for name in CLASSES for i in range(12)]
    rows[0], rows[1] = (rows[0][0], "well", rows[0][2]), (*rows[1][:2], "other")
    write_rows(source, rows)
    found = recall(source, (8, 8), recorded, CLASSES)
    assert found.changes.changed == ("ill/ill (0).png (label)", "ill/ill (1).png (group)")
    assert not found.same[:2].any()
    assert found.same[2:].all()


def test_an_image_that_can_no_longer_be_read_has_changed(tmp_path):
    source = write_images(tmp_path / "data", 12, CLASSES)
    (source / "ill" / "broken.png").write_text("no image")
    recorded = to_rows(load(source, (8, 8), skip_bad=True))
    (source / "ill" / "ill (3).png").write_text("no image any more")
    found = recall(source, (8, 8), recorded, CLASSES, left_out=["ill/broken.png"])
    assert (found.changes.new, found.changes.gone) == ((), ())
    assert [text.split(" (it is")[0] for text in found.changes.changed] == ["ill/ill (3).png"]
    assert "ill/ill (3).png" not in found.images.table.paths
    row = found.images.table.paths.index("ill/ill (4).png")
    pixels = next(iter(found.images.batches([row], 1)))[0].numpy()[0]
    expected = load(source, (8, 8), skip_bad=True)
    other = expected.table.paths.index("ill/ill (4).png")
    assert np.array_equal(pixels, next(iter(expected.batches([other], 1)))[0].numpy()[0])


def test_a_sentence_names_three_images_and_counts_the_others(tmp_path):
    source = write_images(tmp_path / "data", 12, CLASSES)
    images = load(source, (8, 8), (0.5, 0.25, 0.25))
    for i in range(5):
        Image.fromarray(draw(0, 50 + i)).save(source / "ill" / f"new{i}.png")
    found = recall(source, (8, 8), to_rows(images), CLASSES)
    said = "Since the run was trained, 5 images were added and are not scored: ill/new0.png, ill/new1.png, ill/new2.png"
    tested = int((images.splits == "test").sum())
    assert describe_changes(found, tested) == [f"{said} and 2 more."]
    assert describe_changes(found, tested + 1)[1] == f"{tested} of the run's {tested + 1} test images are scored."


def test_rows_are_compared_by_path():
    row = {"path": "a", "label": "ill", "group": "", "split": "test", "sha256": "0"}
    assert compare_rows([row], [{**row, "split": "train"}]) == Changes()
    assert compare_rows([row], [{**row, "split": "train"}], SPLITS_CSV.columns[1:]).changed == ("a (split)",)


def row_of(path, label, split):
    return {"path": path, "label": label, "group": "", "split": split, "sha256": path}


@pytest.mark.parametrize("old_made", [(), ("val",), SPLITS])
@pytest.mark.parametrize("new_made", [(), ("val",), SPLITS])
def test_a_given_split_has_moved_if_it_is_known_of_both_and_differs(old_made, new_made):
    moves = {"a": ("test", "train"), "b": ("train", "val"), "c": ("val", "test"), "d": ("test", "test")}
    old, new = ({path: row_of(path, "ill", pair[side]) for path, pair in moves.items()} for side in (0, 1))
    found = find_moved(old, {**new, "e": row_of("e", "ill", "test")}, (old_made, new_made))
    if SPLITS in (old_made, new_made):
        assert found == []
    elif new_made == ("val",):  # b stayed in the train that was given
        assert found == ["a", "c"]
    else:
        assert found == ["a", "b", "c"]


def test_what_older_records_say_of_given_splits():
    assert read_made({"made": ["val"], "split": "made"}) == ["val"]
    assert read_made({"split": "given"}) == ()
    assert read_made({"split": "made"}) == read_made({}) == SPLITS


def list_splits(folder, splits):
    rows = [(f"{name}/{name} ({i}).png", name, splits[i % 3]) for name in CLASSES for i in range(12)]
    with (folder / "splits.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "split"), *rows])
    return folder / "splits.csv"


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        (("train", "val", "test"), ("train", "val", "test"), []),
        (("train", "val", "test"), ("train", "test", "test"), ["val there, test now"]),
        (("train", "train", "test"), ("train", "train", "test"), []),  # val is split off train
        (("train", "val", "test"), ("train", "train", "test"), ["val there, train now"]),
        (
            *(("train", "train", "test"), ("test", "train", "train")),
            ["train there, test now", "val there, test now", "test there, train now"],
        ),
    ],
)
def test_images_whose_given_split_changed_are_named_and_scored_as_recorded(before, after, moves, tmp_path):
    folder = write_images(tmp_path / "data", 12, CLASSES)
    images = load(list_splits(folder, before), (8, 8), (0.6, 0.2, 0.2))
    recorded = to_rows(images)
    found = recall(list_splits(folder, after), (8, 8), recorded, CLASSES, made=images.split_made)
    assert found.images.splits.tolist() == images.splits.tolist()
    assert found.same.all()
    said = describe_changes(found, 8)
    assert {words[words.rindex(" (") + 2 : -1] for words in found.moved} == set(moves)
    told = "".join(said)
    assert bool(told) == bool(moves)
    if moves:
        assert told.startswith(f"Since the run was trained, {len(found.moved)} images have got another split in the ")
        assert told.endswith("The run's splits.csv decides.")
    assert describe_changes(recall(folder, (8, 8), recorded, CLASSES, made=images.split_made), 8) == [
        "Since the run was trained, the splits that came with the images have gone. The run's splits.csv decides."
    ]


# A finished run


@pytest.fixture
def moved(finished, images, tmp_path):
    """Give a copy of a run and of its images, which it knows."""
    run = RunDir(tmp_path / "run")
    shutil.copytree(finished.path, run.path)
    shutil.copytree(images, tmp_path / "images")
    recipe = run.json("recipe.json")
    recipe["data"]["source"] = str(tmp_path / "images")
    (run / "recipe.json").write_text(json.dumps(recipe))
    write_lock(run)
    return run, tmp_path / "images"


def evaluate(run, source=None, **options):
    said = []
    made, result = inference.evaluate(run, source, voice=Voice(warn=said.append), **options)
    assert result["evaluated"]["warnings"] == said
    return made.units, result, said


def test_a_run_is_scored_on_its_own_test_images_whatever_was_added(moved):
    run, images = moved
    before, _, said = evaluate(run)
    assert said == []
    for i in range(7):
        Image.fromarray(draw(0, 70 + i)).save(images / "benign" / f"added{i}.png")
    anew = load(images, (32, 32))  # which divides otherwise now: that is what must not be done
    splits = dict(zip(anew.table.paths, anew.splits, strict=True))
    assert any(splits[path] == "train" for path in before.of("test").paths)
    made, result, said = evaluate(run)
    assert (made.paths, made.splits) == (before.paths, before.splits)
    assert np.allclose(made.scores, before.scores, atol=1e-6)
    assert [words.split(":")[0] for words in said] == [
        "Since the run was trained, 7 images were added and are not scored"
    ]
    (images / before.of("test").paths[0]).unlink()
    made, result, said = evaluate(run)
    assert result["n"] == len(before.of("test").paths) - 1
    assert said[-1] == f"{result['n']} of the run's {result['n'] + 1} test images are scored."


def test_images_that_lie_elsewhere_are_the_runs_own_where_a_user_says_so(moved, tmp_path):
    run, images = moved
    before, _, _ = evaluate(run)
    images.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="now with `--data PLACE --moved`"):
        evaluate(run)
    made, result, said = evaluate(run, str(tmp_path / "elsewhere"), moved=True)
    assert (made.paths, made.splits, said) == (before.paths, before.splits, [])
    assert result["evaluated"]["data"] == str(tmp_path / "elsewhere")


def test_a_run_is_scored_by_its_own_splits_and_says_where_the_source_gives_others(moved):
    run, images = moved
    recipe, environment = run.json("recipe.json"), run.json("environment.json")
    recipe["data"]["source"] = str(images / "list.csv")
    environment["data"] |= {"split": "given", "made": []}
    for name, content in {"recipe.json": recipe, "environment.json": environment}.items():
        (run / name).write_text(json.dumps(content))
    write_lock(run)
    rows = SPLITS_CSV.read(run)
    one = next(row for row in rows if row["split"] == "test")

    def ask(columns):
        with (images / "list.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([columns, *([row[name] for name in columns] for row in rows)])
        made, _, said = evaluate(run)
        assert one["path"] in made.of("test").paths
        return said

    assert ask(["path", "label", "split"]) == []
    assert ask(["path", "label"]) == [
        "Since the run was trained, the splits that came with the images have gone. The run's splits.csv decides."
    ]
    one["split"] = "train"
    assert ask(["path", "label", "split"]) == [
        "Since the run was trained, 1 image has got another split in the source: "
        f"{one['path']} (test there, train now). The run's splits.csv decides."
    ]


def test_without_a_test_image_that_is_as_it_was_there_is_no_score(moved):
    run, images = moved
    for row in SPLITS_CSV.read(run):
        if row["split"] == "test":
            Image.fromarray(draw(0, 99)).save(images / row["path"])
    with pytest.raises(InputError, match=r"must be as it was .*: 9 changed: .*\.png \(sha256\), .* and 6 more\."):
        evaluate(run)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it names no image"),
        (b"path,label\na,b\n", "the columns path,label"),
        (b"path,label,group,split,sha256\na,b\n", "row 2 has not 5 fields"),
        (b"path,label,group,split,sha256\na,b,,tset," + b"0" * 64 + b"\n", "split='tset'"),
        (b"path,label,group,split,sha256\na,b,,test,0\n", "sha256='0'"),
        (2 * (b"path,label,group,split,sha256\n" + b"a,b,,test," + b"0" * 64 + b"\n"), "row 3"),
        (b"\xff\xfe\x00", "UnicodeDecodeError"),
    ],
)
def test_a_record_that_is_not_as_it_was_written_is_refused(content, said, tmp_path):
    (tmp_path / "splits.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"`splits.csv` of a run must be as `tlmed train` wrote it.*({said})"):
        SPLITS_CSV.read(RunDir(tmp_path))
