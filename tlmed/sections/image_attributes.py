"""What images may be said to show, and made by which technique: the words that a recipe takes for it."""

# The eleven modalities of the review (Kim et al., BMC Medical Imaging 2022, 22:69).
MODALITIES = (
    *("endoscopy", "ct", "mammography", "microscopy", "mri", "oct", "pet", "photography", "sonography", "spect"),
    "x-ray",
)
# Anatomic terms of DICOM (PS3.16, context groups 4, 4030, 4031, 7166 and 8134), in lower case.
BODY_PARTS = (
    *("abdomen", "bladder", "blood", "bone marrow", "brain", "breast", "cervix", "chest", "colon", "ear"),
    *("entire body", "esophagus", "extremity", "eye", "foot", "gallbladder", "hand", "head", "heart", "hip", "kidney"),
    *("knee", "larynx", "liver", "lung", "lymph node", "mouth", "neck", "ovary", "pancreas", "pelvis", "prostate"),
    *("rectum", "shoulder", "skin", "skull", "spine", "spleen", "stomach", "thyroid", "tooth", "uterus"),
)
# The first three are DICOM's (PS3.16, context group 271), where an animal is a patient, too.
SUBJECTS = ("patient", "fetus", "specimen", "animal", "phantom")

# Other names of the same, which are too different to be found by their letters.
SYNONYMS = {
    **dict.fromkeys(("ultrasound", "ultrasonography", "echocardiography", "us"), "sonography"),
    **dict.fromkeys(("radiography", "radiograph", "cr", "dx"), "x-ray"),
    **dict.fromkeys(("histology", "histopathology", "pathology", "cytology", "slide"), "microscopy"),
    **dict.fromkeys(("dermoscopy", "dermatoscopy", "fundus", "camera"), "photography"),
    **dict.fromkeys(("colonoscopy", "gastroscopy", "laparoscopy"), "endoscopy"),
    **dict.fromkeys(("tomography", "computed tomography"), "ct"),
    **dict.fromkeys(("mammogram", "mg"), "mammography"),
    **dict.fromkeys(("magnetic resonance", "mr"), "mri"),
    **dict.fromkeys(("thorax", "thoracic"), "chest"),
    **dict.fromkeys(("cell", "tissue"), "specimen"),
    **{"retina": "eye", "bowel": "colon", "teeth": "tooth", "whole body": "entire body", "human": "patient"},
}

_IMAGES = {
    **{"endoscopy": "endoscopic images", "ct": "CT images", "mammography": "mammograms"},
    **{"microscopy": "images of a microscope", "mri": "MRI images", "oct": "OCT images", "pet": "PET images"},
    **{"photography": "photographs", "sonography": "ultrasound images", "spect": "SPECT images"},
    **{"x-ray": "X-ray images"},
}


def name_images(modality: str) -> str:
    """Return how people write images of a modality.

    >>> name_images("ct"), name_images("photography"), set(_IMAGES) == set(MODALITIES)
    ('CT images', 'photographs', True)
    """
    return _IMAGES.get(modality, f"{modality} images")
