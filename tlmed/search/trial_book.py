"""The candidates of a search as trials of an Optuna study of their own, in the storage of the cells.

A trial needs no owner: its values say what is trained, and the cells say how far that is. So whoever sees that all
cells of a candidate are complete judges it, and nothing is lost with a process.
"""

import contextlib
from collections.abc import Mapping

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial

from tlmed.recipe.search_space import Space
from tlmed.search.proposals import COMPLETE, FAILED, PRUNED, RUNNING, Tried, list_distributions
from tlmed.studies.ledger import Ledger

_STATES = {
    TrialState.RUNNING: RUNNING,
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.WAITING: RUNNING,
}
_ENDS = {state: trial for trial, state in _STATES.items() if state != RUNNING}


class TrialBook:
    """The candidates of one search, for one process or many.

    Args:
        ledger: The cells of the study.
        fold: The fold whose test images take no part; None where the images are divided once.
    """

    def __init__(self, ledger: Ledger, fold: int | None):
        self.ledger = ledger
        name = f"{ledger.name} search" if fold is None else f"{ledger.name} search fold {fold}"
        self.study = ledger.open_study(name)
        self.trials: dict[int, int] = {}  # a candidate's number to that of its trial in the storage

    def read(self) -> list[Tried]:
        """Return all candidates in the order in which they were entered first."""
        found: list[Tried] = []
        known: list[Mapping] = []
        with self.ledger.explained():
            trials = self.ledger.storage.get_all_trials(self.study, deepcopy=False)
        for trial in trials:
            number = known.index(trial.params) if trial.params in known else len(known)
            if number < len(known) and found[number].state != FAILED:
                continue  # two processes proposed the same at the same moment: the first one counts
            self.trials[number] = trial._trial_id
            reason = trial.user_attrs.get("reason", "")
            scores = dict(trial.intermediate_values)
            found[number:] = [
                Tried(number, trial.params, scores, _STATES[trial.state], reason),
                *found[number + 1 :],  # one that is tried again keeps its place
            ]
            known[number:] = [trial.params, *known[number + 1 :]]
        return found

    def add(self, space: Space, params: Mapping[str, str | float]) -> None:
        """Enter a candidate, with all of its values at once."""
        trial = create_trial(
            state=TrialState.RUNNING, params=dict(params), distributions=list_distributions(space, params)
        )
        with self.ledger.explained():
            self.ledger.storage.create_new_trial(self.study, trial)

    def report(self, number: int, draws: int, score: float) -> None:
        """Note the mean score of a candidate after some draws."""
        with self.ledger.explained(), contextlib.suppress(UpdateFinishedTrialError):  # another was quicker
            self.ledger.storage.set_trial_intermediate_value(self.trials[number], draws, score)

    def end(self, number: int, state: str, score: float | None = None, reason: str = "") -> None:
        """Note what came of a candidate: "complete" with its score, "pruned", or "failed" with a reason."""
        trial, values = self.trials[number], [score] if state == COMPLETE else None
        with self.ledger.explained(), contextlib.suppress(UpdateFinishedTrialError):
            if reason:
                self.ledger.storage.set_trial_user_attr(trial, "reason", reason)
            self.ledger.storage.set_trial_state_values(trial, _ENDS[state], values)
