"""Masks beside images are left out, by their name and by what they show; nothing else is."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tlmed.data import load, masks, open_source, read_files
from tlmed.data.masks import find_masks, has_two_values


def picture(seed, size=48):
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, (size, size), np.uint8))


def mask(size=48, empty=False):
    pixels = np.zeros((size, size), np.uint8)
    if not empty:
        pixels[10:30, 12:40] = 255
    return Image.fromarray(pixels)


@pytest.fixture
def busi(tmp_path):
    """Give a folder as the Dataset of breast ultrasound images comes: one or two masks beside each image."""
    for label, name in enumerate(("benign", "normal")):
        (tmp_path / name).mkdir()
        for i in range(1, 9):
            picture(100 * label + i).save(tmp_path / name / f"{name} ({i}).png")
            mask(empty=name == "normal").save(tmp_path / name / f"{name} ({i})_mask.png")
        mask().save(tmp_path / name / f"{name} (1)_mask_1.png")
    return tmp_path


def test_masks_in_class_folders_are_left_out_counted_and_named(busi):
    table = open_source(busi)
    assert len(table) == 16
    assert not any("mask" in path for path in table.paths)
    assert any(note.startswith("Left out, as masks of other images: 18 files ('benign/") for note in table.notes)
    assert any("and 15 more" in note for note in load(busi, (16, 16)).warnings)


def test_masks_in_a_listing_are_left_out_with_their_groups(busi):
    paths = sorted(path.relative_to(busi).as_posix() for path in busi.rglob("*.png"))
    rows = [f"{path},{path[:6]},{number}" for number, path in enumerate(paths)]
    (busi / "list.csv").write_text("\n".join(["path,label,group", *rows]))
    table = open_source(busi / "list.csv")
    assert len(table) == 16
    assert table.groups == tuple(str(number) for number, path in enumerate(paths) if "mask" not in path)
    assert table.skipped == ()


def test_masks_in_a_folder_are_not_predicted(busi):
    names, _, left_out = read_files([busi], (16, 16))
    assert len(names) == 16
    assert len(left_out) == 18
    assert left_out[0][1].startswith("it is a mask of ")
    single = busi / "benign" / "benign (1)_mask.png"
    assert read_files([single], (16, 16))[0] == [single.as_posix()], "what is named itself is meant"


@pytest.mark.parametrize(
    ("name", "is_mask"),
    [
        *(("x_mask.png", True), ("x_mask_1.png", True), ("x mask (2).PNG", True), ("X-Seg.bmp", True)),
        *(("x_segmentation.tif", True), ("xmask.png", False), ("y_mask.png", False), ("unmasked.png", False)),
        *(("xMask.png", False), ("mask_x.png", True), ("seg-x.png", True), ("x_segmentation_map.png", True)),
        *(("x (mask).png", True), ("x_lesion.png", True), ("x_labels.png", True), ("x_binary_mask.png", True)),
        *(("mask_y.png", False), ("x_GT.png", True), ("x_contour.png", True), ("masks/x.png", False)),
        *(("x_Maske.png", True), ("x-masken.png", True), ("masque_x.png", True), ("x_mascara.png", True)),
        *(("x_máscara.png", True), ("x_ma\u0301scara.png", True), ("x_maschera.png", True), ("x_masker.png", True)),
        *(("x_Segmentierung.png", True), ("x_segmentación_2.png", True), ("x_kontur.png", True)),
        *(("x_maskiert.png", False), ("x_mascarade.png", False)),
        *(("x_1.png", False), ("mask.png", False), ("sub/x_mask.png", False)),
    ],
)
def test_the_name_says_whose_mask_it_is(tmp_path, name, is_mask):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    picture(1).save(tmp_path / "x.png")
    mask().save(tmp_path / name)
    assert (name in find_masks(tmp_path, ["x.png", name]).of) is is_mask


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_masks_with_soft_edges_and_in_jpeg_are_masks(tmp_path, quality):
    picture(1, 200).save(tmp_path / "x.png")
    soft = mask(200).filter(ImageFilter.GaussianBlur(1))
    soft.save(tmp_path / "x_mask.jpg", quality=quality)
    assert find_masks(tmp_path, ["x.png", "x_mask.jpg"]).of == {"x_mask.jpg": "x.png"}


def test_an_image_that_is_called_a_mask_is_used_and_told(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture(len(name)).save(tmp_path / name / "x.png")
    picture(3).save(tmp_path / "a" / "x_mask.png")
    table = open_source(tmp_path)
    assert len(table) == 3
    [note] = table.notes
    assert note.startswith("Used as images, although they are called masks")
    assert note.endswith("1 file ('a/x_mask.png').")


def test_masks_lie_in_a_folder_beside_that_of_the_images(tmp_path):
    names = ["images/x.png", "images/z.png", "Masks/x.png", "Masks/z_mask.png", "Masks/y.png", "x.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (mask() if "mask" in name.lower() else picture(1)).save(tmp_path / name)
    assert find_masks(tmp_path, names).of == {"Masks/x.png": "images/x.png", "Masks/z_mask.png": "images/z.png"}


def test_folders_of_masks_have_names_in_other_languages(tmp_path):
    names = ["Bilder/x.png", "Masken/x.png", "immagini/y.png", "maschere/y.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (mask() if "mas" in name.lower() else picture(1)).save(tmp_path / name)
    assert find_masks(tmp_path, names).of == {"Masken/x.png": "Bilder/x.png", "maschere/y.png": "immagini/y.png"}


def save_classes(folder, **classes):
    for name, pictures in classes.items():
        (folder / name).mkdir()
        for i, image in enumerate(pictures):
            image.save(folder / name / f"{name}{i}.png")
    return folder


def of_masks(folder):
    return [said for said in load(folder, (16, 16)).warnings if "two colours" in said]


def test_what_looks_like_masks_by_its_content_alone_is_used_counted_and_named(tmp_path):
    save_classes(tmp_path, a=[*map(picture, range(9)), mask()], b=[picture(20 + i) for i in range(9)])
    assert of_masks(tmp_path) == [
        "Used as images, although they have two colours only, as masks have: 1 file ('a/a9.png'). If they are masks of "
        "other images, remove them."
    ]
    assert of_masks(tmp_path) == of_masks(tmp_path)


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_a_class_of_masks_is_told(form, tmp_path):
    save_classes(tmp_path, a=map(picture, range(9)), b=[picture(20 + i) for i in range(9)])
    (tmp_path / "masks").mkdir()
    for i in range(6):
        mask(200 + 8 * i).save(tmp_path / "masks" / f"{i}.{form}")
    [said] = of_masks(tmp_path)
    assert said.startswith("All 6 images of the class 'masks' have two colours only, as masks have: if they are masks")


def test_faces_with_masks_and_scans_of_text_are_no_masks(tmp_path):
    save_classes(tmp_path, mask=map(picture, range(9)), without=[picture(20 + i) for i in range(9)])
    assert of_masks(tmp_path) == []
    (tmp_path / "text").mkdir()
    pages = [[picture(i).convert("1") for i in range(start, start + 9)] for start in (0, 20)]
    save_classes(tmp_path / "text", letter=pages[0], form=[*pages[1], picture(1)])
    assert of_masks(tmp_path / "text") == []


def test_two_values_are_told_in_every_form(tmp_path):
    for form in ("png", "bmp", "tif", "gif"):
        mask().save(tmp_path / f"x.{form}")
        picture(1).save(tmp_path / f"y.{form}")
        assert has_two_values((tmp_path / f"x.{form}").read_bytes())
        assert not has_two_values((tmp_path / f"y.{form}").read_bytes())
    mask().convert("RGB").save(tmp_path / "large.png", compress_level=0)
    Image.fromarray(np.repeat(np.uint8([[0, 255]] * 8), 8, axis=1)).save(tmp_path / "flat.jpg", quality=100)
    assert has_two_values((tmp_path / "large.png").read_bytes())
    assert has_two_values((tmp_path / "flat.jpg").read_bytes())
    assert has_two_values(np.asarray(mask()))
    assert not has_two_values(np.zeros((4, 4), np.uint8))
    assert not has_two_values(np.asarray(mask().resize((47, 47), Image.Resampling.BILINEAR)))


def soft(size=64):
    return mask(size).filter(ImageFilter.GaussianBlur(1))


def coloured(size=64):
    """Return a mask of three things, each with a colour of its own."""
    pixels = np.zeros((size, size, 3), np.uint8)
    for i, colour in enumerate([(255, 0, 0), (255, 255, 0), (0, 120, 255)]):
        pixels[10 * i : 10 * i + 9, 12:40] = colour
    return Image.fromarray(pixels)


def smooth(seed, size=64):
    """Return a picture of soft blobs on black, as fluorescence gives."""
    spots = np.random.RandomState(seed).rand(size, size) > 0.995
    return (
        Image.fromarray(np.uint8(255 * spots))
        .filter(ImageFilter.GaussianBlur(2))
        .point(lambda value: min(255, 12 * value))
    )


def dark(seed, size=64):
    return picture(seed, size).point(lambda value: value // 16)


@pytest.mark.parametrize("form", ["png", "jpg"])
@pytest.mark.parametrize("name", ["{}_umriss", "cizgi-{}", "{} (Läsion) 1", "{}_境界"])
def test_soft_masks_under_any_word_beside_images_are_used_and_told(tmp_path, name, form):
    paths = []
    for i in range(4):
        picture(i, 200).save(tmp_path / f"p{i}_1.png")
        soft(200).save(tmp_path / f"{name.format(f'p{i}_1')}.{form}", quality=90)
        paths += [f"p{i}_1.png", f"{name.format(f'p{i}_1')}.{form}"]
    found = find_masks(tmp_path, paths)
    assert (found.of, found.alike) == ({}, tuple(paths[1::2]))
    (said,) = found.describe()
    assert said.startswith("Used as images, although they look like masks of images whose names they continue (if t")
    assert find_masks(tmp_path, paths[:4]).alike == ()  # two are no rule


@pytest.mark.parametrize(
    ("image", "beside", "told"),
    [
        (lambda i: picture(i, 64), lambda i: coloured(), True),
        (lambda i: picture(i, 64), lambda i: mask(64), False),  # two colours only: that is told anyway
        (lambda i: picture(i, 64), lambda i: picture(9 + i, 64), False),
        (lambda i: picture(i, 64), lambda i: smooth(i), False),
        (lambda i: picture(i, 64), lambda i: soft() if i else picture(9, 64), False),
        (lambda i: soft(), lambda i: soft(), False),  # drawings
        (lambda i: picture(i, 64), lambda i: dark(i), False),
        (lambda i: smooth(i), lambda i: smooth(9 + i), False),
    ],
)
def test_views_and_channels_beside_images_are_no_masks(tmp_path, image, beside, told):
    paths = []
    for i in range(4):
        image(i).save(tmp_path / f"p{i}.png")
        beside(i).save(tmp_path / f"p{i}_left.png")
        paths += [f"p{i}.png", f"p{i}_left.png"]
    assert bool(find_masks(tmp_path, paths).alike) is told


def test_only_one_view_is_read_where_views_are_no_masks(tmp_path, monkeypatch):
    read, paths = [], [f"p{i}{view}.png" for i in range(9) for view in ("", "_left")]
    for i, path in enumerate(paths):
        picture(i).save(tmp_path / path)
    original = masks.read_regular
    monkeypatch.setattr(masks, "read_regular", lambda path: read.append(path) or original(path))
    assert find_masks(tmp_path, paths).describe() == ()
    assert len(read) == 1


def test_a_mask_of_several_colours_is_left_out_by_its_name(tmp_path):
    picture(1, 64).save(tmp_path / "x.png")
    coloured().save(tmp_path / "x_mask.png")
    assert find_masks(tmp_path, ["x.png", "x_mask.png"]).of == {"x_mask.png": "x.png"}
