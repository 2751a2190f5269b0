import os
import subprocess
import sys
from pathlib import Path

import pytest

import tlmed


def test_what_is_public_is_there_after_import_tlmed_alone_and_what_is_heavy_waits_until_it_is_needed():
    # scikit-learn itself comes with Keras, which looks for it.
    code = (
        "import sys, tlmed; tlmed.blocks.partition; import tlmed.heads, tlmed.features;"
        "late = {'skops', 'tlmed.heads.hybrid', 'tlmed.features.extractor'} & set(sys.modules);"
        "tlmed.FeatureExtractor; tlmed.train; tlmed.backbones.build('LeNet5', 'none', (32, 32));"
        "sys.exit(str(late) if late else 0)"
    )
    # An empty level is what some shells and containers leave there; TensorFlow would say all that it can.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tlmed.trian  # noqa: B018
    assert {"BACKBONES", "load_recipe", "train", "phases"} <= set(dir(tlmed))


def test_what_only_reads_files_imports_nothing_heavy():
    # In one process for all: the first module that imports what is heavy is named.
    modules = ["tlmed.cli", "tlmed.metrics", "tlmed.comparison", "tlmed.report"]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    print(name, *{'tensorflow', 'keras', 'sklearn', 'scipy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == modules


@pytest.mark.parametrize("where", ["environment", "file"])
@pytest.mark.parametrize("what", ["tlmed.train", "tlmed.phases", "tlmed.load_recipe('quickstart').build(2)", "command"])
def test_another_backend_of_keras_is_named_before_anything_is_imported(where, what, tmp_path):
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    if where == "environment":
        environment["KERAS_BACKEND"] = "torch"
    else:
        (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    code = f"import tlmed; {what}"
    if what == "command":
        code = "import sys; from tlmed.cli import main; sys.argv = ['tlmed', 'train', 'quickstart']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    last = done.stderr.splitlines()[-1]
    assert "Keras must run on TensorFlow" in last
    assert "Received: 'torch' as " + ("KERAS_BACKEND" if where == "environment" else "backend in") in last
    if what == "command":
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"backend": "tensorflow"}'])
def test_a_keras_file_that_says_nothing_else_is_no_fault(content, tmp_path):
    (tmp_path / "keras.json").write_text(content)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    code = "from tlmed.quiet import check_backend; check_backend()"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


PUBLIC = sorted(
    path.stem for path in Path(tlmed.__file__).parent.iterdir() if path.name[0] != "_" and path.suffix != ".csv"
)


@pytest.mark.slow  # tests/test_structure.py sees by default that each starts TensorFlow before it imports it
@pytest.mark.parametrize("module", [*PUBLIC, "evaluation.explanations.methods"])
def test_a_first_import_of_each_module_is_silent(module):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": ""}
    done = subprocess.run([sys.executable, "-c", f"import tlmed.{module}"], capture_output=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_other_threads_write_while_tensorflow_starts_is_not_lost():
    code = """
import os
from tlmed.quiet import quiet_stderr
with quiet_stderr():
    os.write(2, b"I0000 00:00:1795664479.867479 1 port.cc:153] oneDNN\\n2026-11-26 03:47:22.1: W x.cc:1] y\\n")
    os.write(2, b"mine\\nInfo: mine too\\n")
try:
    with quiet_stderr():
        os.write(2, b"I0000 00:00:1795664479.867479 1 port.cc:153] why it failed\\n")
        raise ValueError
except ValueError:
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second, third = done.stderr.splitlines()
    assert (first, second) == ("mine", "Info: mine too")
    assert third.endswith("why it failed")


@pytest.mark.parametrize(
    "words",
    [
        ["train", "quickstart", "--data", "imagse"],
        ["plan", "quickstart", "--data", "imagse"],
        ["reproduce", "x", "--data", "imagse"],
    ],
)
def test_data_that_are_not_there_are_told_before_tensorflow_is_loaded(tmp_path, words):
    (tmp_path / "images").mkdir()
    code = (
        "import atexit, sys; from tlmed.cli import main;"
        f"atexit.register(lambda: print('tensorflow' in sys.modules)); sys.argv = ['tlmed', *{words!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout.split()[-1]) == (2, "False")
    assert "and exist. Did you mean 'images'? Received: data=imagse." in done.stderr
