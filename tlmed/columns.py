"""The groups of a table: the column that gives them, spellings of its values, and columns of other traits."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from tlmed.errors import InputError, did_you_mean
from tlmed.patient_columns import CASES, is_group, is_identifier, squeeze
from tlmed.words import count, join_names, listed

NAMED = 3  # names in a sentence; the others are counted
MOST_SUBGROUPS = 12  # different values of a trait, each of which is scored by itself
_NOT_KNOWN = {
    *("none", "unknown", "missing", "-", "?", "anonymous", "anonym", "anonymized", "anonymised", "anonymisiert"),
    *("anon", "removed", "redacted", "deidentified", "de-identified", "anonymous^patient"),
    *("unbekannt", "inconnu", "desconocido", "desconhecido", "sconosciuto", "onbekend"),
}
_STAND_INS = re.compile(r"0+|-1|99+|x+", re.IGNORECASE)  # in a database often a patient who is not known
LEAST_ROWS, MANY_TIMES = 5, 3  # of a patient who may be none: images, and how many times those of the median patient
_POWER = re.compile(r"[+-]?\d+\.\d+[eE][+-]\d{1,2}")  # 001.000000E+00
_WHOLE = re.compile(r"(?P<sign>-?)\+?0*(?P<digits>[1-9]\d*)?(?<=\d)(\.0*)?$")
_LEADING_ZEROS = re.compile(r"(?<![\d.,])0+(?=\d)")  # within a name; those of a decimal place mean something
_FORM = "Unicode form (letters composed or decomposed as macOS writes them, digits of full width)"
_STANDING = {"column": "row", "feature": "image"}  # what has a value; a row may be a volume, which gives many images
_CASE, _NUMBER = ("case", "spaces"), "how a number is written"


@dataclass(frozen=True)
class Grouping:
    """How the groups of images are found in a table.

    Attributes:
        column: The column that names the group of each image; None: the one with a usual name, if there is one.
        use: Whether images have groups at all; False: each stands alone.
        ask: Whether the user must say what a column means that looks like an identifier, if none has a usual name.
        folders: Whether the folders below class folders are the groups.
        may_lack: Whether the table may lack `column`, because it is named for another one; it is then found by name.
    """

    column: str | None = None
    use: bool = True
    ask: bool = True
    folders: bool = False
    may_lack: bool = False


BY_NAME = Grouping()


def find_group(columns: Mapping[str, Sequence[str]], grouping: Grouping, source: str) -> str | None:
    """Return the column that names the group of each image.

    Without `--group` it is the one with a usual name: group, patient, patient_id, subject, case, mrn and the like. Of
    several it is the one whose groups contain those of all others whole; if there is none, the user must choose.
    A column in which no value repeats groups nothing, so it is taken only if there is no other.

    Args:
        columns: The values of each column that means nothing else, a text per image.
        grouping: What the user says of it.
        source: What messages call the table.

    Returns:
        None if images have no groups.

    Raises:
        InputError: If the wanted column does not exist, or several could be meant. Also if another column looks like an
            identifier while no column is taken, or the one taken is called a case, of which a patient may have several:
            images of one patient could then fall on both sides of a split.

    >>> find_group({"Patient ID": ["a", "a", "b"], "sex": ["f", "f", "m"]}, Grouping(), "list.csv")
    'Patient ID'
    >>> find_group({"patient": ["a", "a"]}, Grouping("Pat ID", may_lack=True), "list.csv")
    'patient'
    """
    if not grouping.use:
        return None
    if grouping.column is not None and (grouping.column in columns or not grouping.may_lack):
        if grouping.column not in columns:
            raise InputError(
                f"`--group` must name a column.{did_you_mean(grouping.column, columns)} "
                f"Received: {grouping.column!r}, for {source} with the columns {listed(columns) or 'none'}."
            )
        return grouping.column
    usual = [name for name in columns if is_group(name)]
    repeated = [name for name in usual if _repeats(columns[name])]
    taken = _find_widest(columns, repeated, source) if repeated else None
    unsure = grouping.ask and (taken is None or squeeze(taken) in CASES)
    if unsure and (rivals := _find_rivals(taken, columns)):
        without = [name for name in usual if name not in repeated]
        empty = f"; no value of {join_names(map(repr, without))} repeats" if taken is None and without else ""
        beside = f" beside {taken!r}, which divides the images differently" if taken is not None else empty
        raise InputError(
            "A column that looks like an identifier must be named as the group, by `--group COLUMN` (in a recipe "
            "`data.group_column`), so that images of one patient count as one; or `--no-groups` (`data.groups=False`) "
            f"must say that every image stands alone. Received: {source} with {_describe(rivals, columns)}{beside}."
        )
    return taken or next(iter(usual), None)


def describe_group(
    group: str | None, columns: Mapping[str, Sequence[str]], grouping: Grouping, what: str = "column"
) -> tuple[str, ...]:
    """Return what a user should know of the column that names the groups; nothing if it is called "group".

    If the user switched groups off, it is which columns would have named them.

    Args:
        group: What `find_group` returned.
        columns: As for `find_group`.
        grouping: As for `find_group`.
        what: A "column" of a table, or a "feature" of a builder.

    >>> describe_group("case", {"case": ["1", "2"]}, Grouping())
    ("The column 'case' names the groups. No value of it repeats: each row is a group of its own.",)
    """
    if not grouping.use or (group is None and not grouping.ask):
        return _describe_unused(columns, what)
    if group is None:
        return ()
    unsure = _describe_stand_ins(group, columns[group])
    told = f"The {what} {group!r} names the groups."
    if not _repeats(columns[group]):
        return (f"{told} No value of it repeats: each {_STANDING[what]} is a group of its own.",)
    if grouping.column is None and (rivals := _find_rivals(group, columns)):
        look = "looks like an identifier" if len(rivals) == 1 else "look like identifiers"
        divide = "divides" if len(rivals) == 1 else "divide"
        return (
            f"{told} {_describe(rivals, columns)} {look} too, and {divide} the images differently: `--group COLUMN` "
            "takes another.",
            *unsure,
        )
    return unsure if group == "group" else (told, *unsure)


def _describe_stand_ins(group, values) -> tuple[str, ...]:
    return tuple(
        f"{number:,} of {len(values):,} images have {value!r} in {group!r} and count as one group; if it means that "
        "the patient is not known, remove them."
        for value, number in Counter(values).items()
        if is_stand_in(value, values)
    )


def is_stand_in(value: str, values: Sequence[str]) -> bool:
    """Tell whether a patient's name is one that databases give to patients who are not known, and has many images.

    Args:
        value: The name.
        values: The names of all images.

    >>> is_stand_in("0", [*"0000012"]), is_stand_in("0", [*"012"]), is_stand_in("P", [*"PPPPP12"])
    (True, False, False)
    """
    if not _STAND_INS.fullmatch(value):
        return False
    counts = Counter(values)
    return counts[value] >= max(LEAST_ROWS, MANY_TIMES * median(counts.values())) and len(counts) > 1


def _describe_unused(columns, what) -> tuple[str, ...]:
    usual = [name for name in columns if is_group(name) and _repeats(columns[name])]
    if not (found := [*usual, *_find_rivals(None, columns)]):
        return ()
    said = f"{what} {_describe(found, columns)} is" if len(found) == 1 else f"{what}s {_describe(found, columns)} are"
    return (f"Groups are switched off: the {said} not used.",)


def _find_rivals(taken: str | None, columns) -> list[str]:
    """Return the columns that look like identifiers and have images of one value in several groups of the one taken."""
    return [
        name
        for name, values in columns.items()
        if not is_group(name)
        and name != taken
        and is_identifier(name, [value for value in values if not is_missing(value)])
        and (taken is None or not _holds(columns[taken], values))
    ]


def _repeats(values: Sequence[str]) -> bool:
    """Tell whether a value occurs twice, in any spelling; values such as "unknown" do not count."""
    named = [value for value in values if not is_missing(value)]
    return len(set(named)) < len(named) or len(set(map(spell, named))) < len(named)


def _find_widest(columns, usual, source) -> str:
    for name in usual:
        if all(_holds(columns[name], columns[other]) for other in usual if other != name):
            return name
    raise InputError(
        "Only one column may name the groups: `--group COLUMN` says which. "
        f"Received: {source} with {join_names(map(repr, usual))}, which divide the images differently."
    )


def _holds(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Tell whether every group of one column lies whole in a group of another; images without a name are in none."""
    owner: dict[str, str] = {}
    named = ((inner, outer) for inner, outer in zip(narrow, wide, strict=True) if not is_missing(inner))
    return all(owner.setdefault(inner, outer) == outer for inner, outer in named)


def _describe(names, columns) -> str:
    parts = [
        f"{name!r} ({count(len(set(columns[name])), 'value')} in {count(len(columns[name]), 'image')})"
        for name in names
    ]
    return listed(parts, NAMED)


def name_spellings(names: Iterable[str], what: str = "groups", whose: str | None = None) -> tuple[str, ...]:
    """Return a sentence if names differ only in spelling and may mean the same; else nothing.

    Args:
        names: In any order, each once or several times.
        what: What they name.
        whose: How the sentence begins, by default with "Names of" what they name.

    >>> name_spellings(["P 1", "p1", "P2"])
    ("Names of groups differ only in case or spaces, and count as different groups: 'P 1' and 'p1'.",)
    >>> name_spellings(["1", "01", "2"])[0].partition(",")[0]
    'Names of groups differ only in how a number is written'
    >>> name_spellings(["P0", "P00", "p0", "x", "X"])[0].partition(", and")[0]
    'Names of groups differ only in case, spaces or how a number is written'
    """
    if not (alike := _find_alike(names)):
        return ()
    twice = [join_names(map(_show, found)) for found in alike]
    return (
        f"{whose or f'Names of {what}'} differ only in {_name_ways(alike)}, and count as different {what}: "
        f"{listed(twice, NAMED)}.",
    )


def count_spellings(names: Iterable[str], what: str) -> tuple[str, ...]:
    """Return a sentence as `name_spellings` does, for names of patients that no message may show.

    Args:
        names: In any order, each once or several times.
        what: How the sentence calls them.

    >>> count_spellings(["P 1", "p1", "P2"], "IDs")
    ('2 of 3 IDs differ from each other only in case or spaces, and count as different patients.',)
    """
    names = set(names)
    if not (alike := _find_alike(names)):
        return ()
    return (
        f"{sum(map(len, alike)):,} of {len(names):,} {what} differ from each other only in {_name_ways(alike)}, and "
        "count as different patients.",
    )


def _find_alike(names: Iterable[str]) -> list[list[str]]:
    spelled = defaultdict(set)
    for name in names:
        spelled[spell(name)].add(name)
    return [sorted(found) for _, found in sorted(spelled.items()) if len(found) > 1]


def _name_ways(alike: Iterable[Sequence[str]]) -> str:
    return _join_ways(way for found in alike for way in _list_ways(found))


def describe_traits(traits: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence for each trait whose values make subgroups of their own because they are written differently.

    Args:
        traits: The values of each column that may divide images into subgroups.

    >>> describe_traits({"sex": ["M", "m", "f"]})
    ("Values of 'sex' differ only in case or spaces, and count as different subgroups: 'M' and 'm'.",)
    """
    kinds = {name: set(texts) for name, texts in traits.items()}
    few = {name: values for name, values in kinds.items() if len(set(map(spell, values))) <= MOST_SUBGROUPS}
    return tuple(
        sentence
        for name, values in few.items()
        for sentence in name_spellings(values, "subgroups", f"Values of {name!r}")
    )


def name_alike(names: Iterable[str]) -> str:
    """Return names that mean the same in several spellings, with what they differ in.

    >>> name_alike(["7", "007"])
    "'007' and '7', which differ only in how a number is written,"
    """
    names = sorted(set(names))
    return f"{join_names(map(_show, names))}, which differ only in {_name_difference(names)},"


def suggest_spelling(name: str, names: Iterable[str]) -> str:
    """Return a sentence, with a space before it, where one of the names is the same in another spelling; else nothing.

    >>> suggest_spelling("normal", ["Normal", "x"])
    " 'normal' differs from 'Normal' only in case or spaces."
    """
    same = sorted({other for other in names if other != name and spell(other) == spell(name)})
    if not same:
        return ""
    difference = _name_difference([name, *same])
    return f" {_show(name)} differs from {join_names(map(_show, same))} only in {difference}."


def spell(name: str) -> str:
    """Return one spelling for names that differ only in case, spaces, Unicode form or the writing of a number.

    >>> spell("P 007") == spell("p7"), spell("116") == spell("00000116.0"), spell("1.05") == spell("1.5")
    (True, True, False)
    """
    text = unicodedata.normalize("NFKC", "".join(name.split())).casefold()
    text = unicodedata.normalize("NFKC", text)  # case folding may split a letter again
    return _write_numbers(text)


def _write_numbers(text: str) -> str:
    """Return a text with its numbers written in one way: without leading zeros, and a whole one without a point.

    A number with a point and a signed exponent, as DICOM writes it, is written out; `12E3` may be an identifier.

    >>> _write_numbers("-01.024000E+03"), _write_numbers("1.5e-01"), _write_numbers("12E3")
    ('-1024', '0.15', '12E3')
    """
    if _POWER.fullmatch(text):
        text = f"{Decimal(text):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    number = _WHOLE.match(text)
    return f"{number['sign']}{number['digits'] or '0'}" if number else _LEADING_ZEROS.sub("", text)


def _name_difference(names: Sequence[str]) -> str:
    return _join_ways(_list_ways(names))


def _list_ways(names: Sequence[str]) -> Sequence[str]:
    """Return in what some spellings of one name may differ, as parts of a sentence."""
    if len({unicodedata.normalize("NFKC", name) for name in names}) == 1:
        return (_FORM,)
    if len({unicodedata.normalize("NFKC", "".join(name.split())).casefold() for name in names}) > 1:
        others = len({_write_numbers(unicodedata.normalize("NFKC", name)) for name in names}) > 1
        return (*(_CASE if others else ()), _NUMBER)
    return _CASE


def _join_ways(ways: Iterable[str]) -> str:
    found = set(ways)
    *first, last = [way for way in (*_CASE, _NUMBER, _FORM) if way in found]
    return f"{', '.join(first)} or {last}" if first else last


def _show(name: str) -> str:
    """Return a name in quotes; one that looks like another in its other Unicode form with its codes."""
    return repr(name) if unicodedata.is_normalized("NFC", name) else ascii(name)


def is_missing(value: str) -> bool:
    """Tell whether a value means that nothing is known, so that it is no name of a patient.

    >>> is_missing("N/A"), is_missing("unknown"), is_missing("Nana")
    (True, True, False)
    """
    return is_blank(value) or value.strip().casefold() in _NOT_KNOWN


def is_blank(value: str) -> bool:
    """Tell whether a value is what programs write for an empty one; a word such as "none" can be a class.

    >>> is_blank("NaN"), is_blank("<NA>"), is_blank("none"), is_blank("normal")
    (True, True, False, False)
    """
    return value.strip().casefold() in ("", "na", "<na>", "n/a", "#n/a", "nan", "null")


def state_group_rule(column: str) -> str:
    """Return the rule that a column with groups keeps: images without a name would each count as a patient."""
    return f"Where the column {column!r} names the groups, every row must name its group"
