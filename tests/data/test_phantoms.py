"""The phantoms: an image is decided by its own numbers, no brightness gives a class away, sets are whole."""

import dataclasses
import hashlib
import itertools
import pickle
import socket

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tlmed.data import phantoms, ultrasound
from tlmed.data.phantoms import enrol
from tlmed.data.sources import open_source
from tlmed.data.ultrasound import FINDINGS, LABELS, draw

pytestmark = pytest.mark.filterwarnings("error")

# python -c "import hashlib; from tlmed.data.ultrasound import draw
# print(hashlib.sha256(draw('benign', 0, 0, 0, 32).tobytes()).hexdigest()[:16])"
GOLDEN = {
    ("benign", 0, 0, 0, 32): "29785ff020de5156",
    ("malignant", 0, 1, 2, 64): "92a35fc99a9ea672",
    ("normal", 7, 41, 1, 128): "f30302d0afb1c7ad",
    ("benign", 1, 5, 0, 100): "921ca55ff529091f",
    ("lesion|shadow", 0, 3, 0, 64): "4525a531c107da77",
}


@pytest.fixture
def offline(monkeypatch):
    """Make every connection fail at once."""

    def refuse(*args, **kwargs):
        raise OSError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def prepare(arguments, folder):
    builder = tfds.builder(f"tlmed_phantoms/{arguments}", data_dir=folder)
    builder.download_and_prepare()
    return builder


def records(builder):
    return list(tfds.as_numpy(builder.as_dataset(split="train")))


@pytest.mark.parametrize(("case", "digest"), GOLDEN.items())
def test_an_image_has_the_same_bytes_in_every_release(case, digest):
    assert hashlib.sha256(draw(*case).tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize(("label", "size"), list(itertools.product((*LABELS, *FINDINGS[3:]), (16, 33, 64, 100))))
def test_an_image_is_grey_uint8_and_not_flat(label, size):
    image = draw(label, seed=0, patient=1, image=0, size=size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert (image == image[:, :, :1]).all()
    assert image.std() > 5


def test_every_argument_changes_the_image_and_nothing_else_does():
    base = {"label": "benign", "seed": 0, "patient": 0, "image": 0, "size": 32}
    np.random.seed(1)
    first = draw(**base)
    np.random.seed(2)
    assert (draw(**base) == first).all()
    for change in ({"label": "malignant"}, {"seed": 1}, {"patient": 1}, {"image": 1}):
        assert (draw(**{**base, **change}) != first).any(), change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"label": "cyst"}, "label='cyst'"),
        ({"size": 15}, "size=15"),
        ({"size": 4096}, "size=4096"),
        ({"seed": -1}, "seed=-1"),
        ({"patient": 1.0}, "patient=1.0"),
        ({"image": True}, "image=True"),
    ],
)
def test_draw_names_a_bad_argument(change, text):
    with pytest.raises(ValueError, match=f"Received: {text}"):
        draw(**{"label": "benign", "seed": 0, "patient": 0, "image": 0, "size": 32, **change})


def test_a_longer_list_begins_with_the_shorter_one():
    assert list(enrol(500, seed=3))[:123] == list(enrol(123, seed=3))
    assert list(enrol(50, seed=3)) != list(enrol(50, seed=4))


def test_patients_have_one_class_two_to_four_images_and_classes_are_balanced():
    views = list(enrol(3000, seed=0))
    people = {}
    for view in views[:-4]:
        people.setdefault(view.patient, []).append(view)
    complete = list(people.values())[:-1]
    assert {len(person) for person in complete} == {2, 3, 4}
    assert all(len({view.label for view in person}) == 1 for person in complete)
    assert all([view.image for view in person] == list(range(len(person))) for person in complete)
    assert len({view.name for view in views}) == 3000
    shares = [sum(view.label == label for view in views) / 3000 for label in LABELS]
    assert np.allclose(shares, 1 / 3, atol=0.02)


def test_size_and_echo_level_of_a_lesion_do_not_depend_on_its_class():
    for patient in range(50):
        benign, malignant = (ultrasound._draw_lesion(np.random.RandomState(patient), label) for label in LABELS[:2])
        assert (benign.radius, benign.level) == (malignant.radius, malignant.level)
        assert benign.aspect < malignant.aspect
        assert benign.posterior > malignant.posterior
        assert benign.spicules < malignant.spicules
    assert ultrasound._draw_lesion(np.random.RandomState(0), "normal") is None


def test_outline_and_shadow_are_findings_of_their_own():
    lesion, irregular, shadow, both = (
        dataclasses.astuple(ultrasound._draw_lesion(np.random.RandomState(7), label)) for label in FINDINGS[1:]
    )
    assert shadow[:-1] == lesion[:-1]
    assert shadow[-1] < lesion[-1] == irregular[-1]
    assert both == (*irregular[:-1], shadow[-1])
    assert irregular[2:4] > lesion[2:4]
    assert ultrasound._draw_lesion(np.random.RandomState(7), FINDINGS[0]) is None


def test_a_set_of_several_labels_is_read_as_one(tmp_path, offline, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    table = open_source("tfds:tlmed_phantoms/images=40,size=16,several_labels=True")
    assert (table.is_multi, table.classes) == (True, ("irregular", "lesion", "shadow"))
    views = {view.patient: view.label for view in enrol(40, 0, FINDINGS)}
    assert set(views.values()) == set(FINDINGS)
    said = dict(zip(table.groups, table.labels.tolist(), strict=True))
    wanted = {
        f"synthetic_{patient:06d}": [int(name in text) for name in table.classes] for patient, text in views.items()
    }
    assert said == wanted


def test_brightness_does_not_give_the_class_away():
    views = list(enrol(400, seed=0))
    images = np.stack([draw(view.label, 0, view.patient, view.image, 32)[..., 0] for view in views]) / 255
    flat = images.reshape(len(images), -1)
    features = np.column_stack([flat.mean(axis=1), flat.std(axis=1), np.quantile(flat, (0.05, 0.5, 0.95), axis=1).T])
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    labels = [view.label for view in views]
    # The cut is where a patient begins, or the probe would have seen a test patient.
    cut = next(row for row in range(280, 400) if views[row].image == 0)
    model = LogisticRegression(max_iter=1000).fit(features[:cut], labels[:cut])
    auc = roc_auc_score(labels[cut:], model.predict_proba(features[cut:]), multi_class="ovr")
    assert auc < 0.75


def test_a_set_holds_the_drawn_images_in_order_and_says_that_it_is_synthetic(tmp_path, offline):
    builder = prepare("images=7,size=16,seed=5", tmp_path)
    views = list(enrol(7, seed=5))
    found = records(builder)
    assert [record["image_id"].decode() for record in found] == [view.name for view in views]
    assert [record["patient"].decode() for record in found] == [f"synthetic_{view.patient:06d}" for view in views]
    assert [LABELS[record["label"]] for record in found] == [view.label for view in views]
    for record, view in zip(found, views, strict=True):
        assert (record["image"] == draw(view.label, 5, view.patient, view.image, 16)).all()
    assert "SYNTHETIC" in builder.info.description
    assert list(builder.info.splits) == ["train"]


def test_different_arguments_live_in_different_folders(tmp_path):
    names = ["", "/images=50", "/size=64", "/seed=1", "/images=50,size=32,seed=2"]
    folders = [tfds.builder(f"tlmed_phantoms{name}", data_dir=tmp_path).data_dir for name in names]
    assert len(set(folders)) == len(names)
    assert tfds.builder("tlmed_phantoms/images=600,size=128", data_dir=tmp_path).data_dir == folders[0]


def test_a_prepared_set_is_not_drawn_again(tmp_path, offline, monkeypatch):
    first = records(prepare("images=5,size=16", tmp_path))
    monkeypatch.setattr(phantoms, "draw", lambda *_: pytest.fail("drawn again"))
    data = tfds.load("tlmed_phantoms/images=5,size=16", split="train", data_dir=tmp_path)
    again = list(tfds.as_numpy(data))
    assert all((one["image"] == other["image"]).all() for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_set_leaves_nothing_and_is_drawn_in_full_afterwards(tmp_path, monkeypatch, error):
    def stop(label, seed, patient, image, size):
        if patient == 2:
            raise error("stopped")
        return draw(label, seed, patient, image, size)

    monkeypatch.setattr(phantoms, "draw", stop)
    with pytest.raises(error, match="stopped"):
        prepare("images=12,size=16", tmp_path)
    monkeypatch.setattr(phantoms, "draw", draw)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(records(prepare("images=12,size=16", tmp_path))) == 12


def test_what_a_killed_process_leaves_behind_is_not_used(tmp_path):
    folder = tmp_path / "tlmed_phantoms" / "images6_size16_seed0" / "incomplete.AAAAAA_1.0.0"
    folder.mkdir(parents=True)
    (folder / "tlmed_phantoms-train.tfrecord-00000-of-00001").write_bytes(b"half")
    assert len(records(prepare("images=6,size=16", tmp_path))) == 6


def test_records_beyond_the_memory_buffer_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds.core.shuffle, "MAX_MEM_BUFFER_SIZE", 2000)
    found = [record["image_id"].decode() for record in records(prepare("images=40,size=16", tmp_path))]
    assert found == [view.name for view in enrol(40, seed=0)]


def test_two_processes_may_draw_the_same_set_at_once(tmp_path, monkeypatch):
    def draw_while_another_finishes(*case):
        monkeypatch.setattr(phantoms, "draw", draw)
        prepare("images=6,size=16", tmp_path)
        return draw(*case)

    monkeypatch.setattr(phantoms, "draw", draw_while_another_finishes)
    found = records(prepare("images=6,size=16", tmp_path))
    assert [record["image_id"].decode() for record in found] == [view.name for view in enrol(6, seed=0)]
    assert not list(tmp_path.rglob("incomplete*"))


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ("images=0", ["images=0"]),
        ("size=4", ["size=4"]),
        ("images=1.5", ["images=1.5"]),
        ("images=True", ["images=True"]),
        ("images=many,size=8,seed=-1", ["images='many'", "size=8", "seed=-1"]),
        ("several_labels=2", ["several_labels=2"]),
        ("small", ["config='small'"]),
    ],
)
def test_bad_arguments_are_all_named(tmp_path, arguments, received):
    with pytest.raises(ValueError, match="Received") as error:
        tfds.builder(f"tlmed_phantoms/{arguments}", data_dir=tmp_path)
    assert all(f"Received: {value}" in str(error.value) for value in received)


def test_a_builder_survives_pickling(tmp_path):
    builder = tfds.builder("tlmed_phantoms/images=5,size=16,seed=3,several_labels=True", data_dir=tmp_path)
    assert pickle.loads(pickle.dumps(builder)).data_dir == builder.data_dir
