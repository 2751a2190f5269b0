"""DICOM files with damage anywhere: read as pixels, or refused with a short reason; nothing hangs or grows."""

import pytest

from tests.data.readers.mutants import LARGEST, check, check_mutants
from tests.data.readers.test_dicom_peers import list_packaged, list_slices
from tlmed.data.readers import dicom
from tlmed.data.readers.dicom_file import is_dicom, read_patient
from tlmed.data.readers.dicom_sources import find_frames, read_source


def load_seeds():
    """Return the content of real files that are read, in every compression that pydicom's package has."""
    seeds = []
    for path in [*list_packaged(), *list_slices()[:5]]:
        content = path.read_bytes()
        try:
            dicom.read_plane(content, 0)
        except ValueError:
            continue
        if len(content) <= LARGEST:
            seeds.append(content)
    return seeds


SEEDS = load_seeds()


@pytest.mark.slow
def test_damaged_files_end_in_a_reason():
    assert len(SEEDS) >= 80

    def read(damaged):
        is_dicom(damaged[:352])
        for function in (
            dicom.count_planes,
            dicom.DICOM.remarks,
            read_patient,
            read_source,
            lambda damaged: find_frames(damaged, "axial", (0,)),
            lambda damaged: dicom.read_plane(damaged, 0),
        ):
            check(function, damaged)

    check_mutants(SEEDS, read)
