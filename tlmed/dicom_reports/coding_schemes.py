"""Coding schemes as DICOM calls them: other programs find a scheme by exactly these letters (PS3.16, table 8-1)."""

# Private schemes begin with 99. A code of this one is the name of a class: it means the same in all runs.
SCHEME = "99TLMED"
SCHEME_NAME = "Names of classes and measurements of tlmed"
_NAMES = (
    *("ACR", "ASTM-sigpurpose", "BARI", "BI", "C4", "C5", "caDSR", "CD2", "CTV3", "DC", "DCM", "DCMUID", "FMA", "HPC"),
    *("I10", "I10C", "I10P", "I11", "I9", "I9C", "ICDO3", "IBSI", "IETF4646", "ISO639_1", "ISO639_2", "ISO3166_1"),
    *("ISO5218_1", "ISO_OID", "ITIS_TSN", "LN", "MA", "MAYOASRG", "MDC", "MDNS", "MGI", "MSH", "NBD", "NBG", "NCDR"),
    *("NCIt", "NDC", "NEU", "NICIP", "NPI", "NYUMCCG", "PATHLEX", "POS", "PUBCHEM_CID", "RADELEMENT", "RADLEX"),
    *("RFC3066", "RFC-3881", "RFC5646", "RO", "RRID", "RXNORM", "SCPECG", "SCT", "SNM3", "SRT", "UBERON", "UCUM"),
    *("UMLS", "UNS", "UPC", SCHEME),
)
# What people call them, and FHIR: in lower case, letters and digits alone.
_SYNONYMS = {
    **dict.fromkeys(("birads", "acrbirads"), "BI"),
    **dict.fromkeys(("cpt", "cpt4"), "C4"),
    **dict.fromkeys(("dicom", "dicomdcm"), "DCM"),
    **dict.fromkeys(("icd10", "icd10who"), "I10"),
    "icd10cm": "I10C",
    "icd10pcs": "I10P",
    "icd11": "I11",
    "icd9": "I9",
    "icd9cm": "I9C",
    "icdo": "ICDO3",
    "loinc": "LN",
    "mesh": "MSH",
    **dict.fromkeys(("nci", "ncithesaurus"), "NCIt"),
    "pubchem": "PUBCHEM_CID",
    **dict.fromkeys(("snomed", "snomedct"), "SCT"),
    "snomedrt": "SRT",
}


def spell_scheme(scheme: str) -> str:
    """Return what DICOM calls a coding scheme; one that it does not know, as it is: others may be registered elsewhere.

    >>> [spell_scheme(scheme) for scheme in ("snomed-ct", "I10c", "NCIt", "99MINE")]
    ['SCT', 'I10C', 'NCIt', '99MINE']
    """
    return _KNOWN.get(_simplify(scheme), scheme)


def _simplify(scheme: str) -> str:
    return "".join(filter(str.isalnum, scheme.lower()))


_KNOWN = {_simplify(name): name for name in _NAMES} | _SYNONYMS
