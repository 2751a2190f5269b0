"""The tables of docs/advise.md that compare an advice with all recipes, from the rows of `advise.py`."""

import statistics
from collections.abc import Mapping, Sequence

from result_tables import table

ADVICE, SEARCH, PLAIN = "advise", "search", "feature_extractor"
PLACE = ("set", "most", "size")
PAIR_KEYS = (*PLACE, "seed", "share", "other")
TIMES = ("seconds", "processor_seconds")
Rows = Mapping[str, Mapping[str, dict]]  # the row of each way, by seed


def find_draws(rows: Sequence[dict], recipes: Sequence[str]) -> dict[tuple[str, ...], Rows]:
    """Return each place and share (set, most, size, share) with its seeds, and those with the row of each way.

    A seed that lacks the advice or a recipe is left out: the best of some recipes is not the best of all.
    """
    found: dict[tuple[str, ...], dict[str, dict[str, dict]]] = {}
    places = dict.fromkeys((tuple(row[name] for name in PLACE), row["share"]) for row in rows if row["way"] == ADVICE)
    for place, share in places:
        seeds = found[(*place, share)] = {}
        for row in rows:
            if tuple(row[name] for name in PLACE) == place and row["share"] in ("", share):
                seeds.setdefault(row["seed"], {})[row["way"]] = row
    whole = {
        place: {seed: ways for seed, ways in sorted(seeds.items()) if {ADVICE, *recipes} <= set(ways)}
        for place, seeds in found.items()
    }
    return {place: seeds for place, seeds in sorted(whole.items()) if seeds}


def find_best(seeds: Rows, recipes: Sequence[str]) -> str:
    """Return the recipe with the highest mean AUC over the seeds."""
    return max(recipes, key=lambda name: _average(seeds, name))


def rate_without_hindsight(seeds: Rows, recipes: Sequence[str]) -> float | None:
    """Return the mean AUC of the recipe that is best in all other draws; None of a single draw.

    The best recipe with hindsight is chosen by the test images that then say how good it is: by luck it is the better,
    the more recipes there are and the fewer images. Here other draws choose.
    """
    if len(seeds) < 2:
        return None
    chosen = {
        seed: find_best({other: rows for other, rows in seeds.items() if other != seed}, recipes) for seed in seeds
    }
    return statistics.fmean(float(seeds[seed][name]["auc"]) for seed, name in chosen.items())


def _average(seeds, way, column="auc") -> float:
    return statistics.fmean(float(ways[way][column]) for ways in seeds.values())


def make_tables(rows: Sequence[dict], pairs: Sequence[dict], recipes: Sequence[str]) -> str:
    """Return the advice beside the best recipe with hindsight, the mean AUC of each, and the tests of each draw.

    Args:
        rows: Of `advise.csv`.
        pairs: Of `advise_pairs.csv`.
        recipes: With which an advice is compared.
    """
    draws = find_draws(rows, recipes)
    first = [(*_name(place), *_summarise(seeds, recipes)) for place, seeds in draws.items()]
    whole: dict[tuple[str, ...], Rows] = {}
    for (*place, _), seeds in draws.items():  # recipes are the same at each share, of which some may have fewer draws
        whole[tuple(place)] = max(whole.get(tuple(place), {}), seeds, key=len)
    means = [(f"`{name}`", *(f"{_average(seeds, name):.3f}" for seeds in whole.values())) for name in recipes]
    known = {tuple(pair[name] for name in PAIR_KEYS): pair for pair in pairs}
    second = [
        line for place, seeds in draws.items() for line in _list_pairs(place, seeds, find_best(seeds, recipes), known)
    ]
    head = ("images", "budget", "draws", "advice", "its one network", "best recipe", "difference", "worst draw")
    more = ("without hindsight", "search", "seconds", "of all recipes", "share", "share of processor seconds")
    others = (f"less `{PLAIN}`", "less the best recipe", "less the search", "decided")
    return "\n\n".join(
        (
            table((*head, *more, "most of budget"), first),
            table(("AUC", *(f"{name}, {size} px" for name, _, size in whole)), means),
            table(("images", "budget", "seed", "test images", "AUC", *others), second),
        )
    )


def _name(place) -> tuple[str, str]:
    name, _, size, share = place
    return f"{name}, {size} px", f"{float(share):.0%}"


def _summarise(seeds, recipes) -> tuple[str, ...]:
    """Return a line: AUCs, how far the advice lies from the best recipe, and what both took."""
    rows, best = list(seeds.values()), find_best(seeds, recipes)
    apart = [float(ways[ADVICE]["auc"]) - float(ways[best]["auc"]) for ways in rows]
    own, whole = (
        {time: sum(float(ways[way][time]) for ways in rows for way in names) for time in TIMES}
        for names in ((ADVICE,), recipes)
    )
    rated = rate_without_hindsight(seeds, recipes)
    used = max(float(ways[ADVICE]["seconds"]) / float(ways[ADVICE]["budget"]) for ways in rows)
    searched = {seed: ways for seed, ways in seeds.items() if SEARCH in ways}
    return (
        str(len(rows)),
        f"{_average(seeds, ADVICE):.3f}",
        f"{_average(seeds, ADVICE, 'alone'):.3f}",
        f"`{best}` {_average(seeds, best):.3f}",
        f"{statistics.fmean(apart):+.3f}",
        f"{min(apart):+.3f}",
        "" if rated is None else f"{rated:.3f}",
        _say_search(searched),
        *(f"{found['seconds'] / len(rows):,.0f}" for found in (own, whole)),
        *(f"{own[time] / whole[time]:.0%}" for time in TIMES),
        f"{used:.0%}",
    )


def _say_search(seeds) -> str:
    """Return how far the advice lies above the search, in the draws that were searched."""
    if not seeds:
        return ""
    return (
        f"{_average(seeds, SEARCH):.3f} ({_average(seeds, ADVICE) - _average(seeds, SEARCH):+.3f}, {len(seeds)} draws)"
    )


def _list_pairs(place, seeds, best, pairs) -> list[tuple[str, ...]]:
    *where, share = place
    lines = []
    for seed, ways in seeds.items():
        tests = [_say_pair(pairs.get((*where, seed, share, other))) for other in (PLAIN, best, SEARCH)]
        advice = ways[ADVICE]
        scores = (advice["test_images"], f"{float(advice['auc']):.3f}")
        lines.append((*_name(place), seed, *scores, *tests, advice["found"]))
    return lines


def _say_pair(pair) -> str:
    if pair is None:  # the runs of one of the two are gone
        return ""
    if not pair["p"]:
        return f"{float(pair['difference']):+.3f}"
    low, high = (f"{float(pair[name]):+.3f}" if pair[name] else "?" for name in ("low", "high"))
    return f"{float(pair['difference']):+.3f} ({low} to {high}; p = {float(pair['p']):.2g})"
