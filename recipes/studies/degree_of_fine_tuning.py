"""After Lee et al. 2020: how many blocks of a pretrained network are worth training, from none to all five?

tlmed sweep degree_of_fine_tuning --data my_xrays/ --out studies/degrees
tlmed sweep degree_of_fine_tuning --data my_xrays/ --out studies/degrees --backbones MobileNetV2

Lee et al. thawed the five blocks of VGG16 and VGG19 one after the other on chest films, and did best with two. Here
each degree begins with the pretrained weights and a trained head, at the same rate, and is judged as it is: none takes
the weights of another. A network with fewer blocks has fewer degrees; the cells of the others say so.
"""

from tlmed.recipe import Dense, Images, Phase, Recipe, Study

images = Images("tfds:tlmed_phantoms", image_size=(224, 224), split=(0.70, 0.15, 0.15), batch_size=32)
# A random head would send large gradients into pretrained layers, so it learns alone first.
head = Phase("head", thaw=0, epochs=20, learning_rate=1e-3, patience=6)
blocks = tuple(Phase("blocks", thaw=number, epochs=20, learning_rate=1e-4, patience=6) for number in (1, 2, 3, 4, 5))
degrees = {"0 blocks": (head,), **{f"{phase.thaw} blocks": (head, phase) for phase in blocks}}

study = Study(
    recipes=tuple(
        Recipe(images, "VGG16", phases, head=Dense(dropout=0.2), keep="last", name=name)
        for name, phases in degrees.items()
    ),
    backbones=("VGG16", "VGG19"),
    seeds=3,
    folds=5,
)
