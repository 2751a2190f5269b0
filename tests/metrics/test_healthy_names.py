"""Names of classes in public data sets, and of diseases that have a word such as "normal" or "non" in them.

What is listed as not healthy includes harmless classes whose names do not say so, such as HAM10000's `nv`.

Sources: MedMNIST's own `medmnist/info.py` (2.1.0), all of its classes; the sources' own folders and tables for BUSI,
OCT2017's chest X-rays and NIH ChestX-ray14; public code that reads the set for APTOS, CBIS-DDSM, chest CT, COVID-CT,
FracAtlas, GastroVision, Herlev, IDC, Kvasir-Capsule, knee OA, LAG, OASIS, oral cancer, RSNA pneumonia, TBX11K and TCGA.
"notes and tables", "gradings of diabetic retinopathy" and "clinic" are words of reports, and of no set.
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
    "BreakHis, LUNA16": ["benign", "non-nodule"],
    "OCT2017": ["NORMAL"],
    "APTOS 2019, IDRiD, Messidor": ["No DR", "No_DR"],
    "MedMNIST": ["benign", "normal", "normal, benign", "normal colon mucosa"],
    "NCT-CRC-HE-100K": ["NORM"],
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
    "TBX11K": ["health", "healthy"],
    "OASIS, ADNI": ["NonDemented", "Non_Demented", "CN", "Cognitively Normal"],
    "MURA": ["negative"],
    "CBIS-DDSM": ["BENIGN", "BENIGN_WITHOUT_CALLBACK"],
    "PTB-XL, ACDC": ["NORM", "NOR"],
    "REFUGE, LAG": ["Non-Glaucoma", "non_glaucoma"],
    "FracAtlas, bone fracture X-rays": ["Non_fractured", "not fractured"],
    "IQ-OTH/NCCD": ["Normal cases"],
    "Knee OA severity": ["0Normal"],
    "Herlev": ["normal_superficiel", "normal_intermediate", "normal_columnar"],
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
    "HAM10000": ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc", "Benign keratosis"],
    "CheXpert, NIH": ["Enlarged Cardiomediastinum", "Nodule", "Support Devices", "Infiltration", "Pleural_Thickening"],
    "RSNA pneumonia": ["No Lung Opacity / Not Normal", "Lung Opacity"],
    "LC25000": ["colon_aca", "lung_aca", "lung_scc"],
    "BreakHis": ["adenosis", "fibroadenoma", "phyllodes_tumor", "tubular_adenoma", "mucinous_carcinoma"],
    "OCT2017": ["CNV", "DME", "DRUSEN"],
    "APTOS 2019, IDRiD": ["Mild", "Proliferative DR"],
    "gradings of diabetic retinopathy": ["Mild NPDR", "Non-proliferative DR", "NPDR", "Mild Non-Proliferative"],
    "MedMNIST": [
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "cancer-associated stroma"),
        *("colorectal adenocarcinoma epithelium", "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass"),
        *(
            "nodule",
            "pneumonia",
            "pneumothorax",
            "consolidation",
            "edema",
            "emphysema",
            "fibrosis",
            "pleural",
            "hernia",
        ),
        *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions"),
        *("dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions", "choroidal neovascularization"),
        *("diabetic macular edema", "drusen", "0", "1", "2", "3", "4", "malignant", "basophil", "eosinophil"),
        *("erythroblast", "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)", "lymphocyte"),
        *("monocyte", "neutrophil", "platelet", "Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule"),
        *("Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes", "Podocytes"),
        *("Proximal Tubule Segments", "Thick Ascending Limb", "bladder", "femur-left", "femur-right", "heart"),
        *("kidney-left", "kidney-right", "liver", "lung-left", "lung-right", "pancreas", "spleen", "hyperplasia"),
        *("buckle rib fracture", "nondisplaced rib fracture", "displaced rib fracture", "vessel", "aneurysm"),
        *("inhibitory synapse", "excitatory synapse"),
    ],
    "chest X-rays beside OCT2017, NIH ChestX-ray14": ["PNEUMONIA", "bacteria", "virus", "abnormal"],
    "Kvasir, GastroVision": [
        "dyed-lifted-polyps",
        "ulcerative-colitis",
        "Resected polyps",
        "Accessory tools",
        "Pylorus",
    ],
    "Brain tumour MRI": ["glioma", "meningioma_tumor", "pituitary", "yes"],
    "COVID-19 Radiography": ["COVID", "Viral Pneumonia"],
    "malaria, PCam, Camelyon17": ["Parasitized", "tumor", "itc", "macro"],
    "TBX11K": ["sick", "tb", "sick but non-TB"],
    "OASIS": ["VeryMildDemented", "ModerateDemented", "Demented"],
    "C-NMC, UBC-OCEAN": ["all", "hem", "HGSC", "CC"],
    "PAD-UFES-20, SICAPv2": ["NEV", "ACK", "G3"],
    "IQ-OTH/NCCD, chest CT": ["Malignant cases", "large.cell.carcinoma_left.hilum_T2_N2_M0_IIIa"],
    "BACH": ["InSitu", "Invasive"],
    "BraTS": ["non-enhancing tumor", "NET"],
    "clinic": [
        *("normal pressure hydrocephalus", "normal_tension_glaucoma", "Normal-Pressure-Hydrocephalus", "NPH"),
        *("non-Hodgkin", "non-Hodgkin lymphoma", "Non-Hodgkin's", "non-small-cell", "NonSmallCell", "nonsmall cell"),
        *("non-small cell lung cancer", "no-reflow", "no flow", "non-union", "nonunion", "nonspecific", "NSIP"),
        *("nonspecific interstitial pneumonia", "nonalcoholic steatohepatitis", "non-ossifying fibroma", "NSTEMI"),
        *("non-mass enhancement", "non-calcified plaque", "non-melanoma skin cancer", "non-responder", "non-survivor"),
        *("triple negative", "triple-negative breast cancer", "gram negative", "false negative", "not viable"),
        *("non-COVID pneumonia", "benign prostatic hyperplasia", "not normal", "unhealthy", "anormal"),
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
        (("contrast", "no_contrast"), True),
        (("with contrast", "without contrast"), True),
        (("mit Kontrast", "ohne Kontrast"), True),
        (("Viable", "not viable"), True),
        (("Compressible", "NonCompressible"), True),
        (("nodule", "non-small-cell carcinoma"), False),
        (("flow", "no-reflow"), False),
        (("contrast", "notes"), False),
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
        (
            ["contrast", "no_contrast"],
            "no_contrast",
            "no_contrast, the second in sorted order, though its name says that what the other one has is missing",
        ),
    ],
)
def test_why_a_class_is_positive_is_said_wherever_it_is_named(classes, positive, said):
    assert say_positive(classes, positive) == said
    assert say_positive(classes, positive, form="; {}.") == f"; {said}."
    assert say_positive(classes, positive, asked=True) == f"{positive}, as asked for"
    assert say_positive([*classes, "x"], None, form="; {}.") == ""
