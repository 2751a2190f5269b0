import subprocess
import sys

import pytest

import tlmed


def test_what_is_public_is_there_after_import_tlmed_alone_and_what_is_heavy_waits_until_it_is_needed():
    # scikit-learn itself comes with Keras, which looks for it.
    code = (
        "import sys, tlmed; tlmed.blocks.partition; import tlmed.heads, tlmed.features;"
        "late = {'skops', 'tlmed.heads.hybrid', 'tlmed.features.extractor'} & set(sys.modules);"
        "tlmed.FeatureExtractor; tlmed.train; sys.exit(str(late) if late else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tlmed.trian  # noqa: B018
    assert {"BACKBONES", "load_recipe", "train", "phases"} <= set(dir(tlmed))


@pytest.mark.parametrize("module", ["tlmed.cli", "tlmed.comparison", "tlmed.report", "tlmed.metrics"])
def test_what_only_reads_files_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*{{'tensorflow', 'keras', 'sklearn', 'scipy'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
