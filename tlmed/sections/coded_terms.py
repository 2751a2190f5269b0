"""Codes of medical terms, as a recipe states them for its classes: code, coding scheme and meaning."""

# Characters of a long code (UC), of a scheme's name (SH) and of a meaning (LO) in DICOM (PS3.3, 8.8). A code may be
# longer there; none of SNOMED CT, LOINC, RadLex or ICD is.
_LONGEST = (64, 16, 64)


def is_code(parts: tuple[str, ...]) -> bool:
    """Tell whether texts are a code, its scheme and its meaning.

    >>> is_code(("86049000", "SCT", "Malignant neoplasm")), is_code(("86049000", "", "Malignant neoplasm"))
    (True, False)
    """
    return len(parts) == len(_LONGEST) and all(
        0 < len(part) <= most and part == part.strip() and part.isprintable() and "\\" not in part
        for part, most in zip(parts, _LONGEST, strict=True)
    )
