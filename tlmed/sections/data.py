"""Where images come from, and how they are divided."""

from typing import Literal

from tlmed.answer_units import FILE, POOLED_BY, POOLS
from tlmed.columns import Grouping
from tlmed.fitting_in import FITS, STRETCH
from tlmed.intensity import FILE as OF_FILE
from tlmed.intensity import FORMS, is_window, resolve
from tlmed.label_texts import DOUBT, SEPARATOR, is_nothing
from tlmed.plain_cells import is_plain
from tlmed.sections.coded_terms import is_code
from tlmed.sections.image_attributes import BODY_PARTS, MODALITIES, SUBJECTS, SYNONYMS
from tlmed.sections.rules import column, count, must, one_of, optional_count, optional_word, positive, section
from tlmed.slicing import AXES, CHANNELS, REPEAT, WHOLE, Slicing, Tiling, are_planes
from tlmed.source_layout import DELIMITERS, Layout

TAB = "tab"  # a tab as a person can type it


@section
class KFold:
    """Cross-validation: the images are divided into `k` folds, and each fold is the test split of a run of its own.

    Attributes:
        k: How many folds the images are divided into.
        repeats: How often they are divided, anew each time.
        val: The share of the images outside of the test fold that becomes validation.
        fold: None: a run for each fold, `k * repeats` in all, and their mean. A number from 1: only this fold's run.
    """

    k: int = must("a whole number of 2 or more", lambda k: k >= 2)
    repeats: int = count(default=1)
    val: float = must("a fraction above 0 and below 1", lambda val: 0 < val < 1, default=0.15)
    fold: int | None = optional_count(default=None)

    @property
    def folds(self) -> int:
        """Return how many folds there are in all."""
        return self.k * self.repeats

    @property
    def test_share(self) -> float:
        """Return the number of test images of a fold divided by that of its training images, without validation.

        >>> round(KFold(k=5, val=0.15).test_share, 3)
        0.294
        """
        # n/k test images, and (1 - val) of the other n (k - 1)/k images for training.
        return 1 / ((self.k - 1) * (1 - self.val))

    def find_conflicts(self, path: str) -> list[str]:
        """Return a sentence where there is no such fold."""
        if self.fold is None or self.fold <= self.folds:
            return []
        return [
            f"`{path}fold` must be a number from 1 to {self.folds}, or None for all. "
            f"Received: fold={self.fold} with k={self.k}, repeats={self.repeats}."
        ]

    def place(self) -> tuple[int, int]:
        """Return the repeat that `fold` is in, and its place there, both from 1.

        >>> KFold(k=5, repeats=2, fold=7).place()
        (2, 2)
        """
        repeat, fold = divmod(self.fold - 1, self.k)
        return repeat + 1, fold + 1


_SEPARATORS = (*DELIMITERS, TAB)
UNCERTAIN = ("ignore", "positive", "negative")


def _names_label(name) -> bool:
    """Tell whether a text can name one of several labels."""
    return bool(name) and is_plain(name) and not (SEPARATOR in name or name.startswith(DOUBT) or is_nothing(name))


def _divides_labels(classes) -> bool:
    """Tell whether classes have names and labels, and no label belongs to two of them."""
    labels = [label for names in classes.values() for label in names]
    full = len(classes) > 1 and all((*classes, *classes.values()))
    return full and len(set(labels)) == len(labels) and all(map(is_plain, (*classes, *labels)))


def _is_scale(names) -> bool:
    """Tell whether names can be those of ordered classes."""
    return len(names) > 2 and all(names) and len(set(names)) == len(names)


@section
class Images:
    """Where the images come from and how they are read.

    Attributes:
        source: A folder, a `.csv`, a MedMNIST `.npz`, `medmnist:NAME` or `tfds:NAME`; see the guide on data.
        image_size: Height and width, in pixels, that every image is resized to.
        split: Fractions of train, validation and test, used where the data brings no split of its own; or a `KFold`,
            for data that brings none.
        split_seed: Decides the splits that tlmed makes, folds too, and which images `train_share` takes. None: the
            `seed` of the recipe does. With a number, runs of other seeds have the same images in train, val and test.
        val_seed: Decides which of the images outside of the test split are validation images, so that a choice can rest
            on several draws of them; the test images stay the same. None: they are those of the splits.
        inner: A fold among the development images, which are all but the test images: `KFold(5, fold=2)`. The test
            images are put aside and take no part; the fold takes the place of the test split, and all other images are
            divided anew into train and val. None: the splits stay as they are.
        train_share: The share of the training images that is trained on; the others are left aside. Those of a smaller
            share are all in a larger one. Validation and test images stay the same.
        batch_size: Images per training step.
        positive: The positive class of a two-class task; by default the second in sorted order, numbers by their size:
            malignant of benign and malignant, 1 of 0 and 1, 10 of 9 and 10.
        path_column: The column of a table that names the image files; None: the one with a usual name, such as `path`,
            `image` or `filename`.
        label_column: The column of a table that names the class of each image; None: the one with a usual name, such
            as `label`, `class`, `diagnosis` or `target`. Of a folder of DICOM files, the keyword of the header element
            that names it, such as `BodyPartExamined`; None: class folders do.
        label_columns: The columns of a table that hold 0 or 1 for one label each, where an image may have several:
            `("edema", "effusion")`. A blank cell is not known. None: one column names the labels.
        uncertain: What -1 in such a column means, as in CheXpert: `"ignore"`, that the label is not known;
            `"positive"`; or `"negative"`.
        split_column: The column of a table that gives the splits; None: the one called `split`, if there is one.
        delimiter: What separates the columns of a table: `","`, `";"`, `"|"` or `"tab"`; None: what its header shows.
        classes: For each class the labels that make it up: `{"malignant": ("malignant",), "other": ("benign",
            "normal")}` merges two, `{"healthy": ("0",), "ill": ("1",)}` gives names. Images of other labels are left
            out. None: each label is a class.
        order: The names of all classes, from the lowest grade to the highest, where classes are ordered:
            `("0", "1", "2", "3", "4")`. None: they are not.
        group_column: The column of a `.csv` that names the group (the patient) of each image, whose images stay in one
            split; None: the one with a usual name, such as `group`, `patient_id`, `subject` or `case`.
        groups: False: no image has a group, whatever columns there are. `"folder"`: the folders below the class folders
            are patients.
        planes: Which planes of files with several, such as volumes, are samples: "all"; "every k"; or a number: so many
            in the middle. None: files with several planes are refused, unless `channels` is "views".
        axis: Which planes these are: "axial", "coronal" or "sagittal".
        channels: What red, green and blue of a sample show: "repeat": its plane. "neighbours": the plane before, the
            plane, the one after. "views": the middle axial, coronal and sagittal plane; a volume is one sample.
        pool: How the scores of several samples become one answer: their `"mean"`; the highest, `"max"`; or the mean of
            the three highest, `"top3"`. None: each sample has an answer of its own. `"auto"`: the mean where files hold
            several samples of one label, or `pool_by` is `"group"`; None elsewhere.
        pool_by: What has one answer: each `"file"`, such as a volume, or each `"group"`, such as a patient.
        tile: Cut slides and other large pictures into square tiles, each of which is a sample, of so many pixels of
            `mpp` micrometres on each side. None: they are not cut.
        mpp: Micrometres per pixel of a tile; None: the pixels of the files, whatever they measure.
        tiles: The most tiles that a file gives, drawn at random; None: all.
        tissue: The share of a tile that must be tissue, told from white glass by its colour; 0: any tile is taken.
        tile_seed: Decides which tiles are drawn. The `seed` of the recipe does not, so that runs with other seeds have
            the same tiles.
        window: What of values with more than 8 bits is black and what is white. "auto": the window of the file, or else
            the range that the training images have (0.5 to 99.5 per cent of their values). "full": all bits. "lung",
            "mediastinum", "soft-tissue", "bone", "brain", "liver": in Hounsfield units. `(center, width)`,
            `(low, high, "range")`: in the units of the values. `(low, high, "percentile")`: of the training images.
            `(low, high, "file")`: percentiles of each file, or of all planes of each volume, for values without a
            unit, as in MRI.
        fit: How an image comes to `image_size`: "stretch"; "pad": its shape is kept, with black at two sides; "crop":
            its shape is kept, and two sides are cut off.
        spacing: How many millimetres a pixel of `image_size` measures, so that large things look large: all images are
            scaled to it, and shown around their middle; what is missing is black, what is too much is cut off. For
            files that say how many millimetres their pixels measure. None: `fit` decides.
        modality: How the images were made, such as `"x-ray"`; it is reported, and changes nothing else.
        body_part: What they show, such as `"chest"`; likewise.
        subject: Of what they were taken, such as `"patient"`; likewise.
        codes: What classes or labels are called in medical terminology, for reports to other systems: for each that has
            one, its code, coding scheme and meaning, `{"malignant": ("86049000", "SCT", "Malignant neoplasm")}`. They
            change nothing else.
    """

    source: str = must("a path, 'medmnist:NAME' or 'tfds:NAME'", bool)
    image_size: tuple[int, int] = must(
        "two whole numbers from 16 to 4096, height and width",
        lambda size: all(16 <= side <= 4096 for side in size),
        default=(224, 224),
    )
    split: tuple[float, float, float] | KFold = must(
        "three fractions above 0 that sum to 1: train, val, test; or a KFold(...)",
        # 0.7 + 0.2 + 0.1 is a little less than 1 in a computer.
        lambda split: isinstance(split, KFold) or (all(map(positive, split)) and abs(sum(split) - 1) < 1e-6),
        default=(0.70, 0.15, 0.15),
    )
    split_seed: int | None = must(
        "a whole number from 0 to 2**32 - 1, or None", lambda seed: seed is None or 0 <= seed < 2**32, default=None
    )
    val_seed: int | None = must(
        "a whole number from 0 to 2**32 - 1, or None", lambda seed: seed is None or 0 <= seed < 2**32, default=None
    )
    inner: KFold | None = must("a KFold(...) that names its fold, or None", lambda _: True, default=None)
    train_share: float = must("a share above 0 and up to 1", lambda share: 0 < share <= 1, default=1.0)
    batch_size: int = count(default=32)
    positive: str | None = must("the name of a class, or None", lambda name: name != "", default=None)
    group_column: str | None = column()
    groups: bool | Literal["folder"] = must("True, False or 'folder'", lambda _: True, default=True)
    path_column: str | None = column()
    label_column: str | None = column()
    label_columns: tuple[str, ...] | None = must(
        "the names of two columns or more, or None; no name may hold '|', begin with '?' or be 'No Finding'",
        lambda names: names is None or (len(names) > 1 and all(map(_names_label, names))),
        default=None,
    )
    uncertain: str = one_of(UNCERTAIN, default="ignore")
    split_column: str | None = column()
    delimiter: str | None = must(
        f"one of {', '.join(map(repr, _SEPARATORS))}, or None",
        lambda mark: mark is None or mark in _SEPARATORS,
        default=None,
    )
    classes: dict[str, tuple[str, ...]] | None = must(
        "a dictionary: the name of a class -> its labels, texts in a tuple, at least two classes, no label twice; or "
        "None",
        lambda classes: classes is None or _divides_labels(classes),
        default=None,
    )
    order: tuple[str, ...] | None = must(
        "the names of three classes or more, each once, from the lowest to the highest, in a tuple; or None",
        lambda names: names is None or _is_scale(names),
        default=None,
    )
    planes: int | str | None = must(
        "'all', 'every k', a whole number of 1 or more (of planes in the middle), or None",
        lambda planes: planes is None or are_planes(planes),
        default=None,
    )
    axis: str = one_of(AXES, default="axial")
    channels: str = one_of(CHANNELS, default=REPEAT)
    pool: str | None = one_of(("auto", *POOLS, None), default="auto")
    pool_by: str = one_of(POOLED_BY, default=FILE)
    tile: int | None = must(
        "a whole number from 16 to 4096, or None", lambda size: size is None or 16 <= size <= 4096, default=None
    )
    mpp: float | None = must(
        "a number above 0 and up to 100, or None", lambda mpp: mpp is None or 0 < mpp <= 100, default=0.5
    )
    tiles: int | None = optional_count(default=50)
    tissue: float = must("a share from 0 to 1", lambda share: 0 <= share <= 1, default=0.5)
    tile_seed: int = must("a whole number, 0 or more", lambda seed: seed >= 0, default=0)
    window: str | tuple[float, float] | tuple[float, float, str] = must(FORMS, is_window, default="auto")
    fit: str = one_of(FITS, default=STRETCH)
    spacing: float | None = must(
        "a number of millimetres above 0 and up to 100, or None",
        lambda side: side is None or 0 < side <= 100,
        default=None,
    )
    modality: str | None = optional_word("a known modality", MODALITIES, SYNONYMS, default=None)
    body_part: str | None = optional_word("a known part of the body", BODY_PARTS, SYNONYMS, default=None)
    subject: str | None = optional_word("a known subject", SUBJECTS, SYNONYMS, default=None)
    codes: dict[str, tuple[str, str, str]] | None = must(
        "a dictionary: the name of a class -> its code, coding scheme and meaning, of up to 64, 16 and 64 characters; "
        "or None",
        lambda codes: codes is None or all(map(is_code, codes.values())),
        default=None,
    )

    @property
    def grouping(self) -> Grouping:
        """Return how groups are found."""
        return Grouping(self.group_column, bool(self.groups), folders=self.groups == "folder")

    @property
    def layout(self) -> Layout:
        """Return how the source is read."""
        delimiter = "\t" if self.delimiter == TAB else self.delimiter
        named = (self.path_column, self.label_column, self.split_column)
        several = None if self.label_columns is None else True
        labels = {"label_columns": self.label_columns, "uncertain": self.uncertain, "several": several}
        return Layout(self.grouping, *named, delimiter, self.classes, self.slicing, order=self.order, **labels)

    @property
    def slicing(self) -> Slicing | Tiling:
        """Return how files become samples."""
        if self.tile is not None:
            return Tiling(self.tile, self.mpp, self.tiles, self.tissue, self.tile_seed)
        return Slicing(self.planes, self.axis, self.channels, together=resolve(self.window).kind == OF_FILE)

    def find_conflicts(self, path: str) -> list[str]:
        """Return a sentence where fields contradict each other: of columns, of groups, of planes."""
        names = [self.path_column, self.label_column, self.split_column, self.group_column, *(self.label_columns or ())]
        faults = [
            f"`{path.rstrip('.')}` must name each column once. Received: {name!r} more than once."
            for name in dict.fromkeys(filter(None, names))
            if names.count(name) > 1
        ]
        if self.group_column is not None and self.groups == "folder":
            faults.append(
                f"`{path}group_column` must be None where folders are the patients. "
                f"Received: group_column={self.group_column!r} with groups='folder'."
            )
        if None not in (self.order, self.classes) and (differ := sorted({*self.order} ^ {*self.classes})):
            faults.append(
                f"`{path}order` must name every class of `{path}classes` once. "
                f"Received: order={self.order!r}; not in both: {', '.join(map(repr, differ))}."
            )
        if self.inner is not None and isinstance(self.split, KFold):
            faults.append(
                f"`{path}inner` must be None where `{path}split` is a cross-validation, whose folds test every image. "
                f"Received: inner={self.inner!r} with split={self.split!r}."
            )
        return [
            *faults,
            *self._find_label_conflicts(path),
            *self._find_sample_conflicts(path),
            *self._find_pooling_conflicts(path),
            *self._find_shape_conflicts(path),
        ]

    def _find_label_conflicts(self, path) -> list[str]:
        others = {"label_column": self.label_column, "classes": self.classes}
        faults = [
            f"`{path}{name}` must be None where `label_columns` names the labels. Received: {name}={value!r}."
            for name, value in others.items()
            if self.label_columns is not None and value is not None
        ]
        if self.label_columns is None and self.uncertain != "ignore":
            faults.append(
                f"`{path}uncertain` must be 'ignore' without `label_columns`. Received: uncertain={self.uncertain!r}."
            )
        return faults

    def _find_shape_conflicts(self, path) -> list[str]:
        others = {"fit": (self.fit, STRETCH), "tile": (self.tile, None)}
        return [
            f"`{path}{name}` must be {default!r} where `spacing` says how large an image is shown. "
            f"Received: {name}={value!r} with spacing={self.spacing}."
            for name, (value, default) in others.items()
            if self.spacing is not None and value != default
        ]

    def _find_sample_conflicts(self, path) -> list[str]:
        planes = Slicing(self.planes, self.axis, self.channels)
        tiling = (self.mpp, self.tiles, self.tissue, self.tile_seed)
        faults = planes.find_conflicts(path)
        if self.tile is not None and planes != WHOLE:
            faults.append(
                f"`{path}tile` must be None where planes become samples. Received: tile={self.tile} with "
                f"planes={self.planes!r}, axis={self.axis!r}, channels={self.channels!r}."
            )
        if self.tile is None and Tiling(1, *tiling) != Tiling(1):
            faults.append(
                f"`{path}tile` must be the size of a tile where other fields of tiles are set. "
                f"Received: tile=None with mpp={self.mpp}, tiles={self.tiles}, tissue={self.tissue}, "
                f"tile_seed={self.tile_seed}."
            )
        return faults

    def _find_pooling_conflicts(self, path) -> list[str]:
        received = f"Received: pool_by={self.pool_by!r} with"
        rules = {
            f"`{path}pool` must be 'mean', 'max' or 'top3' for one answer per group. {received} pool=None.": self.pool,
            f"`{path}groups` must not be False for one answer per group. {received} groups=False.": self.groups,
        }
        return [said for said, kept in rules.items() if self.pool_by == "group" and not kept]
