"""Recognise the phantoms that tlmed draws, and the sentences about them and about networks trained on them."""

import re


def is_synthetic(source: object) -> bool:
    """Tell from its source whether a data set is drawn by a program.

    >>> is_synthetic("tfds:tlmed_phantoms/images=60"), is_synthetic("scans/tlmed_phantoms_or_not")
    (True, False)
    """
    scheme, _, name = str(source).partition(":")
    return scheme == "tfds" and re.split(r"[/:]", name)[0] == "tlmed_phantoms"


def describe_source(source: object) -> list[str]:
    """Return a sentence about images of a synthetic source; an empty list for other sources."""
    if not is_synthetic(source):
        return []
    return [f"Data: synthetic phantoms ({source}), drawn by a program: scores say nothing about medicine."]


def describe_learned(source: object) -> list[str]:
    """Return a sentence about a network that was trained on such images; an empty list for others."""
    if not is_synthetic(source):
        return []
    return [
        f"The network was trained on synthetic phantoms ({source}), drawn by a program: what it says of images of "
        "people means nothing."
    ]
