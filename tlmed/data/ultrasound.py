"""Drawing of synthetic breast-ultrasound images, by formulas.

An image is a map of echo levels in dB (tissue layers, lesion, its effect on the beam behind it) times fully
developed speckle, log-compressed. The classes differ in the signs by which sonographers judge lesions
(Stavros et al., Radiology 1995, 196:123-134): orientation, margin, posterior acoustic features. Size,
brightness, contrast, speckle and tissue are drawn alike for all classes. `benchmarks/phantoms.py` measures
how hard the task is for pretrained features and for random ones.
"""

import dataclasses
import functools
import math

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit

from tlmed.seeds import derive

SIZE = 128
LABELS = ("benign", "malignant", "normal")
# Of images that may have several labels: a lesion whose outline and shadow are drawn independently of each other.
FINDINGS = ("No Finding", "lesion", "lesion|irregular", "lesion|shadow", "lesion|irregular|shadow")
# Where the signs of a lesion lie on average: aspect, lobes, spicules, blur and posterior, from benign to malignant.
_SIGNS = {
    "benign": (-1, -1, -1, -1, -1),
    "malignant": (1, 1, 1, 1, 1),
    "lesion": (-1, -1, -1, -1, -1),
    "lesion|irregular": (1, 1, 1, 1, -1),
    "lesion|shadow": (-1, -1, -1, -1, 1),
    "lesion|irregular|shadow": (1, 1, 1, 1, 1),
}
_NO_LESION = (0, 0, 0, 0, 0)
SMALLEST = 16
LARGEST = 2048
# Speckle is drawn on at least this many pixels a side: a smaller image is the average of a larger one, as
# after resizing. One grain per pixel would hide every lesion.
FINEST = 64
ANGLES = 1024


@dataclasses.dataclass(frozen=True)
class Lesion:
    """What one patient's lesion looks like; lengths in fractions of the image's side, levels in dB.

    Args:
        radius: Geometric mean of the half axes.
        aspect: Height over width; above 1 is taller than wide.
        lobes: Amplitude of the outline's slow undulation, relative to the radius.
        spicules: Relative length of the spikes.
        count: Number of spikes.
        blur: Width of the margin, relative to the radius.
        level: Echo level against the tissue around.
        rim: Echo level of the margin: a thin capsule, or a halo.
        posterior: Gain behind the lesion: above 0 is enhancement, below 0 is shadow.
    """

    radius: float
    aspect: float
    lobes: float
    spicules: float
    count: int
    blur: float
    level: float
    rim: float
    posterior: float


@dataclasses.dataclass(frozen=True)
class Breast:
    """One patient's tissue and the machine's settings; depths in fractions of the image's side, levels in dB.

    Args:
        depths: Where the skin, the fat and the glandular tissue end.
        levels: Echo levels of skin, fat, glandular tissue and muscle.
        texture: How much the echo level varies within a layer.
        attenuation: Loss from the top of the image to its bottom that the machine does not make up for.
        grain: Standard deviations of the speckle, axial and lateral.
        span: Dynamic range of the log compression.
        gain: Mean grey level, 0..255.
    """

    depths: tuple[float, float, float]
    levels: tuple[float, float, float, float]
    texture: float
    attenuation: float
    grain: tuple[float, float]
    span: float
    gain: float


def draw(label: str, seed: int, patient: int, image: int, size: int) -> np.ndarray:
    """Draw one synthetic ultrasound image, decided by its arguments alone.

    A patient's images share tissue, settings and lesion; they differ in position, outline and speckle.

    Args:
        label: `"benign"` (smooth oval, wider than tall, enhancement behind it), `"malignant"` (irregular,
            spiculated, taller than wide, shadow behind it) or `"normal"` (tissue only); or one of `FINDINGS`.
        seed: The data set's seed, 0 or more.
        patient: The patient's index, 0 or more.
        image: The index of the image within its patient, 0 or more.
        size: Side in pixels, 16..2048.

    Returns:
        A uint8 array [size, size, 3] with three equal channels.

    Raises:
        ValueError: An argument is out of range; all faults are named.

    >>> draw("benign", seed=0, patient=3, image=1, size=32).shape
    (32, 32, 3)
    """
    check_numbers(label=label, seed=seed, patient=patient, image=image, size=size)
    person = np.random.RandomState(derive(seed, "phantoms", patient))
    breast = _draw_breast(person)
    lesion = _draw_lesion(person, label)
    view = np.random.RandomState(derive(seed, "phantoms", patient, image))
    factor = math.ceil(FINEST / size)
    side = size * factor
    level = _tissue(view, breast, side) + _distractions(view, side)
    if lesion is not None:
        level += _lesion_levels(view, lesion, breast, side)
    grey = _compress(level + _speckle(view, breast, side), breast)
    grey = grey.reshape(size, factor, size, factor).mean(axis=(1, 3))
    return np.repeat(np.rint(grey).astype(np.uint8)[:, :, np.newaxis], 3, axis=2)


def _draw_breast(random: np.random.RandomState) -> Breast:
    skin = random.uniform(0.02, 0.05)
    fat = skin + random.uniform(0.08, 0.22)
    gland = fat + random.uniform(0.40, 0.55)
    levels = np.array([4.0, -7.0, 0.0, -6.0]) + random.normal(0, 1.5, 4)
    axial = random.uniform(0.004, 0.010)
    return Breast(
        depths=(skin, fat, gland),
        levels=tuple(levels.tolist()),
        texture=random.uniform(0.8, 2.4),
        attenuation=random.uniform(2, 12),
        grain=(axial, axial * random.uniform(1.2, 2.0)),
        span=random.uniform(42, 62),
        gain=random.uniform(65, 125),
    )


def _draw_lesion(random: np.random.RandomState, label: str) -> Lesion | None:
    # The signs are independent, and each overlaps between the classes: none of them alone gives a class away.
    signs = random.normal(_SIGNS.get(label, _NO_LESION), 0.5)
    radius = random.uniform(0.11, 0.20)
    level, rim = random.uniform(-18, -9), random.uniform(0, 4)
    count = random.randint(7, 15)
    if label not in _SIGNS:
        return None
    aspect, lobes, spicules, blur, posterior = signs
    return Lesion(
        radius=radius,
        aspect=float(np.exp(0.05 + 0.28 * aspect)),
        lobes=0.09 * expit(2 * lobes),
        spicules=0.7 * expit(3 * spicules),
        count=count,
        blur=0.03 + 0.12 * expit(2 * blur),
        level=level,
        rim=rim,
        posterior=-6.0 * posterior,
    )


@functools.lru_cache(maxsize=64)
def _bumps(nodes: int, side: int) -> np.ndarray:
    """Return [nodes, side] weights that turn independent normal numbers into a smooth curve of variance 1."""
    position = (np.arange(side) + 0.5) / side * nodes
    weight = np.exp(-0.5 * ((position - np.arange(nodes)[:, np.newaxis] - 0.5) / 0.6) ** 2)
    return weight / np.sqrt((weight**2).sum(axis=0))


def _field(random: np.random.RandomState, rows: int, columns: int, side: int) -> np.ndarray:
    """Return a smooth random field [side, side] of variance 1 with about rows x columns patches."""
    # Not by `@`: BLAS may start threads for these thin matrices, and rounds differently on another machine.
    down = np.einsum("ri,rc->ic", _bumps(rows, side), random.standard_normal((rows, columns)))
    return np.einsum("ic,cj->ij", down, _bumps(columns, side))


def _curve(random: np.random.RandomState, nodes: int, side: int) -> np.ndarray:
    return np.einsum("ni,n->i", _bumps(nodes, side), random.standard_normal(nodes))


def _axes(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return depth [side, 1] and width [1, side] of the pixels' centres, 0..1."""
    axis = (np.arange(side) + 0.5) / side
    return axis[:, np.newaxis], axis[np.newaxis, :]


def _tissue(random: np.random.RandomState, breast: Breast, side: int) -> np.ndarray:
    """Return the echo levels of the layers, their boundaries and their texture, [side, side] in dB."""
    depth, _ = _axes(side)
    skin, fat, gland = (
        depth - bottom - wave * _curve(random, 5, side)
        for bottom, wave in zip(breast.depths, (0.004, 0.02, 0.02), strict=True)
    )
    in_fat, in_gland, in_muscle = (expit(distance / 0.008) for distance in (skin, fat, gland))
    # A layer begins with a soft step: its level minus that of the layer above.
    steps = np.diff(breast.levels)
    level = breast.levels[0] + steps[0] * in_fat + steps[1] * in_gland + steps[2] * in_muscle
    level += 6 * np.exp(-((gland / 0.012) ** 2)) + 3 * np.exp(-((fat / 0.010) ** 2))
    septa = np.exp(-((_field(random, 12, 9, side) / 0.2) ** 2))
    strands = _field(random, 26, 6, side)
    fibres = _field(random, 44, 4, side)
    level += 5 * septa * (in_fat - in_gland)
    level += breast.texture * (strands * (in_gland - in_muscle) + 1.5 * fibres * in_muscle)
    level += breast.texture * _field(random, 7, 7, side)
    return level - breast.attenuation * depth


def _distractions(random: np.random.RandomState, side: int) -> np.ndarray:
    """Return what every class has: dark lobules of fat, and streaks of shadow and enhancement, in dB."""
    depth, width = _axes(side)
    lobules = -random.uniform(1, 6) * expit((_field(random, 9, 7, side) - 1.4) / 0.12)
    streaks = np.zeros((side, side))
    for _ in range(3):
        centre, spread, start, gain = random.uniform((0, 0.02, 0.1, -6), (1, 0.10, 0.6, 4))
        profile = np.exp(-0.5 * ((width - centre) / spread) ** 2)
        streaks += gain * profile * expit((depth - start) / 0.05)
    return lobules + streaks


def _lesion_levels(random: np.random.RandomState, lesion: Lesion, breast: Breast, side: int) -> np.ndarray:
    """Return what the lesion adds: its inside, its margin, and its effect on the beam behind it, in dB."""
    depth, width = _axes(side)
    scale = lesion.radius * random.uniform(0.85, 1.15)
    tall = scale * math.sqrt(lesion.aspect * random.uniform(0.9, 1.1))
    # tall * wide = scale**2: the aspect does not change the area.
    wide = scale**2 / tall
    top = breast.depths[1] + 0.5 * tall
    y = top + random.uniform(0.2, 0.8) * max(breast.depths[2] - 0.5 * tall - top, 0.05)
    x = random.uniform(0.25, 0.75)
    tilt = random.normal(0, 0.15)
    across, down = width - x, depth - y
    u = (across * math.cos(tilt) + down * math.sin(tilt)) / wide
    v = (down * math.cos(tilt) - across * math.sin(tilt)) / tall
    angle = np.arctan2(v, u)
    outline = _outline(random, lesion)
    # The outline is a table by angle: -pi is its first entry, pi its last.
    edge = outline[((angle / (2 * math.pi) + 0.5) * (ANGLES - 1)).astype(np.intp)]
    outside = np.hypot(u, v) - edge
    inside = expit(-outside / lesion.blur)
    margin = np.exp(-(((outside - 0.5 * lesion.blur) / (0.08 + lesion.blur)) ** 2))
    # Per column, how much of the lesion the beam has passed, about 1 below its middle.
    behind = np.cumsum(inside, axis=0) / (side * 2 * tall)
    texture = 1.2 * _field(random, 14, 14, side)
    return (lesion.level + texture) * inside + lesion.rim * margin + lesion.posterior * np.minimum(behind, 1.2)


def _outline(random: np.random.RandomState, lesion: Lesion) -> np.ndarray:
    """Return the outline's radius at `ANGLES` angles from -pi to pi, about 1."""
    angle = np.linspace(-math.pi, math.pi, ANGLES)
    order = np.arange(2, 7)
    phase = random.uniform(0, 2 * math.pi, order.size)
    radius = 1 + lesion.lobes * (np.cos(np.outer(angle, order) + phase) / np.sqrt(order / 2)).sum(axis=1)
    at = random.uniform(-math.pi, math.pi, lesion.count)
    length = lesion.spicules * random.uniform(0.3, 1.0, lesion.count)
    sharpness = random.uniform(30, 120, lesion.count)
    spikes = length * np.exp(sharpness * (np.cos(angle[:, np.newaxis] - at) - 1))
    return np.maximum(radius + spikes.sum(axis=1), 0.3)


def _speckle(random: np.random.RandomState, breast: Breast, side: int) -> np.ndarray:
    """Return fully developed speckle in dB: the log power of band-limited complex Gaussian noise.

    The envelope of one look is Rayleigh distributed (Wagner et al., IEEE Trans. Sonics Ultrason. 1983,
    30:156-163). Two looks are averaged in power, as machines do by compounding.
    """
    noise = random.standard_normal((4, side, side))
    for axis, grain in zip((1, 2), breast.grain, strict=True):
        noise = gaussian_filter1d(noise, max(grain * side, 0.5), axis=axis, mode="wrap", truncate=3.0)
    # The smallest number only keeps the logarithm finite.
    return 10 * np.log10((noise**2).sum(axis=0) + 1e-12)


def _compress(level: np.ndarray, breast: Breast) -> np.ndarray:
    """Return grey levels 0..255 of echo levels in dB.

    The mean is set, as a machine's automatic gain does: else the shadow behind a lesion would darken the
    whole image, and its mean would give the class away.
    """
    return np.clip(breast.gain + (level - level.mean()) * (255 / breast.span), 0, 255)


def check_numbers(**values: object) -> None:
    """Raise one ValueError that names every argument out of its range."""
    faults = []
    for name, value in values.items():
        if name == "label":
            if value not in (known := (*LABELS, *FINDINGS)):
                faults.append(f"`label` must be one of {', '.join(known)}. Received: label={value!r}.")
            continue
        low, high = {"size": (SMALLEST, LARGEST), "images": (1, None)}.get(name, (0, None))
        limits = f"{low} or more" if high is None else f"in {low}..{high}"
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < low or (high is not None and value > high):
            faults.append(f"`{name}` must be a whole number, {limits}. Received: {name}={value!r}.")
    if faults:
        raise ValueError(" ".join(faults))
