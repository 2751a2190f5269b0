"""The questions whose answers decide which metrics suit; after the problem fingerprint of Maier-Hein et al. 2024.

The paper's fingerprint has more entries, which serve other tasks or what no image set of tlmed has. These are the ones
that decide among the metrics that tlmed reports for whole images.
"""

from dataclasses import dataclass

UNBALANCED = 2  # times that the most frequent class may be as frequent as the rarest, in balanced images
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Question:
    """A question, which is also an option of the command.

    Attributes:
        name: Of the option and of the field of `Fingerprint`.
        text: As a person is asked.
        choices: The answers, with what each means; none where the answer is a number.
        several: Whether more than one answer can be given.
    """

    name: str
    text: str
    choices: dict[str, str]
    several: bool = False


QUESTIONS = (
    Question(
        "findings",
        "How many findings can an image show?",
        {"one": "each image is of exactly one class", "several": "an image can show several findings at once, or none"},
    ),
    Question("classes", "How many classes are there?", {}),
    Question(
        "order",
        "Do the classes have an order?",
        {"no": "they are just different", "yes": "they are grades or stages; a near miss is better than a far one"},
    ),
    Question(
        "balance",
        "How frequent are the classes in the test images?",
        {
            "balanced": f"the most frequent one is less than {UNBALANCED} times as frequent as the rarest",
            "unbalanced": "it is more frequent than that",
        },
    ),
    Question(
        "prevalence",
        "Are the classes as frequent where the answers will be used?",
        {
            "same": "as in the test images",
            "other": "their shares are known, and others",
            "unknown": "nobody knows, or it differs from place to place",
        },
    ),
    Question(
        "costs",
        "Are some errors worse than others?",
        {"equal": "all errors count alike", "unequal": "a missed case, say, is worse than a false alarm"},
    ),
    Question(
        "use",
        "What of the answers will be used?",
        {
            "class": "the predicted class decides what is done",
            "ranking": "images are sorted by their score, say as a work list",
            "probability": "people read the probability",
        },
        several=True,
    ),
)


@dataclass(frozen=True)
class Fingerprint:
    """The answers, one field for each question.

    Attributes:
        findings: "one" or "several".
        classes: How many there are; of several findings each is there or not: 2.
        order: "no" or "yes".
        balance: "balanced" or "unbalanced".
        prevalence: "same", "other" or "unknown".
        costs: "equal" or "unequal".
        use: Some of "class", "ranking" and "probability".
    """

    findings: str
    classes: int
    order: str
    balance: str
    prevalence: str
    costs: str
    use: tuple[str, ...]

    @property
    def decides(self) -> bool:
        """Whether the predicted class is used."""
        return "class" in self.use

    @property
    def ranks(self) -> bool:
        """Whether the ranking is used."""
        return "ranking" in self.use

    @property
    def informs(self) -> bool:
        """Whether the probability is used."""
        return "probability" in self.use

    @property
    def several(self) -> bool:
        """Whether an image can show several findings, each of which is a question of two classes."""
        return self.findings == "several"

    @property
    def two(self) -> bool:
        """Whether there are two classes, one of them the positive one."""
        return self.classes == 2

    @property
    def ordered(self) -> bool:
        """Whether the predicted class is used, and the classes have an order that matters: two have only one."""
        return self.decides and self.order == "yes" and not self.two

    @property
    def weighs(self) -> bool:
        """Whether the predicted class is used, and errors differ in cost."""
        return self.decides and self.costs == "unequal"

    @property
    def plain(self) -> bool:
        """Whether the predicted class is used, and all errors count alike."""
        return self.decides and not self.ordered and not self.weighs

    @property
    def rare(self) -> bool:
        """Whether a class is rare, in the test images and where the answers are used."""
        return self.balance == "unbalanced" and self.same

    @property
    def same(self) -> bool:
        """Whether the classes are as frequent where the answers are used as in the test images."""
        return self.prevalence == "same"


def judge_balance(counts) -> str:
    """Return the answer to `balance` from the images of each class, some 1 or more each.

    >>> judge_balance([60, 40]), judge_balance([90, 10])
    ('balanced', 'unbalanced')
    """
    return "unbalanced" if max(counts) >= UNBALANCED * min(counts) else "balanced"
