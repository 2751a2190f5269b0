"""NIfTI files with damage anywhere: read as planes, or refused with a short reason; nothing hangs or grows."""

import gzip
import os
from pathlib import Path

import pytest

from tests.data.readers.mutants import LARGEST, check, check_mutants
from tests.data.readers.nifti_files import OBLIQUE, draw, nibabel, write
from tlmed.data.kinds import HEAD
from tlmed.data.readers import nifti
from tlmed.data.readers.nifti import is_nifti, open_stack

REAL = [
    *sorted((Path(nibabel.__file__).parent / "tests" / "data").glob("*.nii*")),
    *sorted(Path(os.environ.get("TLMED_TEST_DATA", "")).glob("hippocampus-nifti/images/*"))[:5],
]


def load_seeds():
    """Return the content of real files, and of some for each rule, as they are and compressed."""
    contents = [path.read_bytes() for path in REAL if path.stat().st_size <= LARGEST]
    contents += [
        write(draw(6, 5, 4)),
        write(draw(6, 5, 4, kind="i2"), OBLIQUE, scl_slope=2, scl_inter=-9),
        write(draw(6, 5, 4, kind="f8"), kind="2"),
        write(draw(6, 5, 4, kind=">i4"), sform_code=0, qform_code=1),
    ]
    plain = [gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content for content in contents]
    # Damage of compressed bytes mostly ends in their check sum: more mutants are of plain ones.
    return [*contents, *plain, *(gzip.compress(content) for content in plain)]


SEEDS = load_seeds()


def read_all(content):
    stack = open_stack(content)
    for axis, count in stack.counts.items():
        for index in {0, count // 2, count - 1}:
            stack.read(axis, index)


@pytest.mark.slow
@pytest.mark.parametrize("inside", [False, True], ids=["as they are", "compressed again"])
def test_damaged_volumes_end_in_a_reason(inside):
    assert len(SEEDS) >= 24

    def read(damaged):
        damaged = gzip.compress(damaged, 1) if inside else damaged
        is_nifti(damaged[:HEAD])
        for function in (nifti.NIFTI.count_planes, nifti.NIFTI.remarks, read_all):
            check(function, damaged)

    check_mutants(SEEDS, read)
