"""Columns of a table that look as if they gave the splits of its images, although none is called `split`."""

import re
from collections.abc import Collection, Mapping, Sequence

from tlmed.columns import is_blank
from tlmed.patient_columns import squeeze
from tlmed.words import join_names, listed

NAMED = 3  # values in a sentence; the others are counted
MOST = 20  # values of a column that divides images for training and testing; folds are the most
# Words for a split, as squeezed; "test set" and "training cohort" are such words too. In English, German, French,
# Spanish, Portuguese, Italian and Dutch, with and without accents.
_ROLES = {
    "train": r"train|training|trn|dev|devel|development|derivation|discovery|learning|lern|lernen|lerndaten|"
    r"trainieren|anlernen|entwicklung|apprentissage|entra[iî]nement|entrenamiento|entrenar|aprendizaje|treino|"
    r"treinamento|addestramento|allenamento|apprendimento|ontwikkeling",
    "val": r"val|valid|validation|tune|tuning|internalvalidation|validierung|validaci[oó]n|valida[cç][aã]o|"
    r"validazione|convalida|validatie",
    "test": r"test|testing|tst|holdout|heldout|evaluation|eval|external|externalvalidation|temporalvalidation|"
    r"(internal|external|public|private)test|pr[uü]f|pruef|pr[uü]fung|pruefung|testen|[eé]valuation|essai|prueba|"
    r"pruebas|evaluaci[oó]n|teste|avalia[cç][aã]o|prova|valutazione|toets",
}
_ROLES = {
    role: re.compile(
        rf"((conjunto|ensemble|jeu|insieme)d[ei]?)?({words})s?"
        r"(set|cohort|kohorte|data|daten|datensatz|dataset|group|gruppe|split|sample|stichprobe|images|menge|part)?"
    )
    for role, words in _ROLES.items()
}
_FOLDS = re.compile(r"cv|xval|crossval(idation)?|kreuzvalidierung|(cv|k|test|outer)?folds?(id|no|nr|number|idx|index)?")
_NAME = re.compile(
    r"(?!datasets?)(data|random|official|cv|k|inner|outer|train|test|val|valid)*(splits?|sets?|subsets?|partitions?|"
    rf"folds?)(id|no|nr|number|idx|index|name|\d+)?|{_FOLDS.pattern}"
)
_FOLD = re.compile(r"(cv)?(fold|split|partition)\d+")  # such as the values of any column
_PART = r"(train|training|test|testing|val|validation|holdout|heldout)(set|data|split|flag)?"
_FLAG = re.compile(rf"(is|in|for|usedfor|usedin|usefor){_PART}")
_MAYBE_FLAG = re.compile(rf"{_PART}|isvalid")  # a test may be of blood, and a valid image one of good quality
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+")  # of a value such as "test_A" or "Train2019"
_PUBLIC = {"public", "private"}  # test sets of competitions, beside a word for training or in a column of this name:
_USAGE = re.compile(r"usage")
_ANSWERS = {"", "0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n", "t", "f", "x"}


def find_split_faults(columns: Mapping[str, Sequence[str]], source: str, otherwise: str) -> list[str]:
    """Return a sentence for each column that can only mean given splits: by words for them, or a name like `is_test`.

    Args:
        columns: The values of each column that is not used otherwise, a text per image, where there are no splits.
        source: What messages call the table.
        otherwise: When the column may be removed.

    >>> columns = {"cohort": ["development", "holdout"], "site": ["Bonn", "Ulm"]}
    >>> find_split_faults(columns, "list.csv", "all rows are one split")[0].partition("Received: ")[2]
    "'cohort' in list.csv, with development and holdout; write it so, or remove it if all rows are one split."
    """
    return [
        "The column that gives the splits must be called 'split', and say train, val or test in every row. "
        f"Received: {name!r} in {source}, with {_show(columns[name])}; write it so, or remove it if {otherwise}."
        for name in columns
        if _is_split(name, columns[name])
    ]


def describe_unused_splits(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence that names columns that may be given splits, as a fold or a set, and are not used as such.

    Args:
        columns: As for `find_split_faults`, which refuses those that can mean nothing else.

    >>> describe_unused_splits({"fold": ["0", "1", "0"], "site": ["Bonn", "Ulm", "Ulm"]})[0].partition(". ")[0]
    "'fold' (0 and 1) looks like a given split, and is not used as one"
    """
    found = [name for name in columns if _may_be_split(name, columns[name])]
    if not found:
        return ()
    named = join_names(f"{name!r} ({_show(columns[name])})" for name in found)
    if len(found) == 1:
        said = f"{named} looks like a given split, and is not used as one. To use it"
    else:
        said = f"{named} look like given splits, and are not used as such. To use them"
    return (f"{said}, write train, val or test for every row into a column 'split'.",)


def find_folds(name: str, values: Sequence[str]) -> list[str]:
    """Return the folds of a cross-validation that a column says each image was tested in; nothing if it is no such one.

    >>> find_folds("cv", ["0", "1", "0"]), find_folds("site", ["Bonn", "Ulm", "Ulm"])
    (['0', '1'], [])
    """
    kinds = sorted({value for value in values if not is_blank(value)})
    return kinds if _FOLDS.fullmatch(squeeze(name)) and 1 < len(kinds) <= MOST else []


def _is_split(name: str, values: Sequence[str]) -> bool:
    kinds = {value for value in values if not is_blank(value)}
    roles = {_find_role(kind) for kind in kinds} if len(kinds) <= MOST else {None}
    if None not in roles and len(roles) > 1:
        return True
    return bool(_FLAG.fullmatch(squeeze(name))) and _are_answers(values)


def _may_be_split(name: str, values: Sequence[str]) -> bool:
    kinds, squeezed = set(values), squeeze(name)
    if not 1 < len(kinds) <= min(MOST, len(values) - 1) or _is_split(name, values):
        return False
    folds = all(_FOLD.fullmatch(squeeze(kind)) for kind in kinds)
    return (
        folds
        or _name_roles(squeezed, kinds)
        or bool(_NAME.fullmatch(squeezed))
        or (bool(_MAYBE_FLAG.fullmatch(squeezed)) and _are_answers(values))
    )


def _name_roles(squeezed: str, kinds: Collection[str]) -> bool:
    """Tell whether each value has a word for a split beside others, such as train_2019 and test_A.

    >>> _name_roles("dataset", ["train", "test_A"]), _name_roles("usage", ["Public", "Private"])
    (True, True)
    >>> _name_roles("finding", ["test positive", "test negative"]), _name_roles("hospital", ["public", "private"])
    (False, False)
    """
    found = [_find_roles(kind) for kind in kinds if not is_blank(kind)]
    roles = set().union(*found)
    if not all(found):
        return False
    return len(roles) > 1 and bool(_ROLES.keys() & roles or _USAGE.fullmatch(squeezed))


def _find_roles(value: str) -> set[str]:
    """Return the splits that the words of a value mean; "public" and "private" are such words, too."""
    words = _WORD.findall(value)
    return {role for word in words if (role := _find_role(word))} | (_PUBLIC & {word.casefold() for word in words})


def _find_role(value: str) -> str | None:
    """Return the split that a word means, however it is spelled.

    >>> _find_role("Hold-out"), _find_role("Training cohort"), _find_role("Bonn")
    ('test', 'train', None)
    """
    return next((role for role, words in _ROLES.items() if words.fullmatch(squeeze(value))), None)


def _are_answers(values: Sequence[str]) -> bool:
    kinds = {value.casefold() for value in values}
    return len(kinds) == 2 and kinds <= _ANSWERS


def _show(values: Sequence[str]) -> str:
    kinds = sorted(set(values), key=lambda value: (len(value) if value.isdecimal() else 0, value))
    shown = [value or "nothing" for value in kinds]
    return join_names(shown) if len(shown) <= NAMED else listed(shown, NAMED)
