"""Starts of a server that find the graphs of its networks in the cache, and what they load later."""

import asyncio
import io
import re
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tests.cli.test_cli import here as run_command
from tests.serving.conftest import LIMITS
from tlmed.cache import Store, cache_limit, caching_in
from tlmed.data.held_files import Limits
from tlmed.errors import InputError
from tlmed.graph_runs import CannotConvert
from tlmed.inference.scorer import load_scorer
from tlmed.rundir import NETWORK, RunDir
from tlmed.serving import conversions
from tlmed.serving.answering import MOST_SAMPLES
from tlmed.serving.conversions import Preparation, preparing
from tlmed.serving.converting import convert_network
from tlmed.serving.kept_graphs import open_shelf
from tlmed.serving.served_runs import open_served
from tlmed.serving.service import Asked, open_service


def start(run, said, engine="openvino"):
    with preparing(run, engine, said.append) as prepared:
        return open_served(run, prepared, Limits(10**6, MOST_SAMPLES), said.append)


@pytest.fixture(scope="module")
def kept(finished, tmp_path_factory):
    """Give a cache that holds the graph of the run, and what it answered when it was converted."""
    folder, said = tmp_path_factory.mktemp("kept"), []
    with caching_in(folder):
        served = start(RunDir(finished.path), said)
        shelf = open_shelf(RunDir(finished.path), "openvino", said.append)
    assert (said, len(shelf.found)) == ([], 1)
    return folder, served


@pytest.fixture
def cache(kept, tmp_path):
    with caching_in(shutil.copytree(kept[0], tmp_path / "cache")):
        yield tmp_path / "cache"


@pytest.fixture
def no_conversion(monkeypatch):
    def refuse(*words):
        raise AssertionError("Nothing has to be converted.")

    monkeypatch.setattr(conversions, "start_leashed", refuse)


@pytest.fixture(scope="module")
def upload(images):
    return next((images / "benign").iterdir()).read_bytes()


def ask(served, upload):
    image = served.decode(upload, "x.png")
    (scored,) = served.score([image])
    return image, scored, served.answer(image, scored)[1]


def compare(served, other, upload):
    (_, first, _), (_, second, _) = ask(served, upload), ask(other, upload)
    assert np.array_equal(first.scores, second.scores)
    assert np.array_equal(first.unusual, second.unusual)


def test_a_later_start_answers_the_same_to_the_bit(kept, cache, finished, upload, no_conversion):
    said = []
    served = start(RunDir(finished.path), said)
    compare(kept[1], served, upload)
    assert (said, served.engine) == ([], kept[1].engine)
    assert served.explanations.scorer is None  # no network of Keras is in memory
    wanted = load_scorer(RunDir(finished.path)).network.predict(served.decode(upload, "x.png").first.pixels, verbose=0)
    assert ask(served, upload)[1].scores == pytest.approx(wanted, abs=1e-6)


def test_who_waits_for_a_conversion_is_told(cache, finished, tmp_path, monkeypatch):
    nothing = SimpleNamespace(kill=lambda: None, wait=lambda: None, stdout=io.BytesIO())
    monkeypatch.setattr(conversions, "start_leashed", lambda *words: nothing)

    def say_begun():
        with preparing(RunDir(finished.path), "openvino", print) as prepared:
            return prepared.say_begun()

    assert say_begun() == ""
    with caching_in(tmp_path / "empty"):
        assert say_begun() == "Converting the network; later starts take the kept graph."
        monkeypatch.setattr(conversions, "open_shelf", lambda *words: conversions.Shelf())
        assert say_begun() == "Converting the network."


def test_graphs_are_listed_with_the_features(cache, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(cache))
    assert re.search(r" - +\S+, the network of `tlmed serve` +openvino float32", run_command("cache", "list")[1])


def test_answers_are_explained_after_a_start_without_keras(cache, finished, service, upload, no_conversion):
    served = start(RunDir(finished.path), [])
    shown = served.explain(*ask(served, upload)).shown
    assert shown == service.run.explain(*ask(service.run, upload)).shown


@pytest.mark.parametrize("place", [100, -100])
def test_a_damaged_graph_is_converted_again(kept, cache, finished, upload, here, place):
    (file,) = cache.glob("*/*/*.rows")
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    said = []
    compare(kept[1], start(RunDir(finished.path), said), upload)
    assert len(said) == 1
    assert str(file) in said[0]
    assert Store(cache, cache_limit()).verify() == (1, [])


def test_what_is_no_graph_of_the_run_is_converted_again(kept, cache, finished, upload, here):
    run, said = RunDir(finished.path), []
    shelf = open_shelf(run, "openvino", said.append)
    small = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    for parts in ((b"<net/>", b""), convert_network(small, "openvino")):
        shutil.rmtree(cache)
        shelf.keep(parts)
        compare(kept[1], start(run, said), upload)
    assert said == []


def test_another_network_at_the_same_place_has_another_graph(kept, cache, finished, upload, here, tmp_path):
    run, said = RunDir(shutil.copytree(finished.path, tmp_path / "run")), []
    (run / "lock.json").unlink()  # else it would be refused
    network = keras.saving.load_model(run / NETWORK)
    network.set_weights([weight * 0.9 for weight in network.get_weights()])
    network.save(run / NETWORK)
    served = start(run, said)
    assert "lock.json" in said[0]
    assert not np.array_equal(ask(served, upload)[1].scores, ask(kept[1], upload)[1].scores)
    assert ask(served, upload)[1].scores == pytest.approx(
        network.predict(served.decode(upload, "x.png").first.pixels, verbose=0), abs=1e-6
    )
    (run / NETWORK).unlink()
    with pytest.raises(InputError, match=r"`model\.keras` must be there as it was .* No such file"):
        served.explanations.load()


@pytest.mark.parametrize("state", ["full", "no folder"])
def test_a_cache_that_cannot_be_written_only_costs_time(kept, finished, upload, here, tmp_path, monkeypatch, state):
    monkeypatch.setenv("TLMED_CACHE_LIMIT", "1KB" if state == "full" else "20GB")
    (tmp_path / "file").touch()
    said = []
    with caching_in(tmp_path / ("cache" if state == "full" else "file")):
        compare(kept[1], start(RunDir(finished.path), said), upload)
    assert said == []


def test_others_who_can_write_to_the_cache_are_named(cache, finished, no_conversion):
    cache.chmod(0o777)
    said = []
    start(RunDir(finished.path), said)
    assert len(said) == 1
    assert "can be written to by other users" in said[0]


@pytest.mark.slow
def test_what_cannot_be_converted_is_one_line(finished, tmp_path, monkeypatch):
    run = RunDir(shutil.copytree(finished.path, tmp_path / "run"))
    (run / "lock.json").unlink()
    (run / NETWORK).write_bytes(b"no network")
    with pytest.raises(InputError, match=r"`model\.keras` must be a model that tlmed saved"):
        start(run, [])
    monkeypatch.setattr(conversions, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(conversions.RunFailed, match=r"`--engine keras` does without\. Received: its exit status -?\d+"):
        start(run, [])


def test_keras_takes_over_what_an_engine_cannot_run(finished, upload, service, monkeypatch):
    def fail(self, run, fits):
        raise CannotConvert("no such operation")

    monkeypatch.setattr(Preparation, "open", fail)
    run, limits = RunDir(finished.path), Limits(10**6, MOST_SAMPLES)
    served = open_served(run, Preparation("openvino", True, print), limits, print)
    assert served.engine.startswith("tensorflow")
    compare(served, service.run, upload)
    with pytest.raises(InputError, match=r"`--engine keras` runs any\. .* no such operation"):
        open_served(run, Preparation("openvino", False, print), limits, print)


def test_others_are_answered_while_explanations_are_loaded(cache, finished, upload, monkeypatch, no_conversion):
    served = start(RunDir(finished.path), [])
    begun, done, load = threading.Event(), threading.Event(), type(served.explanations).load

    def wait(self):
        begun.set()
        assert done.wait(30)
        return load(self)

    monkeypatch.setattr(type(served.explanations), "load", wait)
    service = open_service(served, LIMITS)
    try:
        waiting = [Request(service, upload, Asked(explain=True)) for _ in range(3)]
        assert begun.wait(30)
        assert Request(service, upload, Asked()).join_for().explained is None
        assert not any(one.found for one in waiting)
        done.set()
        assert all(one.join_for().explained.of for one in waiting)
    finally:
        done.set()
        service.stop()


class Request(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, service, upload, asked):
        super().__init__(daemon=True)
        self.service, self.upload, self.asked, self.found = service, upload, asked, None
        self.start()

    def run(self):
        messages = [{"type": "http.request", "body": self.upload}]

        async def receive():
            if messages:
                return messages.pop()
            await asyncio.sleep(60)

        self.found = asyncio.run(self.service.predict({}, receive, self.asked))

    def join_for(self):
        self.join(30)
        return self.found


_SERVE = """
import sys
from tlmed.cli.serve_command import serve
from tlmed.rundir import RunDir
from tlmed.serving.web_server import Offer, serve_run
from tlmed.serving.application import make_application
from tlmed.serving.conversions import preparing
from tlmed.serving.guarding import Rules
from tlmed.serving.refusals import UploadLimits
from tlmed.serving.served_runs import open_served
from tlmed.serving.service import open_service
from tlmed.data.held_files import Limits
from pathlib import Path

run = RunDir(Path(sys.argv[1]))
with preparing(run, "openvino", print) as prepared:
    served = open_served(run, prepared, Limits(10**6, 9), print)
service = open_service(served, UploadLimits())
make_application(service, Rules())
image = served.decode(Path(sys.argv[2]).read_bytes(), "x.png")
served.answer(image, *served.score([image]))
service.stop()
print([name for name in ("tensorflow", "keras", "sklearn", "torch") if name in sys.modules])
"""


def test_nothing_loads_tensorflow_where_the_graph_is_kept(kept, finished, images, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(kept[0]))
    file = next((images / "benign").iterdir())
    command = [sys.executable, "-c", _SERVE, str(finished.path), str(file)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_graphs_of_onnx_are_kept_too(finished, upload, tmp_path):
    with caching_in(tmp_path):
        first = start(RunDir(finished.path), [], "onnxruntime")
        compare(first, start(RunDir(finished.path), [], "onnxruntime"), upload)
        assert Store(tmp_path, cache_limit()).verify() == (1, [])
