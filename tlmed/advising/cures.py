"""What can be done about images of which no advice can be given: a sentence beside the one that says what is wrong."""

from collections.abc import Sequence

import numpy as np

from tlmed.advising.advice_rules import LEAST_UNITS
from tlmed.data import Table, join_units
from tlmed.pseudonyms import names_owner
from tlmed.words import begin_sentence, listed

_WANTED = LEAST_UNITS + 1  # of a class: those besides the test images, and one for the test


def suggest_cure(table: Table, sha256: Sequence[str]) -> str:
    """Return what can be done about images that training refuses to divide; "" if nothing is known.

    Args:
        table: The images, as they were found.
        sha256: The digest of every image's content.
    """
    units = join_units(table.groups, sha256)
    has_patients = any(map(names_owner, table.groups or ()))
    if has_patients and len(np.unique(units)) == 1:
        return (
            "All images are of one patient, and nothing can be said about others from them: collect images of more "
            "patients; or, if that is no patient's name, `--no-groups` takes each image for itself."
        )
    if table.is_multi:
        return "Collect more images."
    few = [name for number, name in enumerate(table.classes) if len(np.unique(units[table.has(number)])) < _WANTED]
    if not few:
        return ""
    cures = [f"collect {_WANTED} {'patients' if has_patients else 'images'} or more of {listed(map(repr, few), 3)}"]
    # Two classes must be left.
    if len(table.classes) - len(few) >= 2:
        cures.append(f"leave out the images of {'that class' if len(few) == 1 else 'those classes'}")
    if len(table.classes) > 2:
        cures.append("merge classes by `--set data.classes.NAME=A,B`")
    return f"{begin_sentence('; or '.join(cures))}."
