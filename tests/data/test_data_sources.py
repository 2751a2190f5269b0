"""Every form of `--data` must name the same images, and say clearly what is wrong with it."""

import io
import os
import struct
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from tlmed.data import archives, load, open_source, read_files
from tlmed.data.table import make_table
from tlmed.errors import InputError
from tlmed.source_layout import Layout
from tlmed.split_names import SPLITS
from tlmed.trust import trusting

tfds = pytest.importorskip("tensorflow_datasets")


def png(value=0, size=(6, 8)):
    stream = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write(root, *paths):
    """Write a different small image at every path, and text at those that end in .txt."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        content = b"A note.\n" if path.endswith(".txt") else png(len(list(root.rglob("*"))) % 256)
        (root / path).write_bytes(content)
    return root


def faults(source):
    with pytest.raises(InputError) as error:
        open_source(source)
    for fault in error.value.faults:
        assert "Received: " in fault
        assert fault.endswith((".", "...")), fault
        assert "\n" not in fault
    return error.value.faults


# Folders


def test_class_folders(tmp_path):
    write(tmp_path, "b b/x (1).PNG", "a/z.jpeg", "a/y.tif", "b b/.hidden.png", ".git/c/x.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    table = open_source(tmp_path)
    assert table.paths == ("a/y.tif", "a/z.jpeg", "b b/x (1).PNG")
    assert table.classes == ("a", "b b")
    assert table.labels.tolist() == [0, 0, 1]
    assert table.labels.dtype == np.int64
    assert (table.groups, table.splits, table.skipped) == (None, None, ("a/notes.txt",))
    assert table.hidden == (".git/", "b b/.hidden.png")
    assert table.read(2) == (tmp_path / "b b/x (1).PNG").read_bytes()


def test_split_folders_as_kaggle_sets_call_them(tmp_path):
    write(tmp_path, *(f"{split}/{name}/1.png" for split in ("Training", "Testing") for name in "ab"))
    table = open_source(tmp_path)
    assert dict(zip(table.paths, table.splits, strict=True))["Testing/a/1.png"] == "test"
    assert table.classes == ("a", "b")


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders(tmp_path, val):
    write(tmp_path, "train/a/1.png", "train/b/2.png", f"{val}/a/1.png", "test/b/1.png")
    table = open_source(str(tmp_path))
    assert table.paths == tuple(sorted(["test/b/1.png", "train/a/1.png", "train/b/2.png", f"{val}/a/1.png"]))
    assert dict(zip(table.paths, table.splits, strict=True))[f"{val}/a/1.png"] == "val"
    assert table.classes == ("a", "b")


def test_split_folders_without_val(tmp_path):
    folders = [f"{split}/{name}" for split in ("train", "test") for name in "ab"]
    write(tmp_path, *(f"{folder}/{n}.png" for folder in folders for n in range(8)))
    images = load(tmp_path, (4, 4))
    assert images.split_made == ("val",)
    assert len(images.indices("test")) == 16
    assert len(images.indices("val")) in (2, 3, 4)
    assert any("of train became val" in sentence for sentence in images.warnings)


def test_links_are_followed(tmp_path):
    write(tmp_path / "real", "a/1.png", "b/1.png")
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "link.png").symlink_to(tmp_path / "real/a/1.png")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "real/b")
    table = open_source(tmp_path / "data")
    assert table.paths == ("a/link.png", "b/1.png")
    assert table.read(0) == (tmp_path / "real/a/1.png").read_bytes()


def test_images_beside_class_folders_are_told(tmp_path):
    write(tmp_path, "a/1.png", "b/1.png", "stray.png")
    table = open_source(tmp_path)
    assert len(table) == 2
    assert table.notes == ("Left out, as in no class folder: 1 image (stray.png).",)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], ["must hold images (.png, "]),
        (["1.png", "2.png"], ["one folder per class", "2 images (1.png, 2.png) lie"]),
        (["a/1.png"], ["two classes or more", "only the class 'a' (1 image)"]),
        (
            ["a/1.png", "b/1.txt"],
            ["Every class folder must hold images", "'b' with no image and 1 other file"],
        ),
        (["a/p1/1.png", "b/2.png"], ["must hold its images directly", "'a/p1/1.png'", "path,label,group"]),
        (["Training/a/1.png", "Testing/a/1.png"], ["two classes or more", "only the class 'a' (2 images)"]),
        (["Learning/a/1.png", "Exam/a/1.png"], ["called train, val and test", "'Learning/a/1.png'"]),
        (["train/a/1.png", "train/b/1.png", "val/a/1.png"], ["a folder 'test'", "train, val."]),
        (["test/a/1.png", "test/b/1.png"], ["a folder 'train'"]),
        (["train/a/1.png", "test/b/1.png", "extra/c/1.png"], ["No other folder", "extra."]),
        (["train/a/1.png", "test/b/1.png", "val/c/1.png", "valid/c/1.png"], ["all mean 'val'", "val, valid"]),
        (
            ["train/a/1.png", "train/a/x/1.png", "test/b/1.txt"],
            ["'train/a/x/1.png'", "'test/b' with no image"],
        ),
    ],
)
def test_faulty_folders(tmp_path, paths, expected):
    write(tmp_path, *paths)
    text = " ".join(faults(tmp_path))
    assert all(words in text for words in expected), text


def test_wrong_paths_suggest_the_nearest_name(tmp_path):
    write(tmp_path, "images/a/1.png", "archive.zip")
    assert "Did you mean 'images'?" in faults(tmp_path / "imagse")[0]
    assert "Did you mean 'images'?" in faults(tmp_path / "imagse" / "a")[0]
    assert ".csv" in faults(tmp_path / "archive.zip")[0]


# CSV


def listing(root, text, name="list.csv"):
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def test_listing(tmp_path):
    write(tmp_path, "x/1.png", "x/2.png", "3, left.png")
    rows = 'p2,x/2.png,b,61\np1,./x/1.png, a,\np1,"3, left.png",b,4\n'
    file = listing(tmp_path, "\ufeffgroup, path ,label,age\n" + rows)
    table = open_source(file)
    assert table.paths == ("3, left.png", "x/1.png", "x/2.png")
    assert [table.classes[label] for label in table.labels] == ["b", "a", "b"]
    assert table.groups == ("p1", "p1", "p2")
    assert table.splits is None
    assert table.read(1) == (tmp_path / "x/1.png").read_bytes()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "Image Path;Diagnosis",
            ["'Image Path' is taken for 'path'", "'Diagnosis' is taken for 'label'", "semicolons"],
        ),
        ("filename\ttarget", ["'filename' is taken for 'path'", "'target' is taken for 'label'", "by tabs"]),
        ("path,class", ["'class' is taken for 'label'"]),
        ("path,label", []),
    ],
)
def test_listings_as_people_have_them(tmp_path, header, said):
    write(tmp_path, "x/1.png", "x/2.png", "x/3.png")
    mark = next((mark for mark in ";\t" if mark in header), ",")
    rows = [f"x\\1.png{mark}a", f"{tmp_path}/x/2.png{mark}b", f"x/3.png{mark}b"]
    table = open_source(listing(tmp_path, "\r\n".join([header, *rows])))
    assert table.paths == ("x/1.png", "x/2.png", "x/3.png")
    assert table.labels.tolist() == [0, 1, 1]
    assert len(table.notes) == min(len(said), 1)
    assert all(words in table.notes[0] for words in said), table.notes


def test_a_folder_level_too_high_or_too_low_is_named_with_the_right_one(tmp_path):
    write(tmp_path / "download", "images/a/1.png", "images/b/1.png")
    assert f"Did you mean data={tmp_path}/download/images?" in faults(tmp_path / "download")[0]
    assert f"Did you mean data={tmp_path}/download/images?" in faults(tmp_path / "download" / "images" / "a")[0]
    flat = write(tmp_path / "flat", "1.png", "2.png", "README.txt")
    (flat / "labels.csv").write_text("path,label\n1.png,a\n2.png,b\n")
    assert f"Did you mean data={flat}/labels.csv? Received: data={flat}, where 2 images" in faults(flat)[0]
    assert "Did you mean" not in " ".join(faults(write(tmp_path / "other", "x/p1/1.png", "y/p2/1.png")))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("scan.webp", b"", "1 WebP file: tlmed does not read WebP: convert it to PNG first"),
        ("scan.JP2", b"", "does not read JPEG 2000"),
        ("DICOMDIR", b"", "1 DICOMDIR: it lists DICOM files and is no image"),
        ("INDEX", bytes(128) + b"DICM" + bytes(30) + b"1.2.840.10008.1.3.10", "1 DICOMDIR: it lists"),
        ("brain.nrrd", b"", "does not read volumes of this format"),
        ("brain", b"NRRD0004", "does not read volumes of this format"),
        ("brain.img", b"", "does not read pairs of .hdr and .img: save both as one .nii first"),
        ("all.zip", b"PK\3\4", "unzip it first"),
        (
            "biopsy.MRXS",
            b"",
            "1 slide: tlmed does not read slides of this kind: write each as a TIFF in tiles first, with lib",
        ),
        (
            "biopsy.czi",
            b"",
            "1 slide: tlmed does not read slides of this kind: write each as a TIFF in tiles first, with Bio",
        ),
        (
            "biopsy.vsi",
            b"II*\0",
            "1 slide: tlmed does not read slides of this kind: write each as a TIFF in tiles first, with Bio",
        ),
        ("biopsy", b"ZISRAWFILE", "1 slide: tlmed does not read slides of this kind"),
    ],
)
def test_files_of_other_kinds_are_called_by_their_name(tmp_path, name, content, said):
    write(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / name).write_bytes(content)
    assert any(note.startswith("1 ") and said in note for note in open_source(tmp_path).notes)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / name).write_bytes(content)
    assert said in faults(tmp_path)[0]
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / name).write_bytes(content)
    [flat] = faults(tmp_path / "flat")
    assert "holds no image and 1 other file (1 " in flat
    assert said in flat
    if name.endswith(".zip"):
        assert said in faults(tmp_path / "a" / name)[0]


@pytest.mark.parametrize("source", ["folder", "predict", "its own name"])
def test_names_that_are_not_utf8_are_refused(tmp_path, source):
    odd = os.fsdecode(b"\xff\xe9")
    root = tmp_path / odd if source == "its own name" else tmp_path
    write(root, "a/1.png", "b/1.png")
    if root == tmp_path:
        (root / "a" / f"{odd}.png").write_bytes(png())
    with pytest.raises(InputError, match=r"must be UTF-8: rename them. Received: .*udcff") as error:
        read_files([root], (8, 8)) if source == "predict" else open_source(root)
    str(error.value).encode()


@pytest.mark.parametrize("source", ["headers", "predict"])
def test_paths_that_a_program_for_tables_would_run_are_refused(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a/=1.png", "=cmd|x.png")  # the first begins with a folder, and is no formula
    with pytest.raises(InputError, match=r"must be no formula, .*: rename it. Received: '=cmd\|x.png'\.") as error:
        read_files(["."], (8, 8)) if source == "predict" else make_table("x", ["a/=1.png", "=cmd|x.png"], "ab", None)
    assert "=1" not in str(error.value)


def test_listing_with_splits(tmp_path):
    write(tmp_path, *(f"{n}.png" for n in range(4)))
    rows = "0.png,a,train\n1.png,b,Train\n2.png,a,validation\n3.png,b,test\n"
    assert open_source(listing(tmp_path, "path,label,split\n" + rows)).splits == (
        "train",
        "train",
        "val",
        "test",
    )


def test_every_fault_of_a_listing_is_reported_at_once_with_its_line(tmp_path):
    write(tmp_path, "1.png", "2.png", "3.png", "4.png")
    write(tmp_path.parent, "outside.png")
    text = (
        "path,label,group,split\n1.png,a,p,train\n2.png,,p,train\nmissing.png,a,p,train\n../outside.png,a,p,train\n"
        f"{tmp_path}/1.png,a,p,train\n3.png,zebra,p,test\n4.png,a,,holdout\n1.png,b,p,train\n,a,p,train\n"
        "C:\\x.png,a,p,train\n2.png,a,p,train,surplus\n"
    )
    found = " | ".join(faults(listing(tmp_path, text)))
    for words in (
        "A label must not be empty, nor what programs write for an empty one (nan, NA, null): leave such rows out, or "
        "give the class another name. Received: label='' (line 3).",
        "'missing.png' (line 4)",
        "inside it. Received: '../outside.png' (line 5), 'C:\\x.png' (line 11).",
        "A label of 'test' must occur in 'train' too. Received: 'zebra' (line 7).",
        "must name its group. Received: group='' (line 8).",
        "'train', 'val' or 'test'. Received: 'holdout' (line 8).",
        "'1.png' (lines 2, 6, 9)",
        "path='' (line 10)",
        "more fields (line 12)",
    ):
        assert words in found, f"{words!r} not in {found}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,lable\n1.png,a\n", ["the column 'label'", "Did you mean 'lable'?", "with path, lable."]),
        ("where,what\n1.png,a\n", ["the column 'path'", "the column 'label'"]),
        ("image,file,label\n1.png,2.png,a\n", ["the column 'path'"]),
        ("path label\n1.png a\n", ["separated by commas"]),
        ("path,label\n1.png,a\n2.mha,b\n", ["must name an image", "does not read volumes", "'2.mha' (line 3)"]),
        ("", ["with none"]),
        ("path,label,label\n", ["may occur only once"]),
        ("path,label,site,site\n", ["may occur only once. Received: 'site' twice"]),
        ("path,label,Split,split\n", ["Only one column may mean the column 'split'", "with 'Split' and 'split'"]),
        ("path,label,Label\n", ["mean the column 'label': `data.label_column` says which", "'label' and 'Label'"]),
        ("Path,PATH,label\n", ["Only one column may mean the column 'path'", "with 'Path' and 'PATH'"]),
        ("path,label\n", ["holds no image"]),
        ("path,label\n1.png,a\n", ["only the class 'a'"]),
        ("path,label,split\n1.png,a,train\n2.png,b,val\n2.png,b,train\n", ["rows of 'test'", "(lines 3, 4)"]),
    ],
)
def test_faulty_listings(tmp_path, text, expected):
    write(tmp_path, "1.png", "2.png")
    found = " ".join(faults(listing(tmp_path, text)))
    assert all(words in found for words in expected), found


def test_a_listing_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes("path,label\nmäßig.png,a\n".encode("latin-1"))
    assert "CSV file in UTF-8" in faults(tmp_path / "list.csv")[0]


def test_many_faults_of_one_kind_stay_readable(tmp_path):
    text = "path,label\n" + "".join(f"{n}.png,a\n" for n in range(1000))
    (fault,) = faults(listing(tmp_path, text))
    assert fault.endswith("and 997 more.")


# MedMNIST


def archive(root, channels=(), **changes):
    random = np.random.RandomState(0)
    arrays = {}
    for split, n in (("train", 12), ("val", 3), ("test", 4)):
        arrays[f"{split}_images"] = random.randint(0, 256, (n, 28, 28, *channels)).astype(np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n) % 2)[:, None]
    arrays |= changes
    np.savez(root / "mnist.npz", **{name: array for name, array in arrays.items() if array is not None})
    return root / "mnist.npz", arrays


@pytest.mark.parametrize("channels", [(), (3,)])
def test_archive(tmp_path, channels):
    file, arrays = archive(tmp_path, channels)
    table = open_source(file)
    assert len(table) == 19
    assert table.paths == tuple(sorted(table.paths))
    assert table.classes == ("0", "1")
    row = table.paths.index("train/11")
    assert (table.splits[row], table.labels[row]) == ("train", 1)
    np.testing.assert_array_equal(table.read(row), arrays["train_images"][11])
    images = load(file, (28, 28))
    expected = arrays["train_images"][11].reshape(28, 28, -1) * np.ones(3, np.uint8)
    np.testing.assert_array_equal(images.pixels.take(np.array([row]))[0], expected)
    assert not images.split_made


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"test_images": None}, ["without test_images"]),
        ({"train_labels": np.zeros((12, 14), int)}, ["equally many labels", "1, 14"]),
        ({"train_labels": np.full((12, 2), 2)}, ["must hold 0 and 1", "values 2"]),
        ({"train_labels": np.eye(2, dtype=int)[np.arange(12) % 2]}, ["one-hot rows become numbers by numpy.argmax"]),
        ({"train_labels": np.arange(12)[:, None] % 3 - 1}, ["must be 0 or more", "-1 as the lowest, and 4 labels"]),
        ({"val_images": np.zeros((3, 8, 8, 8, 3), np.uint8)}, ["coloured volumes are not read"]),
        ({"val_images": np.zeros((3, 8, 8, 3), np.float32)}, ["scale other colours to 0..255 and round them"]),
        ({"val_images": np.zeros((3, 8, 8), bool)}, ["numbers [n, h, w] or uint8 [n, h, w, 3]", "bool [3, 8, 8]"]),
        ({"train_labels": np.zeros((11, 1), int)}, ["the same length"]),
        (
            {"train_labels": np.zeros((12, 1)), "val_images": np.zeros((3, 8, 8, 8, 2), np.uint8)},
            ["integers", "or volumes, [n, d, h, w]"],
        ),
        ({"train_labels": np.array([["a"]] * 12, object)}, ["without Python objects"]),
    ],
)
def test_faulty_archives(tmp_path, changes, expected):
    text = " ".join(faults(archive(tmp_path, **changes)[0]))
    assert text.count("A MedMNIST file must") <= 1
    assert all(words in text for words in expected), text


def test_gaps_between_the_labels_of_an_archive_are_told(tmp_path):
    labels = {f"{split}_labels": np.arange(n)[:, None] % 2 * 255 for split, n in zip(SPLITS, (12, 3, 4), strict=True)}
    assert open_source(archive(tmp_path, **labels)[0]).notes == (
        "The labels are not without gaps: 0, 255. Each of these numbers counts as a class.",
    )
    assert open_source(archive(tmp_path)[0]).notes == ()


# Names of classes

ACCENT = "Me\u0301nie\u0300re"  # as macOS writes it


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ("Normal", "normal", "'normal' differs from 'Normal' only in case or spaces"),
        ("a", "a ", "'a ' differs from 'a' only in case or spaces"),
        ("M\xe9ni\xe8re", ACCENT, "'Me\\u0301nie\\u0300re' differs from 'M\xe9ni\xe8re' only in Unicode form"),
        ("1", "01", "'01' differs from '1' only in how a number is written"),
    ],
)
@pytest.mark.parametrize("form", ["folder", "csv"])
def test_a_class_spelled_otherwise_in_another_split_is_named(tmp_path, form, train, test, said):
    rows = [("train", train), ("train", "x"), ("test", test), ("test", "x")]
    write(tmp_path, *(f"{split}/{name}/{i}.png" for split, name in rows for i in range(3)))
    source = tmp_path
    if form == "csv":
        lines = [f"{split}/{name}/{i}.png,{name},{split}" for split, name in rows for i in range(3)]
        source = tmp_path / "list.csv"
        source.write_text("\n".join(["path,label,split", *lines]))
        if test.strip() == train:
            assert open_source(source).classes == (train, "x")
            return
    with pytest.raises(InputError) as error:
        load(source, (4, 4))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("label", "said"), [("nan", "error"), ("NaN", "error"), ("<NA>", "error"), ("unknown", "warning"), ("none", "")]
)
def test_a_label_that_means_none_is_refused_or_told_and_a_class_may_be_called_none(label, said, tmp_path):
    names = [f"{i}.png" for i in range(9)]
    write(tmp_path, *names)
    labels = [label, "a", "b"] * 3
    lines = [f"{name},{label}" for name, label in zip(names, labels, strict=True)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    if said == "error":
        with pytest.raises(InputError, match=rf"A label must not be empty, .* Received: label='{label}' \(line 2\), "):
            open_source(tmp_path / "list.csv")
        return
    told = [words for words in load(tmp_path / "list.csv", (4, 4)).warnings if "stand for none" in words]
    assert [repr(label) in words for words in told] == [True] * (said == "warning")


def test_odd_names_of_classes_are_told(tmp_path):
    write(tmp_path, *(f"{name}/{i}.png" for name in (" a", "b", "NaN", "1", "1.0") for i in range(3)))
    told = load(tmp_path, (4, 4)).warnings
    for words in (
        "begin or end with a space: ' a'",
        "stand for none counts as a class: 'NaN'",
        "only in how a number is written, and count as different classes: '1' and '1.0'",
    ):
        assert sum(words in sentence for sentence in told) == 1, told


def npy(shape, dtype="|u1", body=b"", version=1):
    """Write an array that may say of itself what it is not."""
    head = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(head)) + head + body


def rebuild(file, replaced=(), method=zipfile.ZIP_STORED):
    """Write an archive again with other content for some members; None leaves one out."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | dict(replaced)
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return file.read_bytes()


def with_method(content, number):
    """Change the method of compression in every header."""
    content = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = content.find(mark)
        while start >= 0:
            content[start + place : start + place + 2] = struct.pack("<H", number)
            start = content.find(mark, start + 1)
    return bytes(content)


def with_password(content):
    place = content.index(b"PK\x01\x02") + 8
    return content[:place] + b"\x01" + content[place + 1 :]


def broken_deflate(file):
    content = rebuild(file, method=zipfile.ZIP_DEFLATED)
    place = content.index(b"train_images.npy") + 20
    return content[:place] + b"\xff" * 40 + content[place + 40 :]


def with_duplicate(file):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("train_images.npy", archive.read("test_images.npy"))
    return file.read_bytes()


def put_image(content):
    return lambda file: rebuild(file, {"train_images.npy": content})


ODD_ARCHIVES = {
    "unknown compression": (lambda file: with_method(rebuild(file), 97), "compression"),
    "compression that is none": (lambda file: with_method(rebuild(file), 8), "CRC"),
    "lzma that is none": (lambda file: with_method(rebuild(file), 14), "."),
    "a password": (lambda file: with_password(rebuild(file)), "encrypted"),
    "broken deflate": (broken_deflate, "."),
    "bytes for an array": (put_image(b"no array"), "no array of NumPy"),
    "an archive for an array": (lambda file: put_image(file.read_bytes())(file), "no array of NumPy"),
    "an empty member": (put_image(b""), "no array of NumPy"),
    "a name without ending": (
        lambda file: rebuild(file, {"train_images.npy": None, "train_images": npy((1, 1, 1), body=b"0")}),
        "without train_images",
    ),
    "the same name twice": (with_duplicate, "train_images more than once"),
    "a huge shape": (put_image(npy((10**9, 1000, 1000))), "not as large as its shape"),
    "a shape beyond all numbers": (put_image(npy((2**62, 2**62, 2**62))), "not as large as its shape"),
    "a shape below zero": (put_image(npy((-1, -5, 1), body=b"12345")), "not as large as its shape"),
    "a shape that wraps round": (put_image(npy((2**32, 2**32, 1))), "not as large as its shape"),
    "more than it says": (put_image(npy((1, 1, 1), body=b"123")), "not as large as its shape"),
    "less than it says": (put_image(npy((1, 2, 2), body=b"123")), "not as large as its shape"),
    "objects": (put_image(npy((1, 1, 1), "|O", b"12345678")), "Python objects"),
    "a record of objects": (put_image(npy((1,), [("x", "|O")], b"12345678")), "Python objects"),
    "text": (put_image(npy((12, 1, 1), "<U1", b"1234" * 12)), "must be images"),
    "another version": (put_image(npy((1, 1, 1), body=b"1", version=9)), "version"),
    "nested brackets": (put_image(npy("(" * 5000 + ")" * 5000)), "header"),
    "nested signs": (put_image(npy(f"({'-' * 9000}1,)")), "."),
    "a shape of words": (put_image(npy("('a', 1)")), "header is damaged"),
    "no dtype": (put_image(npy((1, 1, 1), "nonsense")), "."),
}


@pytest.mark.parametrize(("make", "reason"), ODD_ARCHIVES.values(), ids=ODD_ARCHIVES)
def test_odd_archives_are_refused_in_a_line(tmp_path, make, reason):
    file, _ = archive(tmp_path)
    content = make(file)
    file.write_bytes(content)
    (fault,) = faults(file)
    assert fault.startswith(("A MedMNIST file must", "`train_images` must be images")), fault
    assert reason in fault


def test_arrays_that_memory_has_no_room_for_are_not_read(tmp_path, monkeypatch):
    file, arrays = archive(tmp_path)
    monkeypatch.setattr(archives, "free_memory", lambda: sum(array.nbytes for array in arrays.values()) - 1)
    assert "its arrays take 15.0 KB, and 15.0 KB of memory are free" in faults(file)[0]


@pytest.mark.slow
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_anywhere_in_an_archive_is_a_line_or_changes_nothing_that_counts(tmp_path, method):
    random = np.random.RandomState(0)
    file, _ = archive(tmp_path)
    whole = rebuild(file, method=method)
    heads = [place for place in range(len(whole)) if whole[place : place + 2] == b"PK"]
    for number in range(1000):
        damaged = bytearray(whole)
        start = heads[random.randint(len(heads))] if number % 2 else random.randint(len(whole))
        for place in start + random.randint(0, 100, random.randint(1, 4)):
            damaged[min(place, len(whole) - 1)] = random.randint(256)
        file.write_bytes(damaged)
        try:
            table = open_source(file)
        except InputError as error:
            assert all("\n" not in fault for fault in error.faults)  # noqa: PT017
        else:
            assert len(table) == 19


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "x.npz").write_text("x")
    assert "readable .npz" in faults(tmp_path / "x.npz")[0]


# TensorFlow Datasets


FINDINGS = ("edema", "mass", "cyst")


def small_builder(splits, features=None, **extra):
    """Make a builder of small images whose grey level tells split and index."""

    class Small(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "small"
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = None
        code_path = None  # where TFDS would look for checksums

        def _info(self):
            shape = {
                "image": tfds.features.Image(),
                "label": tfds.features.ClassLabel(names=["mole", "melanoma"]),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features or shape | extra))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(start, n) for split, (start, n) in splits.items()}

        def _generate_examples(self, start, n):
            for index in range(n):
                image = np.full((6, 5, 3), start + index, np.uint8)
                values = {
                    "image": image,
                    "label": index % 2,
                    "findings": [name for bit, name in enumerate(FINDINGS) if index >> bit & 1],
                    "view": index % 2,
                    "states": ["positive", "unmentioned", "unmentioned"],
                    "edema": index & 1,
                    "mass": -1 if index % 5 == 4 else index >> 1 & 1,
                    "cyst": bool(index >> 2 & 1),
                    "odd": index,
                    "patient": f"p{index // 2}",
                    "patient_id": index // 2,
                }
                yield index, {key: value for key, value in values.items() if key in self.info.features}

    return Small


BUILDERS = {
    "given": {"splits": {"train": (0, 20), "validation": (40, 4), "test": (60, 6)}},
    "given_without_val": {"splits": {"train": (0, 20), "test": (60, 6), "unsupervised": (80, 2)}},
    "single": {"splits": {"everything": (0, 24)}, "patient": tfds.features.Text()},
    "numbered": {"splits": {"train": (0, 24)}, "patient_id": tfds.features.Scalar(np.int64)},
    "no_test": {"splits": {"train": (0, 20), "validation": (40, 4)}},
    "no_label": {"splits": {"train": (0, 2)}, "features": {"image": tfds.features.Image()}},
    "sequence": {
        "splits": {"train": (0, 24), "test": (60, 8)},
        "features": {
            "image": tfds.features.Image(),
            "view": tfds.features.ClassLabel(names=["frontal", "lateral"]),
            "findings": tfds.features.Sequence(tfds.features.ClassLabel(names=[*FINDINGS, "No Finding"])),
        },
    },
    "states": {
        "splits": {"train": (0, 4), "test": (60, 4)},
        "features": {
            "image": tfds.features.Image(),
            "states": tfds.features.Sequence(tfds.features.ClassLabel(names=["positive", "unmentioned"])),
        },
    },
    "columns": {
        "splits": {"train": (0, 24), "test": (60, 8)},
        "features": {
            "image": tfds.features.Image(),
            "patient": tfds.features.Text(),
            "edema": tfds.features.Scalar(np.int64),
            "mass": tfds.features.Scalar(np.int64),
            "cyst": tfds.features.Scalar(np.bool_),
            "odd": tfds.features.Scalar(np.int64),
            "label": tfds.features.ClassLabel(names=["mole", "melanoma"]),
        },
    },
}


@pytest.mark.parametrize("name", ["kaggle:moles", "huggingface:mnist", "a-b:c/config:1.0.0", "mlds:Moles/x=1"])
def test_code_of_a_namespace_is_not_downloaded(name, monkeypatch):
    def run(*arguments, **options):
        pytest.fail("TFDS was asked")

    monkeypatch.setattr(tfds, "builder", run)
    (fault,) = faults(f"tfds:{name}")
    assert f"which only --trust allows. Received: data=tfds:{name}, of the namespace '{name.split(':')[0]}'" in fault


def test_code_of_a_namespace_is_run_where_it_is_trusted(tmp_path, monkeypatch):
    made = small_builder(**BUILDERS["single"])(data_dir=tmp_path)
    monkeypatch.setattr(tfds, "builder", lambda name, **options: made)
    with trusting():
        assert len(open_source("tfds:kaggle:moles")) == 24
    assert "--trust" in faults("tfds:kaggle:moles")[0]


def test_features_of_a_prepared_data_set_import_nothing(tmp_path, monkeypatch):
    """TFDS imports the module of a feature's class, whatever it is, to read what another machine has prepared."""
    made = small_builder(**BUILDERS["single"])(data_dir=tmp_path)
    made.download_and_prepare()
    name = f"tfds:small/data_dir={tmp_path}"
    assert len(open_source(name)) == 24
    (tmp_path / "foreign_code.py").write_text("raise SystemError('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    (file,) = tmp_path.rglob("features.json")
    sound = file.read_text()
    for key in ("pythonClassName", "python\\u0043lassName"):
        odd = sound.replace("tensorflow_datasets.core.features.text_feature.Text", "foreign_code.Text")
        file.write_text(odd.replace("pythonClassName", key))
        (fault,) = faults(name)
        assert "names foreign_code.Text" in fault
        with trusting(), pytest.raises(SystemError, match="it ran"):
            open_source(name)


@pytest.mark.parametrize("damage", ["cut", "length", "bytes", "label", "image", "pipe"])
def test_a_prepared_data_set_that_is_damaged_is_a_line(tmp_path, damage):
    made = small_builder(**BUILDERS["single"])(data_dir=tmp_path)
    made.download_and_prepare()
    (file,) = tmp_path.rglob("*.tfrecord*")
    whole, names = file.read_bytes(), {"label": b"label", "image": b"image"}
    if damage == "pipe":
        file.unlink()
        os.mkfifo(file)
    else:
        changed = {
            "cut": whole[:-7],
            "length": b"\xff" * 8 + whole[8:],
            "bytes": whole[:12] + b"\xff" * 20 + whole[32:],
        }
        file.write_bytes(changed.get(damage) or whole.replace(names[damage], b"other"))
    (fault,) = faults(f"tfds:small/data_dir={tmp_path}")
    assert fault.startswith("A prepared data set must be whole"), fault


@pytest.fixture
def open_tfds(tmp_path, monkeypatch):
    """Open one of the builders above as if TFDS knew it by name."""
    from tlmed.data import builders

    def open_builder(name, **layout):
        made = small_builder(**BUILDERS[name])(data_dir=tmp_path)
        monkeypatch.setattr(builders, "_find", lambda _: made)
        return open_source(f"tfds:{name}", Layout(**layout))

    return open_builder


def check_rows(table, starts):
    from tlmed.data import decode

    for row, path in enumerate(table.paths):
        split, _ = path.split("/")
        grey = decode(table.read(row))[0, 0, 0] - starts[split]
        assert table.classes[table.labels[row]] == ["mole", "melanoma"][grey % 2]
        if table.groups:
            assert table.groups[row] in (f"p{grey // 2}", f"{grey // 2}")


def test_tfds_with_given_splits(open_tfds):
    table = open_tfds("given")
    assert len(table) == 30
    assert table.classes == ("melanoma", "mole")
    assert {path.split("/")[0]: split for path, split in zip(table.paths, table.splits, strict=True)} == {
        "train": "train",
        "validation": "val",
        "test": "test",
    }
    assert table.groups is None
    check_rows(table, {"train": 0, "validation": 40, "test": 60})


def test_tfds_is_silent_and_what_other_threads_print_meanwhile_is_not_lost(tmp_path, monkeypatch, capsys):
    from tlmed.data import builders

    class Slow(small_builder({"train": (0, 2)}), skip_registration=True):
        def _split_generators(self, dl_manager):
            other = threading.Thread(target=print, args=["of another thread"])
            other.start()
            other.join()
            return super()._split_generators(dl_manager)

    monkeypatch.setattr(builders, "_find", lambda _: Slow(data_dir=tmp_path))
    assert len(open_source("tfds:slow")) == 2
    assert capsys.readouterr() == ("of another thread\n", "")


def test_tfds_without_val_tells_what_is_not_used(open_tfds):
    table = open_tfds("given_without_val")
    assert set(table.splits) == {"train", "test"}
    assert table.notes == ("The splits unsupervised of tfds:given_without_val are not used.",)


@pytest.mark.parametrize("name", ["single", "numbered"])
def test_tfds_with_a_single_split_and_groups(open_tfds, name):
    table = open_tfds(name)
    assert table.splits is None
    assert len(set(table.groups)) == 12
    check_rows(table, {"everything": 0, "train": 0})


@pytest.mark.parametrize(("nameless", "fault"), [(("p3",), "2 images of 24"), (("p3", "p4", "p5"), "6 images of 24")])
def test_tfds_without_the_names_of_some_patients_is_refused(tmp_path, monkeypatch, nameless, fault):
    from tlmed.data import builders

    class Gaps(small_builder(**BUILDERS["single"]), skip_registration=True):
        def _generate_examples(self, start, n):
            for index, values in super()._generate_examples(start, n):
                yield index, {**values, "patient": "" if values["patient"] in nameless else values["patient"]}

    monkeypatch.setattr(builders, "_find", lambda _: Gaps(data_dir=tmp_path))
    (said,) = faults("tfds:gaps")
    assert said.startswith("Where the column 'patient' names the groups, every row must name its group. ")
    assert f"data=tfds:gaps, where {fault} do not: everything/" in said


@pytest.mark.parametrize("name", ["sequence", "columns"])
def test_tfds_with_several_labels(open_tfds, name):
    from tlmed.data import decode

    asked = {"label_columns": FINDINGS, "several": True} if name == "columns" else {}
    table = open_tfds(name, **asked)
    assert table.classes == FINDINGS
    assert len(table) == 32
    for row in range(len(table)):
        index = int(decode(table.read(row))[0, 0, 0]) % 60  # the grey levels of test begin at 60
        expected = [index >> bit & 1 for bit in range(3)]
        if name == "columns" and index % 5 == 4:
            expected[1] = -1
        assert table.labels[row].tolist() == expected
    assert (table.groups is None) == (name == "sequence")


def test_a_tfds_sequence_of_states_is_not_taken_for_labels(open_tfds):
    with pytest.raises(InputError, match="must name each label of an image once; where its numbers are states"):
        open_tfds("states")


def test_tfds_features_that_are_no_labels_are_refused_by_name(open_tfds):
    for columns, words in {
        ("edema", "odd"): r"must hold 0, 1 or -1 .* odd='\d+' \(t",
        ("edema", "mas"): "must name features of 0 and 1. Did you mean 'mass'",
        ("edema", "label"): "must name features of 0 and 1.* Received: 'label'",
        ("edema", "patient"): "must name features of 0 and 1.* Received: 'patient'",
    }.items():
        with pytest.raises(InputError, match=words):
            open_tfds("columns", label_columns=columns, several=True)
    assert not open_tfds("columns").is_multi


def test_tfds_trains(open_tfds):
    open_tfds("given")
    images = load("tfds:given", (3, 3))
    pixels, labels = next(iter(images.batches(images.indices("val"), 8)))
    grey = pixels.numpy()[:, 0, 0, 0].tolist()
    assert sorted(grey) == [40, 41, 42, 43]
    assert [images.table.classes[label] for label in labels] == [["mole", "melanoma"][g % 2] for g in grey]


@pytest.mark.parametrize(
    ("name", "words"), [("no_test", "'train' and 'test', or one split only"), ("no_label", "class labels")]
)
def test_tfds_that_is_no_image_classification(open_tfds, name, words):
    with pytest.raises(InputError, match=words):
        open_tfds(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tlmed_phantom", "Did you mean 'tlmed_phantoms'?"),
        ("mnits", "Did you mean 'mnist'?"),
        ("mnist:9.0.0", "cannot be loaded at version 9.0.0"),
        ("", "must name a data set"),
    ],
)
def test_unknown_tfds_names(name, words):
    text = " ".join(faults(f"tfds:{name}"))
    assert words in text, text


def test_tfds_whose_download_fails(tmp_path, monkeypatch):
    from tlmed.data import builders

    class Remote(small_builder({"train": (0, 2)}), skip_registration=True):
        def _split_generators(self, dl_manager):
            raise tfds.download.DownloadError("Failed to get url https://example.invalid/x.zip.")

    monkeypatch.setattr(builders, "_find", lambda _: Remote(data_dir=tmp_path))
    text = " ".join(faults("tfds:remote"))
    assert "DownloadError: Failed to get url" in text
    assert str(tmp_path) in text
