"""Columns that name the patient, study or series of each image: usual names, and others that look as if they did."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

# Usual names of a column of groups, which is taken without a question: without case, spaces, underscores, hyphens and
# dots. Of all other names and values the functions below only say that a user should be asked.
GROUPS = (
    *("group", "groupid", "patient", "patientid", "patientno", "patientnumber", "subject", "subjectid", "case"),
    *("caseid", "participant", "participantid", "mrn"),
)
CASES = ("case", "caseid")  # a patient, or one of a patient's studies; every other usual name means the patient
FEW = 12  # up to so many values are a trait, such as a site or a device, unless the column's name says otherwise
LEAST_REPEATS, MOST_REPEATS = 1, 20  # images for each value, on average, where a text without digits is a person's name
# Words for a patient in English, German, French, Spanish, Portuguese, Italian and Dutch. Those of the second list
# mean one only beside a word for a number: "fall" is a German case and an English accident, "animal" may be a species.
_PERSON = (
    r"pat|patient(s|e|en|in|innen)?|pacientes?|pazient[ei]|subj|subjects?|sujets?|sujetos?|soggett[oi]|"
    r"persons?|personen|persona|proband(en|in)?|participants?|participantes?|partecipant[ei]|teilnehmer(in)?|deelnemer"
)
_NUMBERED = rf"{_PERSON}|pt|fall|falle|cas|cases?|casos?|animals?|mouse|donors?|nhs"
_NUMBER = (
    r"(identifier|identification|identifikation|ident|ids?|uu?id|guid|idx|index|nrs?|no|nums?|numbers?|nummern?|numero|"
    r"codes?|codigo|codice|kennung|kennziffer|key|schlussel|schluessel|names?|nom|nome|pseudonym|hash|anon)"
)
_PATIENT = re.compile(
    rf"(anon(ymi[sz]ed)?|deidentified|pseudo)?({_PERSON}|p?ids?|mrn|ptid|pseudonym|({_NUMBERED}){_NUMBER}|"
    rf"(?!.*s$)(id|num|numero|nom|nombre|nome|code|codigo|codice)(de|del|du|di|do|da)?(l|la|le|el)?({_NUMBERED}))\d*"
)
_WORD = re.compile(_NUMBERED)
_IDENTIFIERS = re.compile(
    r"(id|uid|ids|nr|no|number|nummer|numero|kennung|code|name|key|patient|subject|study|series|exam|accession|session)$"
)
# Numbers under such a name are measured or counted; under any other they may be a patient's.
_QUANTITY = re.compile(
    r"(age|years?|months?|days?|date|time|weight|height|width|depth|length|size|area|volume|thickness|dose|score|grade|"
    r"stage|level|count|bmi|slices?|frames?|rows?|columns?|x|y|z|mm\d?|cm\d?|kg|ml|kvp?|mas|edad|idade|eta|leeftijd|"
    r"anos?|ans|annees?|jahre?|fecha|data|datum|peso|poids|taille|talla|hohe|breite|lange|zeit|tage|monate)$|"
    r".*(alter|datum|gewicht|grosse|groesse|volumen|flache|dosis|dicke|jahr)$|(patient|subject|person)s?(age|weight|size)$"
)
_CODE = re.compile(r"(?=.*[^\W\d_])(?=.*\d)|0\d|\d{5,}$")  # letters with digits, a leading zero, a long number
_DATE = r"\d{4}([-./])\d{1,2}\1\d{1,2}([T ].*)?$|\d{1,2}([-./])\d{1,2}\3\d{2,4}$"
_SIZE = r"\d{1,3}[YMWDymwd]$|\d+(x\d+)+$"  # an age as DICOM writes it, or pixels
_DECIMAL = r"[-+]?\d*[.,]\d+([eE][-+]?\d+)?$"
_MEASURE = re.compile(rf"{_DATE}|{_SIZE}|{_DECIMAL}")
_PADDED = re.compile(r"(?:\d+[-/_ ])+(\d{3,})$")  # such as the year and a running number, 2021-0001
_UID = re.compile(r"\d+(\.\d+){4,}$")  # as DICOM has them
_WHOLE = re.compile(r"\+?\d+([.,]0*)?$|\d+[.,]?\d*[eE]\+?\d+$")  # as spreadsheets write a whole number, too


def is_group(column: str) -> bool:
    """Tell whether a column has one of the usual names of groups, in any spelling.

    >>> is_group("Patient ID"), is_group("patient-id"), is_group("patience")
    (True, True, False)
    """
    return squeeze(column) in GROUPS


def names_patients(name: str) -> bool:
    """Tell whether the name of a column says that it is the patient's number or name, in one of several languages.

    >>> names_patients("Patientennummer"), names_patients("Pat_ID"), names_patients("numero_patient")
    (True, True, True)
    >>> names_patients("patient_age"), names_patients("image_id"), names_patients("pathology")
    (False, False, False)
    """
    return bool(_PATIENT.fullmatch(_fold(squeeze(name))))


def is_patient_word(word: str) -> bool:
    """Tell whether a word before a number means a patient, a case or the like, in one of several languages.

    >>> is_patient_word("Patient"), is_patient_word("P"), is_patient_word("Fall"), is_patient_word("image")
    (True, True, True, False)
    """
    folded = _fold(word)
    return folded in ("p", "sub") or bool(_WORD.fullmatch(folded)) or names_patients(folded)


def is_identifier(name: str, values: Sequence[str]) -> bool:
    """Tell whether a column looks like a patient, study or series of each image: many values that repeat.

    One whose name says that it is the patient's does, whatever its values are. Numbers that are measured (an age, a
    weight, a date) do not; neither do columns with few values, such as a site, nor those in which every image has a
    value of its own.

    Args:
        name: The column's.
        values: A text per image; those that mean that nothing is known may be left out.

    >>> is_identifier("station", ["17", "17", "18", "19"] * 10), is_identifier("PatID", ["17", "17", "18", "19"] * 10)
    (False, True)
    >>> numbers = [str(number) for number in range(30)] * 2
    >>> is_identifier("who", numbers), is_identifier("age_years", numbers)
    (True, False)
    """
    kinds = Counter(value for value in values if value)
    if len(kinds) < 2 or len(kinds) == kinds.total():
        return False
    if names_patients(name):
        return True
    named = bool(_IDENTIFIERS.search(_fold(squeeze(name))))
    repeats = kinds.total() / len(kinds)
    if len(kinds) <= FEW:
        return named and repeats < 5 and not _are_measures(kinds)  # a subgroup has 5 or more
    if all(map(_WHOLE.match, kinds)):
        return named or not _is_quantity(name)
    if _are_measures(kinds):
        return False
    if named or all(map(_CODE.match, kinds)):
        return True
    if any(any(map(str.isdigit, kind)) for kind in kinds):  # such as 2021-0001, 1/2021 or -12
        return not _is_quantity(name) and (min(kinds.values()) > 1 or _are_unmeasured(kinds))
    return LEAST_REPEATS < repeats <= MOST_REPEATS


def _are_measures(kinds: Collection[str]) -> bool:
    return all(map(_MEASURE.match, kinds)) and not all(map(_WHOLE.match, kinds))


def _are_unmeasured(kinds: Collection[str]) -> bool:
    """Tell whether all are unique identifiers, or end in numbers of one length, some with leading zeros."""
    if all(map(_UID.match, kinds)):
        return True
    ends = [found[1] if (found := _PADDED.match(kind)) else "" for kind in kinds]
    return all(ends) and len(set(map(len, ends))) == 1 and any(end.startswith("0") for end in ends)


def _is_quantity(name: str) -> bool:
    parts = re.split(r"[\s_\-.()\[\]]+|(?<=[a-z])(?=[A-Z])", name.strip())
    return any(_QUANTITY.match(_fold(part)) for part in (*parts, squeeze(name)))


def _fold(name: str) -> str:
    """Return a name without case and accents, as people leave them out in the names of columns."""
    return "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))


def squeeze(name: str) -> str:
    """Return a name without case, spaces, underscores, hyphens and dots.

    >>> squeeze("Patient_ID")
    'patientid'
    """
    return re.sub(r"[\s_\-.]+", "", name).casefold()
