"""What the analysis of a study says, in sentences that a page and a terminal share."""

from tlmed.answer_units import say_all_undecided, say_undecided
from tlmed.metrics.names import name_inline
from tlmed.run_files.check_summary import say_errors
from tlmed.study_report.analysis import LEVEL, REGION, Analysis
from tlmed.study_report.study_scores import StudyScores
from tlmed.words import count, listed

_NAMED = 3


def say_mean(mean) -> str:
    """Return a mean with its interval."""
    bounds = f" ({mean.low:.3f} to {mean.high:.3f})" if mean.low is not None and mean.high is not None else ""
    return "-" if mean.value is None else f"{mean.value:.3f}{bounds}"


def say_less(mean, sign: int) -> str:
    """Return a difference with its interval; with a sign of -1 that of the second less the first."""
    if mean.value is None:
        return "-"
    if mean.low is None:
        return f"{sign * mean.value:+.3f}"
    low, high = sorted((sign * mean.low, sign * mean.high))
    return f"{sign * mean.value:+.3f} ({low:+.3f} to {high:+.3f})"


def warn(scores: StudyScores) -> list[str]:
    """Return what makes the scores of a study doubtful: test images that training knows, and faults of the data."""
    results = [result for row in scores.results for fold in row for result in fold]
    leaky = [result for result in results if result.without_leaks]
    sentences = []
    if leaky:
        result = max(leaky, key=lambda result: result.without_leaks["leaked"])
        most = result.without_leaks
        sentences.append(
            f"In {count(len(leaky), 'cell')} of {len(results)}, training or validation knows test images, or others of "
            f"their group: up to {most['leaked']} of {most['leaked'] + most['n']}{say_undecided(result.metrics)}. "
            f"Scores and differences may be too good.{_say_whose(scores)}"
        )
    hidden = [result for result in results if say_all_undecided(result.metrics)]
    if hidden:
        most = max((result.metrics for result in hidden), key=lambda found: found["undecided"])
        sentences.append(
            f"In {count(len(hidden), 'cell')} of {len(results)}, it cannot be told whether training or validation "
            f"knows test images or their patients: of up to {most['undecided']} of {most['n']}."
        )
    return [*sentences, *_say_faults(results), *find_unmeasured(scores)]


def _say_whose(scores) -> str:
    """Name the configurations that know more test images than others; these cannot be compared."""
    leaked = [
        sum((result.without_leaks or {"leaked": 0})["leaked"] for fold in row for result in fold)
        for row in scores.results
    ]
    more = [name for name, amount in zip(scores.names, leaked, strict=True) if amount > min(leaked)]
    if not more:
        return ""
    who, whose = ("knows", "its") if len(more) == 1 else ("know", "their")
    return f" {listed(more, _NAMED)} {who} more of them than others do, so that {whose} lead over these shows nothing."


def _say_faults(results) -> list[str]:
    """Say what the check of the data found where it found most; cells differ in their images and their splits."""
    faulty = [(said, result) for result in results for said in say_errors(result.check)]
    if not faulty:
        return []
    said, worst = max(faulty, key=lambda pair: (pair[1].check.repeated, sum(pair[1].check.errors.values())))
    if len(faulty) == len(results) and len({each for each, _ in faulty}) == 1:
        return [said]
    return [
        f"The data have errors in {count(len(faulty), 'cell')} of {len(results)}, most in {worst.path.name}: {said}"
    ]


def find_unmeasured(scores: StudyScores) -> list[str]:
    """Return a sentence for classes or labels whose AUC is missing in some cells: their means are over others."""
    cells = [result for row in scores.results for fold in row for result in fold]
    found: dict[str, int] = {}
    for result in cells:
        for label, measured in result.metrics.get("per_class", {}).items():
            if "auc" in measured and measured["auc"]["value"] is None:
                found[label] = found.get(label, 0) + 1
    return [
        f"In {count(number, 'cell')} of {len(cells)} the mean is without {label!r}, "
        "whose AUC could not be measured there."
        for label, number in found.items()
    ]


def find_twins(scores: StudyScores) -> list[str]:
    """Return a sentence for configurations that have the same score in every cell: whether all else is the same too."""
    alike: dict[bytes, list[int]] = {}
    for place, values in enumerate(scores.values):
        alike.setdefault(values.tobytes(), []).append(place)
    return [_say_twins(scores, places) for places in alike.values() if len(places) > 1]


def _say_twins(scores, places) -> str:
    names = listed([scores.names[place] for place in places], _NAMED)
    if differ := _find_differing(scores, places):
        others = listed(map(name_inline, differ), _NAMED)
        return f"The same {name_inline(scores.metric)} in every cell: {names}. They differ in {others}."
    return f"The same scores in every cell: {names}. What they differ in had no effect."


def _find_differing(scores, places) -> list[str]:
    """Return the metrics in which configurations differ in some cell."""
    of_each = [
        [
            {name: found["value"] for name, found in result.metrics["metrics"].items()}
            for cells in scores.results[place]
            for result in cells
        ]
        for place in places
    ]
    first, names = of_each[0], list(of_each[0][0])
    return [
        name
        for name in names
        if any(other[cell].get(name) != first[cell].get(name) for other in of_each for cell in range(len(first)))
    ]


def conclude(analysis: Analysis) -> list[str]:
    """Return what follows: who is best and how probable it is that this is false; then what differs from it."""
    scores, best, metric = analysis.scores, analysis.best, name_inline(analysis.scores.metric)
    name = scores.names[best]
    first = f"The highest mean {metric} has {name}: {say_mean(analysis.means[best])}."
    sentences = [first]
    if (lead := analysis.lead) is not None:
        sentences.append(
            f"The probability that this is not the best of the {lead.tried} that were tried is {lead.false:.0%}"
            f"; that it leads the best other by less than {REGION:g}, {lead.close:.0%}."
        )
    sentences += [*_say_differences(analysis), *find_twins(scores)]
    if scores.missing:
        sentences.append(f"Left out, because not all cells are complete: {len(scores.missing)} configurations.")
    return sentences


def _say_differences(analysis) -> list[str]:
    """Say how many others are shown to differ from the best, after correction for all pairs."""
    others = analysis.order[1:]
    found = [analysis.find_pair(analysis.best, other)[0] for other in others] if analysis.pairs else []
    if not found:
        return []
    shown = [
        other for other, pair in zip(others, found, strict=True) if pair.p_holm is not None and pair.p_holm < LEVEL
    ]
    names = listed([analysis.scores.names[other] for other in shown], _NAMED)
    if all(pair.p_holm is None for pair in found):
        return ["Whether another is worse could not be tested."]
    corrected = f"after correction for {count(len(analysis.pairs), 'pair')}"
    if not shown:
        return [f"No other is shown to be worse {corrected}."]
    return [f"Shown to be worse {corrected}: {names} ({len(shown)} of {len(others)})."]


def describe_cells(analysis: Analysis) -> str:
    """Return how many cells were compared, and on what."""
    scores = analysis.scores
    m, folds, seeds = scores.values.shape
    divided = (
        f"{count(folds, 'fold')} and {count(seeds, 'seed')}"
        if scores.has_folds
        else f"one split and {count(seeds, 'seed')}"
    )
    tested = len({path for of_fold in scores.results[0] for path in of_fold[0].of("test")})
    chosen = dict.fromkeys(row[0][0].metrics.get("positive") for row in scores.results)
    named = [str(name) for name in chosen if name]
    differs = ", as the configuration says" if len(named) > 1 else ""
    positive = f" Positive class: {' or '.join(named)}{differs}." if named else ""
    return f"{count(m, 'configuration')}, {divided} of each; {count(tested, 'test image')}.{positive}"
