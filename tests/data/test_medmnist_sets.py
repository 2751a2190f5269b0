"""Public sets of MedMNIST by name: downloaded once, from a server on this machine, and checked by their MD5."""

import hashlib
import http.server
import json
import threading

import numpy as np
import pytest
from keras.src.backend import config

from tests.data.test_data_sources import archive
from tlmed.data import medmnist_sets, open_source
from tlmed.errors import InputError
from tlmed.identifiers import read_identifiers
from tlmed.slicing import Slicing
from tlmed.source_layout import Layout

SETS = medmnist_sets.list_sets()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve the small set `tinymnist`; return what was asked for, the file of the table, and the cache's folder."""
    served, asked = tmp_path / "served", []
    served.mkdir()
    file, _ = archive(served)
    file.rename(served / "tinymnist_64.npz")
    digest = hashlib.md5((served / "tinymnist_64.npz").read_bytes()).hexdigest()

    class Handler(_Quiet):
        def __init__(self, *args):
            self.asked = asked
            super().__init__(*args, directory=served)

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    about = {"task": "binary-class", "volumes": False, "licence": "CC BY 4.0", "classes": ["ill", "well"]}
    table = {
        "url": f"http://127.0.0.1:{listening.server_port}/{{file}}?download=1",
        "sets": {"tinymnist": {**about, "md5": {"28": "0" * 32, "64": digest}}},
    }
    (tmp_path / "sets.json").write_text(json.dumps(table))
    monkeypatch.setattr(medmnist_sets, "_FILE", tmp_path / "sets.json")
    monkeypatch.setattr(config, "keras_home", lambda: str(tmp_path / "keras"))
    yield asked, tmp_path / "keras" / "datasets" / "medmnist"
    listening.shutdown()
    listening.server_close()


def test_a_set_is_downloaded_once_and_names_its_classes_and_licence(server):
    asked, folder = server
    for _ in range(2):
        table = open_source("medmnist:tinymnist@64")
    assert asked == ["/tinymnist_64.npz?download=1"]
    assert [path.name for path in folder.iterdir()] == ["tinymnist_64.npz"]
    assert (table.source, table.classes, table.licence) == ("medmnist:tinymnist@64", ("ill", "well"), "CC BY 4.0")
    assert (len(table), table.decoded, table.paths[0], table.splits[0]) == (19, True, "test/0", "test")
    labels = np.load(folder / "tinymnist_64.npz")["test_labels"].ravel().tolist()
    assert table.labels[:4].tolist() == labels
    assert open_source("medmnist:tinymnist@64", Layout(classes={"a": ("well",), "b": ("ill",)})).classes == ("a", "b")


def test_a_damaged_copy_is_downloaded_again(server):
    asked, folder = server
    folder.mkdir(parents=True)
    (folder / "tinymnist_64.npz").write_bytes(b"cut off")
    assert len(open_source("medmnist:tinymnist@64")) == 19
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "reason"), [("tinymnist", "File not found"), ("tinymnist@64", "hash of the file is not")]
)
def test_a_set_that_cannot_be_had_or_is_another_is_refused_with_the_cure_and_leaves_nothing(
    server, monkeypatch, tmp_path, name, reason
):
    _, folder = server
    (tmp_path / "served" / "tinymnist_64.npz").write_bytes(b"another")
    with pytest.raises(InputError) as error:
        open_source(f"medmnist:{name}")
    said = str(error.value)
    assert f"copy {name.replace('@', '_')}.npz to {folder}" in said
    assert reason in said
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breastmist", "Did you mean 'breastmnist'?"),
        ("pathmnist@100", "must be one of 28, 64, 128, 224"),
        ("pathmnist@", None),
        ("organmnist3d@128", "must be one of 28, 64."),
    ],
)
def test_names_that_are_no_set(name, said):
    if said is None:
        assert medmnist_sets.find_set(name).file == "pathmnist.npz"
        return
    with pytest.raises(InputError) as error:
        medmnist_sets.find_set(name)
    assert said in str(error.value)


def test_volumes_become_samples_and_are_refused_before_the_download_if_nothing_says_how(server, tmp_path):
    asked, _ = server
    served = tmp_path / "served"
    splits = {"train": 12, "val": 3, "test": 4}
    volumes = {f"{split}_images": np.zeros((n, 6, 7, 8), np.uint8) for split, n in splits.items()}
    file, _ = archive(served, **volumes)
    file.rename(served / "tinymnist_64.npz")
    sets = json.loads((tmp_path / "sets.json").read_text())
    digest = hashlib.md5((served / "tinymnist_64.npz").read_bytes()).hexdigest()
    sets["sets"]["tinymnist"] |= {"volumes": True, "md5": {"64": digest}}
    (tmp_path / "sets.json").write_text(json.dumps(sets))
    with pytest.raises(
        InputError, match=r"data\.channels=views\. Received: data=medmnist:tinymnist@64, a set of volumes"
    ):
        open_source("medmnist:tinymnist@64")
    assert asked == []
    table = open_source("medmnist:tinymnist@64", Layout(slicing=Slicing(channels="views")))
    assert (len(table), table.paths[0]) == (19, "test/0#views")


def test_all_sets_of_medmnist_are_known_with_a_hash_for_each_size():
    assert len(SETS) == 18
    for name, about in SETS.items():
        assert list(about["md5"]) == ["28", "64"] if about["volumes"] else ["28", "64", "128", "224"], name
        assert all(len(md5) == 32 and int(md5, 16) for md5 in about["md5"].values())
        assert about["licence"].startswith("CC BY")
        assert len(set(about["classes"])) == len(about["classes"]) > 1
    hashes = [md5 for about in SETS.values() for md5 in about["md5"].values()]
    assert len(set(hashes)) == len(hashes) == 60


def test_images_of_a_set_are_compared_with_those_of_an_archive_by_their_pixels():
    sources = ("medmnist:breastmnist", "breastmnist.npz", "tfds:tlmed_phantoms")
    public, archived, drawn = (read_identifiers({"source": source}) for source in sources)
    assert public.find_gap(archived) == ""
    assert "decoded images of TFDS" in drawn.find_gap(public)


@pytest.mark.parametrize("field", ["label", "label_columns"])
def test_columns_have_no_use_there(field):
    with pytest.raises(InputError, match=rf"`data\.{field}(_column)?` must go with a table"):
        open_source("medmnist:breastmnist", Layout(**{field: ("x", "y")}))
