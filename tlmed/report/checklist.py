"""The reporting checklist CLAIM 2024, filled in as far as a run recorded the answers.

Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology: Artificial
Intelligence 2024, 6(4):e240300. The numbers are the paper's, the words are our own. What only a person can know
(consent, annotators, intended use) is left to the author, and so is a part of what the run knows in part.
"""

from collections.abc import Collection

from markupsafe import Markup

from tlmed.pages.templating import render
from tlmed.report.answers import answer
from tlmed.report.loaded_files import RunContent
from tlmed.tabulation import EMPHASIS, Cell, Table, say, texts

AUTHOR = "to be filled in by the author"
ITEMS = {
    "Title and abstract": {
        1: "The title or abstract names the use of AI, and which kind",
        2: "A summary of design, methods, results and conclusions",
    },
    "Introduction": {
        3: "Scientific and clinical background; intended use and role of the AI",
        4: "Aims, objectives and hypotheses",
    },
    "Methods: study design": {
        5: "Prospective or retrospective",
        6: "Goal of the study",
    },
    "Methods: data": {
        7: "Where the data come from",
        8: "Who and what was included and excluded, by which criteria",
        9: "Preprocessing of the data",
        10: "Whether and how a subset of the data was selected",
        11: "De-identification",
        12: "Handling of missing data",
        13: "How the images were acquired",
    },
    "Methods: reference standard": {
        14: "How the reference standard was obtained",
        15: "Why this reference standard was chosen",
        16: "Who annotated, and with what qualification",
        17: "How the test set was annotated",
        18: "Agreement between and within annotators",
    },
    "Methods: data partitions": {
        19: "How data were assigned to partitions",
        20: "The level at which partitions are disjoint",
    },
    "Methods: testing data": {
        21: "Intended sample size",
    },
    "Methods: model": {
        22: "Detailed description of the model",
        23: "Software and its versions",
        24: "Initial values of the parameters",
    },
    "Methods: training": {
        25: "Details of the training",
        26: "How the final model was selected",
        27: "Ensembling",
    },
    "Methods: evaluation": {
        28: "Metrics of performance",
        29: "Measures of significance and uncertainty",
        30: "Analysis of robustness or sensitivity",
        31: "Methods of explanation, their parameters and validation",
        32: "Evaluation on internal data",
        33: "Testing on external data",
        34: "Registration of a clinical trial",
    },
    "Results: data": {
        35: "Numbers of patients or examinations included and excluded",
        36: "Demographic and clinical characteristics in each partition",
    },
    "Results: model performance": {
        37: "Performance and its uncertainty",
        38: "Diagnostic performance and its precision",
        39: "Analysis of what the model got wrong",
    },
    "Discussion": {
        40: "Limitations",
        41: "Implications for practice; intended use and clinical role",
    },
    "Other information": {
        42: "Where to find the full protocol, or more technical details",
        43: "Availability of software, trained model and data",
        44: "Funding and the role of funders",
    },
}


def show_checklist(content: RunContent, titles: Collection[str]) -> Markup:
    """Return all 44 items, with the run's answers.

    Args:
        content: The run.
        titles: The sections of the page, which answers link to.
    """
    answers = answer(content, titles)
    whole = sum(not found.left for found in answers.values())
    return render(
        "report/checklist.html",
        amount=sum(map(len, ITEMS.values())),
        whole=whole,
        partly=len(answers) - whole,
        parts={part: _tabulate(items, answers) for part, items in ITEMS.items()},
    )


def _tabulate(items, answers) -> Table:
    rows = [(f"{number}. {words}", _say(answers.get(number))) for number, words in items.items()]
    return Table(texts("Item", "Answer"), rows)


def _say(found) -> Cell:
    if found is None:
        return say(AUTHOR, mark=EMPHASIS)
    left = (" ", say(f"{found.left}: {AUTHOR}", mark=EMPHASIS)) if found.left else ()
    return say(found.said, *left)
