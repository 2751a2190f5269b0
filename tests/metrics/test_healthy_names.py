"""Names of classes in public data sets, and of diseases that have a word such as "normal" or "non" in them.

What is listed as not healthy includes harmless classes whose names do not say so, such as HAM10000's `nv`.
"""

import pytest

from tlmed.metrics import describe_default, say_positive
from tlmed.metrics.healthy_names import sounds_healthy

HEALTHY = {
    "BUSI": ["normal", "benign"],
    "ISIC archive": ["benign"],
    "CheXpert, NIH ChestX-ray14, MIMIC-CXR": ["No Finding"],
    "VinDr-CXR, VinDr-SpineXR": ["No finding"],
    "LC25000": ["colon_n", "lung_n"],
    "BreakHis, BreastMNIST, LUNA16": ["benign", "normal, benign", "non-nodule"],
    "OCT2017": ["NORMAL"],
    "APTOS 2019, IDRiD, Messidor": ["No DR", "No_DR", "Nodiabetic_Retinopathy"],
    "PathMNIST, NCT-CRC-HE-100K": ["normal colon mucosa", "NORM"],
    "Kvasir": ["normal-cecum", "normal-pylorus", "normal-z-line"],
    "Kvasir-Capsule": ["Normal clean mucosa"],
    "GastroVision": [
        "Normal mucosa and vascular pattern in the large bowel",
        "Normal stomach",
        "Normal esophagus",
        "Gastroesophageal_junction_normal z-line",
    ],
    "Brain tumour MRI (Nickparvar; Sartaj; Br35H)": ["notumor", "no_tumor", "no"],
    "COVID-19 Radiography": ["Normal"],
    "COVID-CT, SARS-COV-2 CT-scan": ["CT_NonCOVID", "non-COVID"],
    "NIH malaria": ["Uninfected"],
    "PCam, Camelyon17": ["normal", "negative"],
    "TBX11K": ["health", "Healthy"],
    "OASIS, ADNI": ["NonDemented", "Non_Demented", "CN", "Cognitively Normal"],
    "MURA": ["negative"],
    "CBIS-DDSM": ["BENIGN", "BENIGN_WITHOUT_CALLBACK"],
    "PTB-XL, ACDC": ["NORM", "NOR"],
    "REFUGE, LAG": ["Non-Glaucoma", "non_glaucoma"],
    "FracAtlas, bone fracture X-rays": ["Non_fractured", "not fractured"],
    "IQ-OTH/NCCD": ["Normal cases"],
    "Knee OA severity": ["0Normal"],
    "Herlev": ["normal_superficiel", "normal_intermediate", "normal_columnar"],
    "AdrenalMNIST3D": ["normal"],
    "IDC": ["non-IDC"],
    "Oral cancer": ["NON CANCER"],
    "Fitzpatrick17k": ["non-neoplastic"],
    "ABIDE, autism faces": ["Control", "Non_Autistic"],
    "TCGA": ["Solid Tissue Normal"],
    "notes and tables": [
        *("o.B.", "o. B.", "oB", "unauff.", "unauff", "unauffälliger Befund", "ohne", "sans", "without"),
        *(
            "unremarkable",
            "wnl",
            "WNL",
            "ctrl",
            "Ctrl",
            "Well",
            "intact",
            "tumor absent",
            "disease-free",
            "nonmalignant",
        ),
        *("HIV-negative", "COVID-19 negative", "negative for TB", "nothing abnormal", "healthy smoker", "nondiabetic"),
        *(
            "Kontrollgruppe",
            "kein Tumor",
            "nicht krank",
            "sin hallazgos",
            "pas de lésion",
            "sem lesão",
            "senza lesioni",
        ),
        *(
            "geen afwijking",
            "brak zmian",
            "нет патологии",
            "无病变",
            "未见异常",
            "異常なし",
            "bình thường",
            "bulgu yok",
        ),
        "سليم",
    ],
}
OTHERS = {
    "BUSI, ISIC": ["malignant", "indeterminate"],
    "HAM10000, DermaMNIST": [
        *("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc", "benign keratosis-like lesions", "melanocytic nevi"),
        "Benign keratosis",
    ],
    "CheXpert, NIH": ["Enlarged Cardiomediastinum", "Nodule", "Support Devices", "Infiltration", "Pleural_Thickening"],
    "RSNA pneumonia": ["No Lung Opacity / Not Normal", "Lung Opacity"],
    "LC25000": ["colon_aca", "lung_aca", "lung_scc"],
    "BreakHis": ["adenosis", "fibroadenoma", "phyllodes_tumor", "tubular_adenoma", "mucinous_carcinoma"],
    "OCT2017": ["CNV", "DME", "DRUSEN"],
    "APTOS 2019, IDRiD": [
        "Mild",
        "Proliferative DR",
        "Mild NPDR",
        "Non-proliferative DR",
        "NPDR",
        "Mild Non-Proliferative",
    ],
    "MedMNIST": [
        *(
            "background",
            "cancer-associated stroma",
            "smooth muscle",
            "neutrophil",
            "nondisplaced rib fracture",
            "hyperplasia",
        ),
        *("displaced rib fracture", "aneurysm", "Collecting Duct, Connecting Tubule", "immature granulocytes"),
    ],
    "Kvasir, GastroVision": [
        "dyed-lifted-polyps",
        "ulcerative-colitis",
        "Resected polyps",
        "Accessory tools",
        "Pylorus",
    ],
    "Brain tumour MRI": ["glioma", "meningioma_tumor", "pituitary", "yes"],
    "COVID-19 Radiography": ["COVID", "Viral Pneumonia", "non-COVID pneumonia"],
    "malaria, PCam, Camelyon17": ["Parasitized", "tumor", "itc", "macro"],
    "TBX11K": ["sick", "tb", "Sick but non-TB"],
    "OASIS": ["VeryMildDemented", "ModerateDemented", "Demented"],
    "C-NMC, UBC-OCEAN": ["all", "hem", "HGSC", "CC"],
    "PAD-UFES-20, SICAPv2": ["NEV", "ACK", "G3"],
    "IQ-OTH/NCCD, chest CT": ["Malignant cases", "large.cell.carcinoma_left.hilum"],
    "BACH": ["InSitu", "Invasive"],
    "BraTS": ["non-enhancing tumor", "NET"],
    "clinic": [
        *("normal pressure hydrocephalus", "normal_tension_glaucoma", "Normal-Pressure-Hydrocephalus", "NPH"),
        *("non-Hodgkin", "non-Hodgkin lymphoma", "Non-Hodgkin's", "non-small-cell", "NonSmallCell", "nonsmall cell"),
        *("non-small cell lung cancer", "no-reflow", "no flow", "non-union", "nonunion", "nonspecific", "NSIP"),
        *("nonspecific interstitial pneumonia", "nonalcoholic steatohepatitis", "non-ossifying fibroma", "NSTEMI"),
        *("non-mass enhancement", "non-calcified plaque", "non-melanoma skin cancer", "non-responder", "non-survivor"),
        *("triple negative", "triple-negative breast cancer", "gram negative", "false negative", "not viable"),
        *("benign prostatic hyperplasia", "abnormal", "not normal", "unhealthy", "anormal"),
        *(
            "nicht gesund",
            "pas normal",
            "normal değil",
            "insano",
            "no label",
            "not gradable",
            "Normal/abnormal",
            "Node",
        ),
        *("well differentiated", "out of control", "uncontrolled", "SEM", "PAS positive"),
    ],
}


def spread(table):
    return [(name, source) for source, names in table.items() for name in names]


@pytest.mark.parametrize(("name", "source"), spread(HEALTHY))
def test_names_of_healthy_classes_are_known(name, source):
    assert sounds_healthy(name), source


@pytest.mark.parametrize(("name", "source"), spread(OTHERS))
def test_no_disease_is_called_healthy(name, source):
    assert not sounds_healthy(name), source


def test_the_tables_name_many_classes():
    assert min(len(spread(HEALTHY)), len(spread(OTHERS))) > 80


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (("hydrocephalus", "normal pressure hydrocephalus"), False),
        (("Hodgkin", "non-Hodgkin"), False),
        (("mit", "ohne"), True),
        (("Befund", "o.B."), True),
        (("Sick", "Well"), True),
        (("case", "ctrl"), True),
    ],
)
def test_a_default_is_told_by_the_whole_name(classes, told):
    assert bool(describe_default(classes, None)) == told


@pytest.mark.parametrize(
    ("classes", "positive", "said"),
    [
        (["benign", "malignant"], "malignant", "malignant, the second in sorted order"),
        (["benign", "malignant"], "benign", "benign, as asked for"),
        (["9", "10"], "10", "10, the second in sorted order"),
        (["abnormal", "normal"], "abnormal", "abnormal, as asked for"),
        (["{a}", "{b}"], "{b}", "{b}, the second in sorted order"),
        (["ill", "well"], "well", "well, the second in sorted order, though its name sounds like the healthy one"),
    ],
)
def test_why_a_class_is_positive_is_said_wherever_it_is_named(classes, positive, said):
    assert say_positive(classes, positive) == said
    assert say_positive(classes, positive, form="; {}.") == f"; {said}."
    assert say_positive(classes, positive, asked=True) == f"{positive}, as asked for"
    assert say_positive([*classes, "x"], None, form="; {}.") == ""
