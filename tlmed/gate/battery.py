"""The checks of the gate in their order: cheap ones first, then those that need features."""

from collections.abc import Callable, Iterator, Sequence

from threadpoolctl import threadpool_limits

from tlmed.gate.checked import Checked
from tlmed.gate.copies_and_labels import check_copies
from tlmed.gate.data_fingerprint import describe_data
from tlmed.gate.evidence import Evidence
from tlmed.gate.near_copies import check_alike, check_near_copies
from tlmed.gate.outliers import check_outliers
from tlmed.gate.patient_spellings import check_patients
from tlmed.gate.quality import check_quality
from tlmed.gate.shortcuts import check_shortcuts
from tlmed.gate.wrong_labels import check_labels

Check = Callable[[Evidence], Checked]
CHEAP: tuple[Check, ...] = (check_copies, check_near_copies, check_patients, check_shortcuts, check_quality)
WITH_FEATURES: tuple[Check, ...] = (check_alike, check_labels, check_outliers)
DESCRIBING: tuple[Check, ...] = (describe_data,)  # what the data are, with features and without


def conduct(evidence: Evidence, checks: Sequence[Check]) -> Iterator[Checked]:
    """Run checks one after another; what one found is there before the next begins.

    Args:
        evidence: The images.
        checks: As `CHEAP` or `WITH_FEATURES`.
    """
    for check in checks:
        # Threads of small matrix products wait for each other where cores are busy, and more of them give other bits.
        with threadpool_limits(1, user_api="blas"):
            found = check(evidence)
        yield found
