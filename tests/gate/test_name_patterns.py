"""What file names say besides the class."""

from tlmed.gate.name_patterns import describe_names


def test_names_of_classes_are_taken_out_in_any_spelling():
    classes = ["No contrast", "ill"]
    found = describe_names(
        ["x/NO_CONTRAST 07.png", "x/no-contrast08.png", "x/ill.png", "x/Ill 2.png", "x/illness.png"], "nnyyy", classes
    )
    assert found["words"] == [" #", "#", "", " #", "illness"]


def test_short_classes_are_taken_out_only_where_they_stand_alone():
    found = describe_names(["d/10.png", "d/img_0_12.png", "d/a1.png"], ["0", "0", "1"], ["0", "1"])
    assert found["number 1"] == ["10", "12", "1"]


def test_numbers_do_not_count_where_each_class_counts_its_own_files():
    by_name = [
        f"{label}/{label} ({number}).png"
        for label, most in (("benign", 30), ("malignant", 9))
        for number in range(most)
    ]
    labels = [path.partition("/")[0] for path in by_name]
    classes = ["benign", "malignant"]
    assert not {"number 1", "digits", "length"} & set(describe_names(by_name, labels, classes))
    by_folder = [f"{label}/{path.partition('(')[2][:-5]}.png" for label, path in zip(labels, by_name, strict=True)]
    assert not {"number 1", "digits", "length"} & set(describe_names(by_folder, labels, classes))
    global_numbers = [f"{label}/{number}.png" for number, label in enumerate(labels)]
    assert describe_names(global_numbers, labels, classes)["number 1"] == [str(number) for number in range(39)]


def test_folders_count_unless_they_are_the_classes():
    labels = ["a", "b", "a", "b"]
    own = describe_names(["a/1.png", "b/2.png", "a/3.png", "b/4.png"], labels, ["a", "b"])
    assert set(own["folder"]) == {""}
    other = describe_names(["neg/1.png", "pos/2.png", "neg/3.png", "pos/4.png"], labels, ["a", "b"])
    assert set(other["folder"]) == {""}  # they say the class in other words
    sites = describe_names(["x/a/1.png", "x/b/2.png", "y/a/3.png", "y/b/4.png"], labels, ["a", "b"])
    assert sites["folder"] == ["x/", "x/", "y/", "y/"]


def test_parts_of_a_file_have_its_name():
    found = describe_names(["a/v1.nii.gz#plane=12", "b/w.dcm"], ["a", "b"], ["a", "b"])
    assert found["ending"] == [".gz", ".dcm"]
    assert found["number 1"] == ["1", ""]
