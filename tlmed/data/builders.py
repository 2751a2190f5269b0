"""A TensorFlow Datasets (TFDS) builder as a table; its records are read one at a time, still encoded.

TFDS reads its default format, TFRecord, only in sequence; an index of where each record starts makes any
order cheap. TFRecord frames a record as its length (8 bytes, little endian), a checksum (4), the record and
its checksum (4):
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import tlmed.tensorflow_start

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError
from tensorflow_datasets.core import naming
from tensorflow_datasets.core.utils.file_utils import list_data_dirs

import tlmed.data.phantoms  # noqa: F401  registers the builder tlmed_phantoms
from tlmed.columns import describe_group, find_group, is_missing, name_spellings, state_group_rule
from tlmed.data.builder_labels import BuilderLabels, choose_feature, choose_labels, is_number, name_features
from tlmed.data.table import Table, make_table
from tlmed.errors import InputError, did_you_mean
from tlmed.regular_files import open_regular, read_regular
from tlmed.source_layout import AS_FOUND, Layout
from tlmed.split_names import SPLIT_NAMES
from tlmed.trust import is_trusting
from tlmed.words import count, listed

_CLASS_NAMES = ("pythonClassName", "python_class_name", "type")  # of a feature, in each version of `features.json`
_LONGEST = 2**26  # bytes of a `features.json`
_DOWNLOAD_ERRORS = (
    *(OSError, AssertionError, ImportError, ValueError, tf.errors.OpError),
    *(tfds.core.download.util.DownloadError, tfds.core.download.extractor.ExtractError),
    tfds.core.download.download_manager.NonMatchingChecksumError,
)


class _TFRecords(Sequence):
    """Give the records of TFRecord files by number.

    Args:
        files: The files, in order.
    """

    def __init__(self, files: Sequence[Path]):
        places = [(number, *place) for number, file in enumerate(files) for place in _index(file)]
        self._files = tuple(files)
        self._places = np.array(places, np.int64).reshape(-1, 3)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> bytes:
        file, start, length = self._places[row].tolist()
        with open_regular(self._files[file]) as stream:
            stream.seek(start)
            return stream.read(length)


def _index(file: Path):
    """Yield start and length of every record of a TFRecord file."""
    with open_regular(file) as stream:
        start, size = 0, os.fstat(stream.fileno()).st_size
        while header := stream.read(8):
            length = int.from_bytes(header, "little")
            # 16 bytes frame a record: its length (8), and a checksum (4) of the length and one of the record.
            if start + length + 16 > size:
                raise ValueError(f"{file} ends within a record")
            yield start + 12, length
            start += length + 16
            stream.seek(start)


def open_builder(name: str, layout: Layout = AS_FOUND) -> Table:
    """Read a TFDS data set, which is prepared first if it is not yet; paths are `split/index`.

    The splits of a builder that has train and test are given; a single split is left for tlmed to divide.
    The group is the feature that names it, by the rule of `find_group`; the other features are not used.

    Args:
        name: What `tfds.builder` takes, such as `tlmed_phantoms` or `colorectal_histology:2.0.0`.
        layout: Which feature names the groups, and which are labels, where an image may have several.

    Returns:
        The table.

    Raises:
        InputError: There is no such data set, it cannot be downloaded or read, it is no image classification, or it
            brings code of its own outside of `tlmed.trust.trusting`.
    """
    builder, grouping = _prepare(_find(name), name), layout.grouping
    image, labels, plain = _features(builder.info, name, layout)
    given, single = _splits(builder.info, name)
    others = sorted(set(builder.info.splits) - set(given))
    with _whole(builder, name):
        records = {split: _records(builder, split, name) for split in given}
        places = [(split, index) for split in given for index in range(len(records[split]))]
        found = [_fields(records[split][index], image, labels, plain) for split, index in places]
    paths = [f"{split}/{index}" for split, index in places]
    texts = labels.name(f"tfds:{name}", paths, [numbers for numbers, _ in found])
    columns = {feature: [values[feature] for _, values in found] for feature in plain}
    named = {feature: values for feature, values in columns.items() if any(values)}
    group = find_group(named, grouping, f"data=tfds:{name}")
    groups = None if group is None else columns[group]
    if nameless := [f"{split}/{i}" for (split, i), who in zip(places, groups or (), strict=False) if is_missing(who)]:
        raise InputError(
            f"{state_group_rule(group)}. "
            f"Received: data=tfds:{name}, where {count(len(nameless), 'image')} of {len(places):,} "
            f"{'does' if len(nameless) == 1 else 'do'} not: {listed(nameless, 3)}."
        )
    told = describe_group(group, named, grouping, "feature")
    unused = (f"The splits {listed(others)} of tfds:{name} are not used.",) if others else ()
    return make_table(
        f"tfds:{name}",
        paths,
        texts,
        lambda row: _feature(records[places[row][0]][places[row][1]], image).bytes_list.value[0],
        groups=groups,
        splits=None if single else [given[split] for split, _ in places],
        notes=(*told, *name_spellings(groups or ()), *unused),
        encoded_here=True,
        several=labels.several,
        licence=builder.info.as_proto.redistribution_info.license or None,
    )


def _find(name: str) -> tfds.core.DatasetBuilder:
    """Return the builder, without asking any server for it."""
    if not is_trusting() and (fault := _find_foreign_code(name)):
        raise InputError(fault)
    try:
        return tfds.builder(name, try_gcs=False)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise InputError(
            "`tfds:NAME` must name a data set that TensorFlow Datasets knows."
            f"{did_you_mean(name.split('/')[0].split(':')[0], known)} Received: data=tfds:{name}."
        ) from error
    except (ValueError, TypeError, AssertionError, ImportError) as error:
        raise InputError(
            "`tfds:NAME` must name a data set, its config and its version as TensorFlow Datasets knows them. "
            f"Received: data=tfds:{name}: {_first_line(error)}"
        ) from error


def _find_foreign_code(name: str) -> str:
    """Name the code, not installed with TFDS, that a data set would run; return "" if there is none."""
    try:
        full, arguments = naming.parse_builder_name_kwargs(name)
    except ValueError:
        return ""  # `tfds.builder` explains this fault
    if full.namespace:
        return (
            "`tfds:NAME` must name a data set whose code is installed with TensorFlow Datasets; code of a NAMESPACE is "
            "downloaded and run, which only --trust allows. "
            f"Received: data=tfds:{name}, of the namespace '{full.namespace}'."
        )
    folders = [Path(folder) / full.name for folder in list_data_dirs(arguments.get("data_dir"))]
    for file in (file for folder in folders for file in sorted(folder.rglob("features.json"))):
        try:
            foreign = _find_foreign_classes(read_regular(file, _LONGEST))
        except (OSError, ValueError, RecursionError):
            continue  # TFDS explains this fault, if this is the file that it reads
        if foreign:
            return (
                "The features of a prepared data set must be classes of TensorFlow Datasets; other modules are "
                f"imported, which only --trust allows. Received: data=tfds:{name}, where {file} names "
                f"{listed(foreign, 3)}."
            )
    return ""


def _find_foreign_classes(content: bytes) -> list[str]:
    """Return the classes in a `features.json` that are not from TFDS, which would import their modules."""
    found = set()

    def note(pairs: list[tuple[str, object]]) -> None:
        found.update(value for name, value in pairs if name in _CLASS_NAMES and isinstance(value, str) and "." in value)

    # Pair by pair: a dict would keep only the last of two equal keys.
    json.loads(content, object_pairs_hook=note)
    return sorted(name for name in found if not name.startswith("tensorflow_datasets."))


def _prepare(builder: tfds.core.DatasetBuilder, name: str) -> tfds.core.DatasetBuilder:
    """Generate the data set if that has not been done; public buckets are never asked."""
    tfds.disable_progress_bar()
    # TFDS prints messages about downloads even where it only draws, and has no switch for that. Redirecting standard
    # output would swallow what other threads print.
    builder._log_download_bytes = builder._log_download_done = _say_nothing
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except _DOWNLOAD_ERRORS as error:
        raise InputError(
            "A TensorFlow Datasets data set must be prepared, or allow its download; prepare it where there "
            f"is a network and copy it to {builder.data_dir}. "
            f"Received: data=tfds:{name}: {type(error).__name__}: {_first_line(error)}"
        ) from error
    return builder


def _say_nothing() -> None:
    """Take the place of what a builder prints."""


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _features(info: tfds.core.DatasetInfo, name: str, layout: Layout) -> tuple[str, BuilderLabels, list[str]]:
    """Return the image, the labels, and the names of all other features that are one text or whole number."""
    features = dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    image, faults, labels = choose_feature(features, ("image",), tfds.features.Image), [], None
    if image is None or features[image].np_dtype not in (np.uint8, np.uint16):
        faults.append(
            "A data set must have one feature of 8-bit or 16-bit images, or one called 'image'. "
            f"Received: data=tfds:{name} with {name_features(features)}."
        )
    try:
        labels = choose_labels(features, layout, f"tfds:{name}")
    except InputError as error:
        faults += error.faults
    if faults:
        raise InputError(faults)
    plain = [
        feature
        for feature, kind in features.items()
        if feature not in (image, *labels.features)
        and (isinstance(kind, tfds.features.Text) or is_number(kind, np.integer))
    ]
    return image, labels, plain


def _splits(info: tfds.core.DatasetInfo, name: str) -> tuple[dict[str, str], bool]:
    """Return the splits to use, by their own name, and whether there is only one."""
    names = [split for split, about in info.splits.items() if about.num_examples]
    given = {split: SPLIT_NAMES[split] for split in names if split in SPLIT_NAMES}
    if len(names) == 1:
        return {names[0]: "train"}, True
    if not {"train", "test"} <= set(given.values()):
        raise InputError(
            "A data set must have the splits 'train' and 'test', or one split only. "
            f"Received: data=tfds:{name} with {listed(names) or 'none'}."
        )
    return given, False


def _records(builder: tfds.core.DatasetBuilder, split: str, name: str) -> Sequence[bytes]:
    """Return the serialized examples of a split, by number."""
    form = builder.info.file_format.value
    if form != "tfrecord":
        raise InputError(f"A data set must be stored as TFRecord. Received: data=tfds:{name} stored as {form}.")
    return _TFRecords(builder.info.splits[split].filepaths)


def _feature(record: bytes, name: str) -> tf.train.Feature:
    return tf.train.Example.FromString(record).features.feature[name]


@contextlib.contextmanager
def _whole(builder: tfds.core.DatasetBuilder, name: str) -> Iterator[None]:
    """Explain errors in the block: the files of a prepared data set are damaged."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, DecodeError) as error:
        raise InputError(
            "A prepared data set must be whole; delete its folder to prepare it again. "
            f"Received: data=tfds:{name} in {builder.data_dir}: {_first_line(error)}."
        ) from error


def _fields(
    record: bytes, image: str, labels: BuilderLabels, plain: Sequence[str]
) -> tuple[list[list[int]], dict[str, str]]:
    """Return the numbers of the labels and the plain features of a record, as text; "" for a feature that it lacks.

    Raises:
        ValueError: If it has no image, or no label where it must have one.
    """
    feature = tf.train.Example.FromString(record).features.feature
    needed = {image: "bytes_list"} | ({} if labels.several else {labels.features[0]: "int64_list"})
    for one, kind in needed.items():
        if not getattr(feature[one], kind).value:
            raise ValueError(f"a record has no {one!r}")
    numbers = [list(feature[one].int64_list.value) for one in labels.features]
    return numbers, {name: _text(feature[name]) for name in plain}


def _text(feature: tf.train.Feature) -> str:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    if not values:
        return ""
    return (values[0].decode(errors="replace") if isinstance(values[0], bytes) else str(values[0])).strip()
