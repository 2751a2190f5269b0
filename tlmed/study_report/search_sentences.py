"""What a search says, in sentences that a page and a terminal share."""

import math
from collections import Counter

from tlmed.metrics.names import name_inline
from tlmed.run_files.search_files import BUDGET, TRIALS, is_finished
from tlmed.status import describe_seconds
from tlmed.study_report.search_scores import SearchRecord
from tlmed.study_report.study_sentences import say_mean
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import count

_CAUSES = {BUDGET: "by the forecast, the budget had no time for that", TRIALS: "`--trials` allowed no more"}
BEST = 10  # candidates that a table shows
_STATES = {
    "complete": "judged on all draws",
    "pruned": "given up",
    "failed": "failed",
    "running": "not judged on all draws yet",
}


def describe_search(record: SearchRecord, few: bool = False) -> list[str | Table]:
    """Return a search as lines and tables for a terminal.

    Args:
        record: The search.
        few: Leave the table of candidates out.
    """
    table = [] if few else ["", list_best(record), "", *say_importance(record), ""]
    return [
        say_tried(record),
        *say_untried(record),
        *say_winners(record),
        *table,
        *(f"Warning: {it}" for it in record.doubts),
        *say_worth(record),
        *(f"Note: {it}" for it in record.notes),
    ]


def say_tried(record: SearchRecord) -> str:
    """Say how many candidates were tried, and what came of them."""
    counts = Counter(row["state"] for row in record.rows)
    said = ", ".join(f"{counts[state]} {words}" for state, words in _STATES.items() if counts[state])
    folds = f" in {count(len(record.searches), 'fold')}" if record.content["nested"] else ""
    took = describe_seconds(record.content["seconds"])
    return (
        f"{count(len(record.rows), 'candidate')}{folds}: {said or 'none yet'}.{_say_probed(record)} All trainings "
        f"together took {took}. Judged by the {name_inline(record.content['metric'])} of validation images."
    )


def _say_probed(record) -> str:
    probed = max(map(_count_probed, record.searches), default=0)
    return f" Before them, the backbone was chosen out of {probed} by validation images, too." if probed else ""


def say_untried(record: SearchRecord) -> list[str]:
    """Say which recipes a search that is over has not tried as they are, and what ended it before."""
    return [_say_untried(record, search) for search in record.searches if search["winner"] and search.get("untried")]


def _say_untried(record, search) -> str:
    fold = f" in fold {search['fold']}" if record.content["nested"] else ""
    named = {cause: [title for title, own in search["untried"].items() if own == cause] for cause in _CAUSES}
    said = "; ".join(f"{', '.join(titles)} ({_CAUSES[cause]})" for cause, titles in named.items() if titles)
    return f"Not tried as they are{fold}: {said}."


def say_winners(record: SearchRecord) -> list[str]:
    """Say what won each search, or is the best so far where it is not finished."""
    return [_say_winner(record, search) for search in record.searches if search["winner"]]


def _say_winner(record, search) -> str:
    winner = search["winner"]
    fold = f" of fold {search['fold']}" if record.content["nested"] else ""
    values = ", ".join(f"{name} {winner[name]}" for name in record.names if winner.get(name) not in ("", None))
    title = "Winner" if is_finished(search) else "Best so far"
    return (
        f"{title}{fold}: candidate {winner['candidate']} ({values}), {search['validation']:.3f} over "
        f"{count(winner['draws'], 'draw')} of validation images."
    )


def say_worth(record: SearchRecord) -> list[str]:
    """Say what the winner is worth on test images, and how far its validation score flatters it."""
    without = [search for search in record.searches if not search["winner"]]
    no_winner = [_say_no_winner(record, search) for search in without]
    if not all(map(is_finished, record.searches)):
        return [*no_winner, *_say_unfinished(record)]
    if no_winner:
        return no_winner
    if any(search["test"] is None for search in record.searches):
        return ["What the winner is worth on test images is known when its cells are complete."]
    return _say_nested(record) if record.content["nested"] else _say_single(record)


def _say_no_winner(record, search) -> str:
    """Say that nothing was judged; where the budget is why, also how long one takes and which budget is enough."""
    where = f" of fold {search['fold']}" if record.content["nested"] else ""
    if (shortage := search.get("shortage")) is None:
        return f"There is no winner{where} yet."
    return (
        f"There is no winner{where} yet: the budget of {describe_seconds(shortage['budget'])} ended the search before "
        f"a candidate was judged. One training takes about {describe_seconds(shortage['training'])}; the same command "
        f"with `--budget {write_time(shortage['enough'])}` leaves time to judge one and to train the winner."
    )


def write_time(seconds: float) -> str:
    """Return a time as `--budget` takes it, rounded up.

    >>> write_time(61.2), write_time(601)
    ('62s', '11m')
    """
    return f"{math.ceil(seconds)}s" if seconds < 600 else f"{math.ceil(seconds / 60)}m"


def _say_unfinished(record) -> list[str]:
    most = record.content["trials"] * len(record.searches)
    tried = len(record.rows)
    return [
        f"The search is not finished: {tried} of {count(most, 'candidate')} {'is' if tried == 1 else 'are'} tried.",
        "The same `tlmed sweep` command goes on with it. What the winner is worth on test images is known when its "
        "cells are complete.",
    ]


def _say_score(record, mean) -> str:
    """Return a mean with its interval; without one where the runs, by which it is computed, are not all here."""
    if mean is not None:
        return say_mean(mean)
    tests = [search["test"] for search in record.searches]
    return f"{sum(tests) / len(tests):.3f} (without an interval, which needs the runs of all cells)"


def _say_nested(record) -> list[str]:
    metric, optimism = name_inline(record.content["metric"]), record.content["optimism"]
    each = ", ".join(f"{search['optimism']:+.3f}" for search in record.searches)
    folds = count(len(record.searches), "fold")
    return [
        f"Searching and training, on test images that took no part: {metric} {_say_score(record, record.mean)}, the "
        f"mean over {folds}. This is the score to report.",
        f"The searches promised {abs(optimism):.3f} {'less' if optimism < 0 else 'more'} than their test images gave: "
        f"this optimism, {optimism:+.3f}, is the mean over the folds ({each}).",
    ]


def _say_single(record) -> list[str]:
    search, metric = record.searches[0], name_inline(record.content["metric"])
    first = record.unseen if record.content["folds"] else record.mean
    where = "the test images of fold 1" if record.content["folds"] else "the test images"
    said = [f"On {where}, which took no part in the search: {metric} {_say_score(record, first)}."]
    said += [_say_optimism(search, first), *_say_fresh(search, record)]
    if record.unseen is not None:
        folds = len(record.scores.folds)
        said.append(
            f"Mean over {folds} folds: {say_mean(record.mean)}. It is too good: the test images of the other folds "
            "took part in the search. `--nested` measures it without them."
        )
    return said


def _say_optimism(search, mean) -> str:
    less, is_bounded = search["optimism"] < 0, mean is not None and mean.low is not None
    unsure = "the interval says how uncertain this is" if is_bounded else "how uncertain this is, is not known"
    return (
        f"The search promised {search['validation']:.3f}, which is {abs(search['optimism']):.3f} "
        f"{'less' if less else 'more'} (optimism {search['optimism']:+.3f}); {unsure}."
    )


def _say_fresh(search, record) -> list[str]:
    """Say how the winner does on draws that chose nothing; they hold the same images, so not all luck shows."""
    if search["fresh"] is None:
        return []
    if len(record.rows) == 1 and not _count_probed(search):
        return [
            f"On four further draws the only candidate has {search['fresh']:.3f}. There were no others to choose from."
        ]
    luck = search["validation"] - search["fresh"]
    shown = f"{luck:.3f} less than on the draws that chose it" if luck > 0 else "its own draws did not flatter it"
    return [
        f"On four draws that chose nothing the winner has {search['fresh']:.3f}: {shown}. They are draws of the same "
        "images, so this is a part of the optimism and not all of it."
    ]


def _count_probed(search) -> int:
    """Return among how many backbones a probe has chosen; 0 where there was no choice."""
    return len(search["probes"]) if len(search["probes"]) > 1 else 0


def list_best(record: SearchRecord) -> Table:
    """Return a table of the best candidates of each search."""
    columns = _list_columns(record)
    numbered = ("fold",) if record.content["nested"] else ()
    rows = [
        [row["candidate"], *(row[name] for name in numbered), f"{float(row['validation']):.3f}", row["draws"]]
        + [row[name] or "-" for name in columns]
        for row in _rank(record)[:BEST]
    ]
    head = numbers("candidate", *numbered, "validation", "draws") + texts(*columns)
    note = "Candidates that were judged on more draws come first; scores on fewer draws vary more."
    return Table(head, rows, notes=[note])


def _list_columns(record) -> list[str]:
    """Return the dimensions in which candidates differ."""
    return [name for name in record.names if len({row[name] for row in record.rows}) > 1]


def _rank(record) -> list[dict[str, str]]:
    judged = [row for row in record.rows if row["validation"] and row["state"] != "failed"]
    return sorted(judged, key=lambda row: (-int(row["draws"]), -float(row["validation"])))


def say_importance(record: SearchRecord) -> list[str]:
    """Say which dimensions go with how much of the variance of the first scores."""
    found = sorted(record.content["importance"].items(), key=lambda item: -item[1])
    said = ", ".join(f"{name} {share:.0%}" for name, share in found)
    if not said:
        return []
    return [
        f"What goes with the scores on the first draw, each by itself: {said}. The search tries good values more "
        "often, so these shares are rough."
    ]
