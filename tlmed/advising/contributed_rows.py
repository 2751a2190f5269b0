"""Rows of experience from an advice: what a user gives to others, and nothing that says whose images they were."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from tlmed.advising.experience import PROBE, Experience, contribute, describe_set, name_weights
from tlmed.run_files.advice_files import read_advice_json, read_decision
from tlmed.studies.worker_pool import list_cores
from tlmed.words import count

_ADVISE = "advise"  # a recipe that is none of those that come with tlmed
# What the names of attempts begin with, to their kind and the recipe that trains as they do.
_KINDS = {
    "probe": (PROBE, "feature_extractor"),
    "whole": ("all-layers", "lp_ft"),
    "adapters": ("adapters", _ADVISE),
}
_ORIGIN = "tlmed advise, folds of the development images"
_OTHER = "other"  # a backbone whose name could say where it lies
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,70}(\.[0-9]+)?")


def make_rows(advice: Mapping, image_size: tuple[int, int], cores: int, name: str | None = None) -> list[Experience]:
    """Return a row for each network that an advice has scored.

    Args:
        advice: The content of `advice.json`. Of what it says of the images, the fingerprint and the sketch alone are
            taken.
        image_size: Height and width to which it resized them.
        cores: Of the processor that trained.
        name: What the user calls the images; None: a digest of their fingerprint.
    """
    images = describe_set(advice["fingerprint"], advice["data"]["task"], name)
    found = list(_list_scored(advice["steps"]))
    by_name = {tried["name"]: tried for _, tried in found}
    return [
        Experience(
            **images,
            **{"kind": kind, "recipe": recipe, "image_size": "x".join(map(str, image_size))},
            **dict(zip(("backbone", "weights"), _name_network(tried), strict=True)),
            metric=tried["score"]["metric"],
            score=round(tried["score"]["value"], 4),
            spread=None,
            runs=tried["score"].get("folds") or 1,
            probe=_round(_find_probe(tried, by_name)),
            seconds=round((tried.get("seconds") or 0.0) / (tried["score"].get("folds") or 1), 1),
            cores=cores,
            tlmed=advice["version"],
            date=date.today().isoformat(),
            provenance=_ORIGIN,
            contributed=True,
            sketch=advice["data"]["sketch"],
        )
        for (kind, recipe), tried in found
    ]


def _list_scored(steps) -> Iterator[tuple[tuple[str, str], Mapping]]:
    """Yield what was tried and scored, with its kind and recipe."""
    for step in steps:
        for tried in step["tried"]:
            kind = _find_kind(tried["name"])
            if kind and (tried.get("score") or {}).get("value") is not None:
                yield kind, tried


def _find_probe(tried, by_name) -> float | None:
    """Return what a probe scores on the images on which an attempt was judged: its score less all gains up to there.

    A probe is judged on more folds than a training: its own score is that of other images.
    """
    over, above = tried, 0.0
    while not over["name"].startswith(f"{PROBE}-"):
        gain = over.get("gain") or {}
        if gain.get("value") is None or gain["over"] not in by_name:
            return None
        above += gain["value"]
        over = by_name[gain["over"]]
    return tried["score"]["value"] - above


def _find_kind(name: str) -> tuple[str, str] | None:
    """Return the kind of training that the name of an attempt begins with, and its recipe.

    >>> _find_kind("probe-vgg16"), _find_kind("thaw2-vgg16"), _find_kind("folds-thaw2-vgg16")
    (('probe', 'feature_extractor'), ('thaw2', 'advise'), None)
    """
    first = name.partition("-")[0]
    if re.fullmatch(r"thaw[1-9][0-9]?", first):
        return first, _ADVISE
    return next((found for start, found in _KINDS.items() if name.startswith(f"{start}-")), None)


def _name_network(tried) -> tuple[str, str]:
    backbone = str(tried["backbone"])
    return backbone if _PLAIN.fullmatch(backbone) else _OTHER, name_weights(str(tried["weights"]))


def _round(value) -> float | None:
    return None if value is None else round(value, 4)


def give(folder: Path, file: Path, name: str | None = None) -> str:
    """Add the rows of a complete advice to a table of experience, and say how many were added.

    Args:
        folder: The directory of the advice.
        file: The table, which is made if it is not there.
        name: What the user calls the images.

    Raises:
        InputError: If the table cannot be written, or is none.
    """
    size = read_decision(folder)["recipe"]["data"]["image_size"]
    rows = make_rows(read_advice_json(folder), tuple(size), len(list_cores()), name)
    added = contribute(file, rows)
    if not added:
        return f"Contributed before: {file} has the {count(len(rows), 'row')} of this advice already."
    return f"Contributed: {count(added, 'row')} to {file}; look at them before you send them."
