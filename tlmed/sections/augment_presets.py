"""Presets of augmentation: for each kind of image what is changed, how far, why, and by which source.

A preset that was released keeps its values, because recipes and reports name it; a better one gets a name of its own.
"""

from dataclasses import dataclass

from tlmed.errors import did_you_mean
from tlmed.sections.image_attributes import SYNONYMS

SOURCES = {
    "Asperti 2018": "Asperti & Mastronardo, The effectiveness of data augmentation for detection of gastrointestinal "
    "diseases from endoscopical images, BIOIMAGING 2018",
    "Buddenkotte 2024": "Buddenkotte & Buchert, Unrealistic data augmentation improves the robustness of deep "
    "learning-based classification of dopamine transporter SPECT, Journal of Nuclear Medicine 2024, "
    "doi:10.2967/jnumed.124.267570",
    "COVID-Net": "Wang, Lin & Wong, COVID-Net, Scientific Reports 2020, 10:19549; the values are those of `data.py` in "
    "the repository lindawangg/COVID-Net, without its mirroring",
    "DeepDRiD": "Liu et al., DeepDRiD: diabetic retinopathy - grading and image quality estimation challenge, Patterns "
    "2022, 3:100512, table 5",
    "Garcea 2023": "Garcea et al., Data augmentation for medical imaging: a systematic literature review, Computers in "
    "Biology and Medicine 2023, 152:106391",
    "Gudbjartsson 1995": "Gudbjartsson & Patz, The Rician distribution of noisy MRI data, Magnetic Resonance in "
    "Medicine 1995, 34:910",
    "Kuwayama 2019": "Kuwayama et al., Automated detection of macular diseases by optical coherence tomography and "
    "artificial intelligence machine learning, Journal of Ophthalmology 2019, 6319581",
    "Loupas 1989": "Loupas, McDicken & Allan, An adaptive weighted median filter for speckle suppression in medical "
    "ultrasonic images, IEEE Transactions on Circuits and Systems 1989, 36:129",
    "MURA": "Rajpurkar et al., MURA: large dataset for abnormality detection in musculoskeletal radiographs, "
    "arXiv:1712.06957",
    "nnU-Net": "Isensee et al., nnU-Net, Nature Methods 2021, 18:203; the values are those of `nnUNetTrainer.py` in "
    "the repository MIC-DKFZ/nnUNet",
    "Perez 2018": "Perez et al., Data augmentation for skin lesion analysis, ISIC workshop at MICCAI 2018, "
    "arXiv:1809.01442",
    "Radiology reversal 2025": "Generalizable AI approach for detecting projection type and left-right reversal in "
    "chest X-rays, Radiological Physics and Technology 2025, doi:10.1007/s12194-025-00914-1",
    "Sanchez-Peralta 2020": "Sánchez-Peralta et al., Unravelling the effect of data augmentation transformations in "
    "polyp segmentation, International Journal of Computer Assisted Radiology and Surgery 2020, 15:1975",
    "Senaras 2018": "Senaras et al., DeepFocus: detection of out-of-focus regions in whole slide digital images using "
    "deep learning, PLoS ONE 2018, 13:e0205387",
    "Shen 2019": "Shen et al., Deep learning to improve breast cancer detection on screening mammography, Scientific "
    "Reports 2019, 9:12495; the values are those of `image_clf_train.py` in the repository lishen/end2end-all-conv",
    "Tellez 2018": "Tellez et al., Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference to "
    "train distilled stain-invariant convolutional networks, IEEE Transactions on Medical Imaging 2018, 37:2126",
    "Tellez 2019": "Tellez et al., Quantifying the effects of data augmentation and stain color normalization in "
    "convolutional neural networks for computational pathology, Medical Image Analysis 2019, 58:101544",
    "Tupper 2025": "Tupper & Gagné, Revisiting data augmentation for ultrasound images, arXiv:2501.13193",
    "Veeling 2018": "Veeling et al., Rotation equivariant CNNs for digital pathology, MICCAI 2018, arXiv:1806.03962",
}


@dataclass(frozen=True)
class Choice:
    """A field of `Augment` in a preset.

    Attributes:
        field: Its name.
        value: Its value.
        reason: Why, in a sentence.
        source: A key of `SOURCES`.
    """

    field: str
    value: str | float
    reason: str
    source: str


_SIDED = "Organs have their side, so a mirrored image shows a body that is hardly ever seen."
_POSITION = "Patients do not lie or stand quite straight."
_SIZE = "Bodies and fields of view differ in size."
_WINDOW = "Devices differ in how they spread grey levels."
_ANY_ANGLE = "A section has no top: it can lie under the microscope in any way."
_FOCUS = "Scanners leave regions out of focus."

PRESETS = {
    "chest-x-ray": (
        Choice("flip", "none", "The heart lies on the left; a mirrored film is an error.", "Radiology reversal 2025"),
        Choice("rotation", 0.028, f"{_POSITION} 10 degrees.", "COVID-Net"),
        Choice("zoom", 0.15, _SIZE, "COVID-Net"),
        Choice("brightness", 0.1, "Exposure differs from film to film.", "COVID-Net"),
        Choice("contrast", 0.25, _WINDOW, "nnU-Net"),
    ),
    "x-ray": (
        Choice("flip", "horizontal", "A right hand mirrored looks like a left one, with the same findings.", "MURA"),
        Choice("rotation", 0.083, "Limbs are laid down at many angles; 30 degrees.", "MURA"),
        Choice("brightness", 0.1, "Exposure differs from film to film.", "COVID-Net"),
        Choice("contrast", 0.25, _WINDOW, "nnU-Net"),
    ),
    "mammography": (
        Choice("flip", "both", "One breast mirrors the other, and tissue has no fixed direction.", "Shen 2019"),
        Choice("rotation", 0.069, "The breast is positioned by hand; 25 degrees.", "Shen 2019"),
        Choice("zoom", 0.2, _SIZE, "Shen 2019"),
        Choice("brightness", 0.078, "Exposure differs; 20 of 255 grey levels.", "Shen 2019"),
    ),
    "ct": (
        Choice("flip", "none", _SIDED, "Garcea 2023"),
        Choice("rotation", 0.042, f"{_POSITION} 15 degrees.", "nnU-Net"),
        Choice("zoom", 0.2, _SIZE, "nnU-Net"),
        Choice("brightness", 0.0, "After a fixed window a grey level is a number of Hounsfield units.", "Garcea 2023"),
        Choice("blur", 1.0, "Reconstruction kernels are softer or sharper.", "nnU-Net"),
        Choice("noise", 0.05, "Noise depends on the dose.", "nnU-Net"),
    ),
    "mri": (
        Choice("flip", "none", _SIDED, "Garcea 2023"),
        Choice("rotation", 0.042, f"{_POSITION} 15 degrees.", "nnU-Net"),
        Choice("zoom", 0.2, _SIZE, "nnU-Net"),
        Choice("contrast", 0.25, "The signal has no unit, and scanners scale it as they like.", "nnU-Net"),
        Choice("gamma", 0.5, "Sequences and scanners differ in contrast between tissues.", "nnU-Net"),
        Choice("noise", 0.05, "Noise is nearly Gaussian where there is signal.", "Gudbjartsson 1995"),
    ),
    "oct": (
        Choice(
            *("flip", "horizontal"),
            "Left to right the other eye looks nearly so; top to bottom the layers of the retina would be reversed.",
            "Kuwayama 2019",
        ),
        Choice("rotation", 0.028, "The retina is tilted in the scan; 10 degrees.", "Kuwayama 2019"),
        Choice("contrast", 0.25, _WINDOW, "nnU-Net"),
        Choice("speckle", 0.06, "Coherent light gives speckle, as coherent sound does.", "Loupas 1989"),
    ),
    "pet": (
        Choice("flip", "none", _SIDED, "Garcea 2023"),
        Choice("rotation", 0.042, f"{_POSITION} 15 degrees.", "nnU-Net"),
        Choice("brightness", 0.0, "After a fixed window a grey level is an amount of uptake.", "Garcea 2023"),
        Choice("blur", 1.0, "Scanners and filters differ in resolution.", "Buddenkotte 2024"),
        Choice("noise", 0.05, "Noise depends on dose and time.", "Buddenkotte 2024"),
    ),
    "spect": (
        Choice("flip", "none", _SIDED, "Garcea 2023"),
        Choice("rotation", 0.042, f"{_POSITION} 15 degrees.", "nnU-Net"),
        Choice("brightness", 0.0, "After a fixed window a grey level is an amount of uptake.", "Garcea 2023"),
        Choice("blur", 2.0, "Cameras differ in resolution, more than in PET.", "Buddenkotte 2024"),
        Choice("noise", 0.1, "Few counts are noisy.", "Buddenkotte 2024"),
    ),
    "sonography": (
        Choice(
            *("flip", "horizontal"),
            "The probe may be turned round; top to bottom shadows would fall towards the probe.",
            "Tupper 2025",
        ),
        Choice("rotation", 0.028, "The probe is tilted; 10 degrees.", "Tupper 2025"),
        Choice("zoom", 0.1, "The depth of the image is set by hand.", "Tupper 2025"),
        Choice("brightness", 0.1, "The gain is set by hand.", "Tupper 2025"),
        Choice("contrast", 0.25, "The dynamic range is set by hand.", "Tupper 2025"),
        Choice("speckle", 0.08, "In a displayed image speckle grows with the root of the signal.", "Loupas 1989"),
    ),
    "endoscopy": (
        Choice("flip", "both", "The endoscope turns in the body: an image has no top.", "Asperti 2018"),
        Choice("rotation", 0.5, "The endoscope turns in the body: any angle.", "Sanchez-Peralta 2020"),
        Choice("brightness", 0.2, "The lamp is near or far.", "Sanchez-Peralta 2020"),
        Choice("contrast", 0.2, "Light and processor differ.", "Sanchez-Peralta 2020"),
        Choice("blur", 1.0, "Frames are blurred by movement.", "Sanchez-Peralta 2020"),
    ),
    "photography": (
        Choice("flip", "none", "A photograph may show a side of the body.", "Garcea 2023"),
        Choice("rotation", 0.042, "The camera is held by hand; 15 degrees.", "Garcea 2023"),
        Choice("contrast", 0.2, "Light differs from room to room.", "Perez 2018"),
        Choice("brightness", 0.2, "Light and exposure differ.", "Perez 2018"),
        Choice("gamma", 0.2, "Cameras render tones differently.", "Perez 2018"),
        Choice("blur", 1.0, "Focus and hand are not always steady.", "Garcea 2023"),
    ),
    "dermoscopy": (
        Choice("flip", "both", "A lesion has no top and no side.", "Perez 2018"),
        Choice("rotation", 0.5, "The dermatoscope is put on at any angle.", "Perez 2018"),
        Choice("zoom", 0.2, "Lesions are taken from nearer or farther.", "Perez 2018"),
        Choice("contrast", 0.3, "Dermatoscopes differ in light.", "Perez 2018"),
        Choice("brightness", 0.15, "Dermatoscopes differ in light.", "Perez 2018"),
    ),
    "fundus": (
        Choice("flip", "horizontal", "Mirrored left to right, one eye looks nearly like the other.", "DeepDRiD"),
        Choice("rotation", 0.083, "Head and camera are tilted; 30 degrees.", "DeepDRiD"),
        Choice("contrast", 0.2, "Cameras and pupils differ.", "Perez 2018"),
        Choice("brightness", 0.1, "The flash is stronger or weaker.", "Perez 2018"),
    ),
    "microscopy": (
        Choice("flip", "both", _ANY_ANGLE, "Veeling 2018"),
        Choice("rotation", 0.5, _ANY_ANGLE, "Veeling 2018"),
        Choice("contrast", 0.2, "Stain and lamp differ.", "Tellez 2019"),
        Choice("brightness", 0.1, "The lamp differs.", "Tellez 2019"),
        Choice("blur", 1.0, _FOCUS, "Senaras 2018"),
    ),
    "histology": (
        Choice("flip", "both", _ANY_ANGLE, "Veeling 2018"),
        Choice("rotation", 0.5, _ANY_ANGLE, "Veeling 2018"),
        Choice("stain", 0.05, "Laboratories stain with more or less haematoxylin and eosin.", "Tellez 2018"),
        Choice("blur", 1.0, _FOCUS, "Senaras 2018"),
    ),
}


def preset_values(name: str) -> dict[str, str | float]:
    """Return the fields that a preset sets.

    >>> preset_values("histology")
    {'flip': 'both', 'rotation': 0.5, 'stain': 0.05, 'blur': 1.0}
    """
    return {choice.field: choice.value for choice in PRESETS[name]}


_SYNONYMS = {**SYNONYMS, "histopathology": "histology", "pathology": "histology", "dermatoscopy": "dermoscopy"}


def suggest_preset(name: object) -> str:
    """Return the sentence for a name that is no preset: the nearest one, or all.

    >>> suggest_preset("chest-xray")
    "There must be such a preset of augmentation. Did you mean 'chest-x-ray'?"
    """
    near = did_you_mean(name, PRESETS, _SYNONYMS) or f" Choose from {', '.join(PRESETS)}."
    return f"There must be such a preset of augmentation.{near}"
