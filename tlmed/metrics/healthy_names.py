"""Whether the name of a class is that of images without a finding, of harmless ones, or of what another one has.

Diseases have such words in their names, too: normal pressure hydrocephalus, non-small-cell carcinoma, no-reflow. So
"normal" counts only alone or beside words that name no disease, such as organs, and "non" only before one word. A name
that is not known here is not called healthy: that the positive class is the second one is said anyway.
"""

import re
import unicodedata

_UNDIVIDED = str.maketrans("łıøđ", "liod")  # letters that Unicode does not split into a letter and an accent


def _simplify(name: str) -> str:
    """Return the words of a name in lower case and without accents, with one space between."""
    letters = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    apart = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", plain)  # NoFinding
    return " ".join(re.findall(r"[^\W\d_]+", apart.casefold().translate(_UNDIVIDED)))


def _words(text: str) -> frozenset[str]:
    return frozenset(_simplify(text).split())


# Words that are part of no disease's name, so that others may stand beside them.
_HEALTHY = _words(
    "healthy unaffected uninfected undiseased asymptomatic unremarkable gesund gesunde gesunder gesundes unauff "
    "unauffällig unauffällige unauffälliger unauffälliges sain saine sains saines sano sana sanos sanas saludable "
    "saludables sani sane saudável saudáveis sadio sadia gezond gezonde saglikli saglam zdrowy zdrowa zdrowe "
    "zdrowi frisk friska friske rask raske terve zdravý zdravá zdravé zdraví zdrav egészséges sănătos sănătoasă "
    "υγιής υγιείς здоров здорова здоровый здоровая здоровые здоровий 健康 健常 sehat سليم سالم בריא स्वस्थ"
)
# Words that are: they count alone, or beside words of `_BESIDE`.
_NORMAL = _words(
    # English
    "absent benign cn control controls ctl ctrl health intact nad neg negative negatives non none norm normal "
    "normals physiologic physiological undamaged unfractured uninjured well wnl "
    # German
    "gutartig gutartige negativ negative negativer normale normaler normales Normalbefund Normalgewebe Kontrolle "
    "Kontrollen Kontrollgruppe Kontrollperson Kontrollpersonen nein "
    # French
    "normale normaux normales bénin bénigne bénins négatif négative négatifs témoin témoins contrôle contrôles "
    # Spanish, Italian, Portuguese
    "normales benigno benigna benignos negativo negativa negativos nada ninguno ninguna normale normali negativi "
    "controllo controlli nessuno normais nenhum nenhuma controle "
    # Dutch, Turkish
    "normaal goedaardig goedaardige negatief nee kontrol hayir "
    # Polish
    "normalny normalna normalne norma normie prawidłowy prawidłowa prawidłowe łagodny łagodna łagodne negatywny "
    "kontrola "
    # Swedish, Danish, Norwegian, Finnish
    "normalt godartad godartet kontroll nej nei normaali "
    # Hungarian, Greek, Russian
    "normální normális φυσιολογικό норма нормальный контроль "
    # Chinese, Japanese, Korean, Arabic, Persian, Hebrew, Hindi, Thai
    "正常 良性 阴性 陰性 异常なし 異常なし 所見なし 未见异常 未見異常 정상 음성 이상없음 طبيعي حميد سلبي نرمال תקין "
    "שלילי सामान्य ปกติ"
)
_WHOLE = frozenset(map(_simplify, ("o. B.", "NOR", "bình thường", "이상 없음")))
# Organs, pictures, people and harmless growths. No word of this list turns "normal" or "benign" into a disease.
_BESIDE = _words(
    # Organs and tissues
    "abdomen bladder bone bones bowel brain breast cecum cell cells cervix chest clean colon columnar cord cords "
    "cornea cortex duodenum ear epithelial epithelium esophagus oesophagus eye eyes foot fundus gastric "
    "gastroesophageal hand head heart hip ileum intermediate intestine iris joint junction kidney knee large "
    "larynx leg liver lung lungs lymph macula mucosa mucosal muscle nail neck nerve node nodes oral ovary "
    "pancreas prostate pylorus rectum region retina rhythm shoulder sinus skin small smooth spine squamous "
    "stomach stroma superficial superficiel teeth terminal throat thyroid tissue tongue tooth uterus vascular "
    "vocal wrist "
    # Pictures
    "angiogram appearance area beat beats ct cxr ecg histology image images line mammogram mri oct pattern photo "
    "picture pictures radiograph ray rays result scan scans screen slice smear ultrasound us view xray "
    # People and lists
    "adult adults case cases class cognitively donor donors finding findings group limits patient patients people "
    "person persons sample samples solid adjacent specimen subject subjects variant variants volunteer volunteers "
    "and at for in of on or the type within only "
    # What is called benign
    "calcification calcifications callback cyst cysts growth lesion lesions mass masses neoplasm nodule nodules "
    "polyp polyps tumor tumors tumour tumours without "
    # German, French, Spanish, Italian, Portuguese, Dutch
    "Befund Befunde Bild Bilder Brust Fall Fälle Gewebe Gruppe Haut Lunge Personen Patienten cas groupe peau "
    "poumon poumons sein sujet sujets tissu tissus caso casos de del da do di grupo imagen imagenes mama paciente "
    "pacientes piel pulmon pulmones tejido gruppo pelle polmone polmoni tessuto tecido pele pulmão groep huid "
    "weefsel a b c d e f g h i j k l m o p q r s t u v w x y z"
)
# Words that negate those after them. Those of the second group mean something else when alone, such as SEM.
_DENIALS = re.compile(
    r"(?:no|not|nothing|without|ohne|sans|senza|zonder|bez|uden|uten|utan|без|keine?|keinen|aucune?|ningun|nessuna?|"
    r"nao|geen|nie|brak|ingen|inga|нет)\b"
    r"|(?:nicht|sin|sem|niet|inte|ikke|fara|не)(?= )"
    r"|pas (?=de |d |normale?s?\b|saine?s?\b)"  # not PAS, a stain
    r"|no(?=(?:tumou?rs?|findings?|cancer|disease|lesions?|fractures?|diabetic)\b)"  # notumor
    r"|not(?=(?:fractured|infected)\b)"
    r"|[无無](?=\S)"
)
_DENIED_BEFORE = re.compile(r"(?P<rest>.+) (?:degil|yok|olmayan)")  # Turkish denies the words before it
_NON = re.compile(r"non ?(?=\S{2})")
_FREE = re.compile(r".+ (?:free|absent)|negative for .+")
_NEGATIVE = re.compile(r"(?!false|true|triple|double|gram).+ neg(?:ativ|ative|ativo|ativa|atif|atief)?")
_HAVING = re.compile(r"(?:with|mit|avec|con|med) ")
# Where one of these is denied, nothing is said to be healthy: it is good and missing, or cannot be judged.
_GOOD_OR_UNKNOWN = _words(
    "adherent compaction compressible contrast flow healed healing improvement perfused perfusion recovered "
    "recovery reflow remission responder responders response survival survivor survivors union uptake viability "
    "viable answer applicable assessable available classified data determined diagnostic evaluable gradable "
    "identified image informative known label labels otherwise quality readable specified sufficient sure usable "
    "visible"
)
# Names of diseases, cut after "non".
_DISEASE = _words(
    "alcoholic displaced enhancing functioning hodgkin hodgkins ischaemic ischemic keratinizing ossifying "
    "proliferative segmental seminoma seminomatous small smallcell solid specific stemi tuberculous"
)
# Before "no" or "non" they say what kind of picture it is.
_PICTURE = re.compile(r"(?:ct|cxr|mri|oct|us|xray|class|image) (?=non?\b)")
_HARM = _words("cancerous malignant neoplastic pathologic pathological referable significant suspicious")


def sounds_healthy(name: str) -> bool:
    """Say whether a class's name, in one of many languages, is that of images without a finding or harmless ones.

    >>> [sounds_healthy(name) for name in ("Normal", "no_finding", "NoFinding", "healthy controls", "HIV-negative")]
    [True, True, True, True, True]
    >>> [sounds_healthy(name) for name in ("abnormal", "not normal", "unhealthy", "Node", "normal tension glaucoma")]
    [False, False, False, False, False]
    >>> [sounds_healthy(name) for name in ("Ohne Befund", "SAUDÁVEL", "zdrowy", "nicht gesund", "insano")]
    [True, True, True, False, False]
    """
    words = _PICTURE.sub("", _simplify(name))
    if found := _DENIED_BEFORE.fullmatch(words):
        return _denies_harm(found["rest"].split())
    if found := _DENIALS.match(words):
        return _denies_harm(words[found.end() :].split())
    if found := _NON.match(words):
        return _is_without(words[found.end() :].split())
    return _is_normal(words)


def denies(name: str, other: str) -> bool:
    """Say whether a class's name is that of another class with a "no" before it, healthy or not.

    >>> denies("no_contrast", "contrast"), denies("without contrast", "with contrast"), denies("non-Hodgkin", "Hodgkin")
    (True, True, False)
    """
    words, had = _simplify(name), _HAVING.sub("", _simplify(other))
    if found := _DENIALS.match(words):
        return words[found.end() :].strip() == had
    found = _NON.match(words)
    return bool(found) and words[found.end() :] == had and had.split()[0] not in _DISEASE


def _denies_harm(denied: list[str]) -> bool:
    return (_HEALTHY | _NORMAL | _GOOD_OR_UNKNOWN).isdisjoint(denied)


def _is_without(denied: list[str]) -> bool:
    """Tell whether what follows "non" is a single word, beside organs and the like, and no part of a disease's name."""
    core = [word for word in denied if word not in _BESIDE or word == denied[0]]
    return _denies_harm(denied) and denied[0] not in _DISEASE and (len(core) == 1 or denied[0] in _HARM)


def _is_normal(words: str) -> bool:
    parts = set(words.split())
    if words in _WHOLE or not _HEALTHY.isdisjoint(parts) or _FREE.fullmatch(words) or _NEGATIVE.fullmatch(words):
        return True
    if words.endswith(" n") and parts - {"n"} <= _BESIDE:  # lung_n
        return True
    return not _NORMAL.isdisjoint(parts) and parts <= _NORMAL | _BESIDE
