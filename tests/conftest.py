"""Small images that a network can learn from, and a run that many tests look at."""

import base64
import contextlib
import functools
import gc
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tlmed.quiet import import_tensorflow

# One worker for each core, one thread for each worker, and for the processes that it starts.
for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Tracing makes so many objects that looking for garbage as often as usual takes a tenth of the time.
gc.set_threshold(100_000, 20, 20)
# Tests import OpenVINO to see whether it is there. It would report that, and every conversion, in processes of its own.
sys.modules.setdefault("openvino_telemetry", None)


def pytest_configure(config):
    """Start TensorFlow, except in the process that hands the tests to workers and runs none."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        # skops looks for each public type in all modules that are loaded, of which TensorFlow brings thousands.
        import skops.io  # noqa: F401

        import_tensorflow()
        import tensorflow as tf
        from keras.src.saving import saving_lib

        # The networks here run for a few steps: rewriting their graphs takes longer than it saves.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        # Keras 3 means to keep what this returns, but looks for it under another name than it keeps it under.
        saving_lib.get_attr_skipset = functools.cache(saving_lib.get_attr_skipset)
        hasten_tracing()


def hasten_tracing():
    """Spare TensorFlow two things that it does again and again for each variable: a twentieth of a small run."""
    import typing

    from tensorflow.python.framework import ops
    from tensorflow.python.ops import gen_resource_variable_ops

    # An operation of a graph keeps the stack of calls that made it, which is deep in a test; TensorFlow may do without.
    ops._create_c_op = functools.partial(ops._create_c_op, extract_traceback=False)
    # TensorFlow makes a kernel for the handle of each variable of another name; without names it makes one for a shape.
    make_handle = gen_resource_variable_ops.var_handle_op
    gen_resource_variable_ops.var_handle_op = lambda **given: make_handle(**{**given, "debug_name": ""})
    # Python 3.11 collects what a protocol asks for each time that TensorFlow asks whether something is a tensor.
    if hasattr(typing, "_get_protocol_attrs"):
        typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)


def pytest_collection_finish(session):
    """Take the modules and the tests, which stay, out of what each search for garbage walks through."""
    gc.freeze()


BLANK = base64.b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTjb+QAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Give the tests a cache of their own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLMED_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def packages():
    """Look once for the packages and libraries that each run records: they stay the same while the tests run."""
    from tlmed.environment import description
    from tlmed.environment.packages import describe_packages

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(description, "describe_packages", functools.cache(describe_packages))
        patch.setattr(description, "_describe_libraries", functools.cache(description._describe_libraries))
        yield


@pytest.fixture(scope="session", autouse=True)
def drawing():
    """Leave the pictures in pages blank, those of fixtures too, and give a context in which they are drawn.

    Drawing them takes longer than the small runs here.
    """
    from matplotlib.figure import Figure

    savefig = Figure.savefig

    @contextlib.contextmanager
    def draw_pictures():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Figure, "savefig", savefig)
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(BLANK))
        yield draw_pictures


@pytest.fixture(scope="session", autouse=True)
def gate():
    """Let runs look for identical images only, and give a context in which they look for all that the gate knows.

    The images here tell their classes by brightness, which each of hundreds of runs would warn of.
    """
    from tlmed.gate.battery import CHEAP
    from tlmed.gate.copies_and_labels import check_copies

    @contextlib.contextmanager
    def look_for_all():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tlmed.run.gate_check.CHEAP", CHEAP)
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlmed.run.gate_check.CHEAP", (check_copies,))
        yield look_for_all


@pytest.fixture(scope="session", autouse=True)
def strengths():
    """Let heads be solved for four strengths of L2 in place of thirteen, and give a context with all of them.

    Most runs here have a head because a run has one; solving thirteen on five folds would be half of their time.
    """
    from tlmed.heads.solved import STRENGTHS

    @contextlib.contextmanager
    def try_all():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tlmed.heads.solved.STRENGTHS", STRENGTHS)
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlmed.heads.solved.STRENGTHS", STRENGTHS[::4])
        yield try_all


@pytest.fixture(scope="module")
def pictures(drawing):
    """Draw the pictures in the pages of a module."""
    with drawing():
        yield


@contextlib.contextmanager
def leave_figures_empty():
    """Leave figures without axes, which take most of the time of a page even where its pictures stay blank."""
    from matplotlib.figure import Figure

    from tlmed.evaluation import score_plots, training_plots

    with pytest.MonkeyPatch.context() as patch:
        for module in (score_plots, training_plots):
            for name, function in list(vars(module).items()):
                if getattr(function, "__annotations__", {}).get("return") is Figure:
                    patch.setattr(module, name, lambda *arguments, **options: Figure())
        yield


@pytest.fixture(scope="module")
def empty_figures():
    """Leave figures empty in a module whose runs are of the plain kind and whose pages no test looks at."""
    with leave_figures_empty():
        yield


@pytest.fixture
def words_alone():
    """Leave figures empty in a test that reads the words of a page whose pictures other tests draw."""
    with leave_figures_empty():
        yield


@pytest.fixture(params=["memory", "disk", "neither"])
def memory_bytes(request, monkeypatch):
    """Give what decoded pixels may take in memory: enough, or nothing, and then with and without room on the disk."""
    if request.param == "neither":
        monkeypatch.setattr("tlmed.cache.store.shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    return 2**30 if request.param == "memory" else 0


CLASSES = ("benign", "malignant", "normal")


def draw(label: int, i: int, size: int = 40) -> np.ndarray:
    """Return a noisy square of a class's own colour and coarseness, uint8 [size, size, 3]."""
    random = np.random.RandomState(1000 * label + i)
    cells = random.randint(0, 120, (size // (2 + 3 * label) + 1,) * 2 + (3,))
    image = np.kron(cells, np.ones((2 + 3 * label, 2 + 3 * label, 1)))[:size, :size]
    image[..., label] += random.randint(20, 120)
    return image.clip(0, 255).astype("uint8")


def write_images(folder, per_class: int, classes=CLASSES):
    """Write a folder of class folders."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(draw(label, i)).save(folder / name / f"{name} ({i}).png")
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Give a folder of three classes with 20 images each."""
    return write_images(tmp_path_factory.mktemp("data") / "images", 20)


# CifarNet is the quickest to build and trace.
SMALL = (
    *("backbone=CifarNet", "weights=none", "data.image_size=32,32", "data.batch_size=16", "phases.epochs=2"),
    "examples=0",  # explaining takes longer than training
)


@pytest.fixture(scope="session")
def finished(images, tmp_path_factory):
    """Give a finished run of `fine_tuning` on small images, with random weights."""
    import tlmed
    from tlmed.recipe import override, read_recipe

    # At this rate every class is predicted for some image, so that all metrics are defined.
    recipe = override(tlmed.load_recipe("fine_tuning"), [*SMALL, "phases.learning_rate=1e-3", "baselines=true"])
    out = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlmed.run.unusual_images.LEAST", 9)  # validation images that it has, for `novelty.sealed`
        return tlmed.train(recipe, out, images, recipe_file=read_recipe("fine_tuning"))


@pytest.fixture(scope="session")
def shared(finished, tmp_path_factory):
    """Give the folder that `tlmed export --format hub` makes of the finished run."""
    from tlmed.export.hub_folder import write_hub_folder

    folder = tmp_path_factory.mktemp("hub") / "shared"
    write_hub_folder(finished.path, folder)
    return folder
