"""Which class is the positive one, and whether its name sounds like a healthy one."""

import re
import shlex
import unicodedata
from collections.abc import Sequence

from tlmed.columns import order_classes
from tlmed.errors import InputError, did_you_mean

_UNDIVIDED = str.maketrans("łıøđ", "liod")  # letters that Unicode does not split into a letter and an accent


def _simplify(name: str) -> str:
    """Return the words of a name in lower case and without accents, with one space between."""
    letters = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    apart = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", plain)  # NoFinding
    return " ".join(re.findall(r"[^\W\d_]+", apart.casefold().translate(_UNDIVIDED)))


_HEALTHY = frozenset(
    _simplify(
        # English
        "benign control controls healthy neg negative negatives none normal nothing unaffected uninfected "
        # German
        "gesund gesunde gesunder gesundes gutartig gutartige normale normaler normales Normalbefund negativ negative "
        "negativer Kontrolle Kontrollen nein unauffällig unauffällige unauffälliger unauffälliges "
        # French
        "sain saine sains saines normale normaux normales bénin bénigne bénins négatif négative négatifs témoin "
        "témoins contrôle contrôles "
        # Spanish, Italian, Portuguese
        "sano sana sanos sanas saludable saludables normales benigno benigna benignos negativo negativa negativos nada "
        "ninguno ninguna sani sane normale normali negativi controllo controlli nessuno saudável saudáveis sadio sadia "
        "normais nenhum nenhuma controle "
        # Dutch, Turkish
        "gezond gezonde normaal goedaardig goedaardige negatief nee saglikli saglam kontrol hayir "
        # Polish
        "zdrowy zdrowa zdrowe zdrowi normalny normalna normalne norma normie prawidłowy prawidłowa prawidłowe łagodny "
        "łagodna łagodne negatywny kontrola "
        # Swedish, Danish, Norwegian, Finnish
        "frisk friska friske rask raske normalt godartad godartet kontroll nej nei terve normaali "
        # Czech and its neighbours, Hungarian, Romanian, Greek
        "zdravý zdravá zdravé zdraví zdrav normální egészséges sănătos sănătoasă υγιής υγιείς φυσιολογικό "
        # Russian, Ukrainian
        "здоров здорова здоровый здоровая здоровые здоровий норма нормальный контроль "
        # Chinese, Japanese, Korean
        "正常 健康 健常 良性 阴性 陰性 정상 음성"
    ).split()
)
# Words that negate those after them. Those of the second group mean something else when alone, such as SEM.
_DENIALS = re.compile(
    r"(?:no|non|not|without|keine?|keinen|aucune?|ningun|nessuna?|nao|geen|nie|brak|ingen|inga|нет)\b"
    r"|(?:nicht|ohne|sans|sin|senza|sem|niet|zonder|bez|inte|ikke|uden|uten|utan|fara|без|не)(?= )"
    r"|pas (?:de|d|normale?s?|saine?s?)\b"  # not PAS, a stain
    r"|.+ (?:degil|yok|olmayan)$"  # Turkish denies the words before it
)


def positive_index(classes: Sequence[str], positive: str | None = None) -> int | None:
    """Return which of two classes is the positive one; None if there are more than two.

    Args:
        classes: The names of the classes, in the order of the scores.
        positive: The positive class, by default the second of two in the order of `order_classes`.

    Raises:
        InputError: If `positive` is not one of the classes, or is given for more than two.

    >>> positive_index(["malignant", "benign"]), positive_index(["a", "b", "c"])
    (0, None)
    >>> positive_index(["9", "10"])
    1
    """
    names = list(classes)
    if positive is not None and positive not in names:
        raise InputError(
            f"`positive` must be one of {', '.join(map(repr, names))}.{did_you_mean(positive, names)} "
            f"Received: positive={positive!r}."
        )
    if positive is not None and len(names) != 2:
        raise InputError(
            f"`positive` needs exactly two classes; of {len(names)}, each is scored against the rest. "
            f"Received: positive={positive!r}."
        )
    if len(names) != 2:
        return None
    return names.index(order_classes(names)[1] if positive is None else positive)


def sounds_healthy(name: str) -> bool:
    """Say whether a class's name, by its whole words in one of many languages, is that of images without a finding.

    >>> [sounds_healthy(name) for name in ("Normal", "no_finding", "NoFinding", "healthy controls", "HIV-negative")]
    [True, True, True, True, True]
    >>> [sounds_healthy(name) for name in ("abnormal", "not normal", "unhealthy", "Node", "1")]
    [False, False, False, False, False]
    >>> [sounds_healthy(name) for name in ("Ohne Befund", "SAUDÁVEL", "zdrowy", "nicht gesund", "insano")]
    [True, True, True, False, False]
    """
    words = _simplify(name)
    is_denied, has_word = bool(_DENIALS.match(words)), not _HEALTHY.isdisjoint(words.split())
    return is_denied != has_word  # no finding, but not normal


def describe_default(classes: Sequence[str], positive: str | None, option: str = "--positive") -> list[str]:
    """Return a sentence if the class that is positive by default sounds like the healthy one.

    Args:
        classes: The names of the classes.
        positive: The positive class that was asked for; None: the default.
        option: The option that makes the other class positive.

    >>> print(describe_default(["abnormal", "normal"], None)[0].partition("order, ")[2])
    and its name sounds like the healthy one. If 'abnormal' is what is looked for: `--positive abnormal`.
    >>> describe_default(["abnormal", "normal"], "normal"), describe_default(["healthy", "sick"], None)
    ([], [])
    """
    main = positive_index(classes) if positive is None else None
    if main is None or not sounds_healthy(classes[main]):
        return []
    other = classes[1 - main]
    return [
        f"The positive class is {classes[main]!r}, by default the second in sorted order, and its name sounds like the "
        f"healthy one. If {other!r} is what is looked for: `{option} {shlex.quote(other)}`."
    ]
