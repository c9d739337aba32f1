"""Somebody's own digits: pictures of any kind become what the network knows, folders are read or named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from drivers.errors import InputError
from hil.cli import main
from hil.network.mnist import load_test
from hil.network.own import read_own
from hil.network.source import UNKNOWN, DigitSource, folder_source, load_digits, own_source

IMAGES, LABELS = load_test()


def seven(path: Path, ink: Any, paper: Any, mode: str = "RGB", size: tuple[int, int] = (300, 400)) -> Path:
    picture = Image.new(mode, size, paper)
    width, height = size
    points = [(width * x, height * y) for x, y in ((0.25, 0.2), (0.75, 0.2), (0.42, 0.82))]
    ImageDraw.Draw(picture).line(points, fill=ink, width=width // 11, joint="curve")
    picture.save(path)
    return path


def write_idx(folder: Path, images: np.ndarray, labels: np.ndarray, *, packed: bool) -> None:
    folder.mkdir(exist_ok=True)
    for name, array in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
        head = np.array([0x800 + array.ndim, *array.shape], dtype=">u4").tobytes()
        raw = head + array.astype(np.uint8).tobytes()
        (folder / (name + (".gz" if packed else ""))).write_bytes(gzip.compress(raw) if packed else raw)


@pytest.mark.parametrize(
    ("ink", "paper", "mode", "size"),
    [
        ((20, 30, 90), (245, 240, 230), "RGB", (300, 400)),
        (255, 0, "L", (90, 60)),
        (0, 255, "L", (28, 28)),
        ((0, 0, 0, 255), (0, 0, 0, 0), "RGBA", (64, 64)),
    ],
)
def test_ink_and_paper_of_any_kind_become_the_same(tmp_path: Path, ink: Any, paper: Any, mode: str, size: Any) -> None:
    made = read_own(seven(tmp_path / "seven.png", ink, paper, mode, size)).image
    assert made.shape == (28, 28)
    assert made.max() == 255
    assert (made[:3] == 0).all()
    inked = np.argwhere(made > 50)
    assert 18 <= np.ptp(inked, axis=0).max() + 1 <= 20
    middle = (np.argwhere(made > 0) * made[made > 0][:, None]).sum(axis=0) / made.sum()
    assert np.abs(middle - 13.5).max() < 1.0


def test_a_digit_of_the_test_set_is_taken_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    digit = read_own(tmp_path / "a.png")
    np.testing.assert_array_equal(digit.image, IMAGES[0])
    assert len(digit.shown().splitlines()) == 14


def test_what_is_no_digit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("a seven")
    with pytest.raises(InputError, match="not a picture that can be read"):
        read_own(tmp_path / "text.png")
    Image.new("L", (50, 50), 200).save(tmp_path / "empty.png")
    with pytest.raises(InputError, match="no digit to be seen: ink and paper differ by 0 of 255"):
        read_own(tmp_path / "empty.png")


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_of_idx_files_is_read_and_recognised_again(tmp_path: Path, packed: bool) -> None:
    write_idx(tmp_path / "mine", IMAGES[:20], LABELS[:20], packed=packed)
    source = folder_source(tmp_path / "mine")
    images, labels = load_digits(source)
    np.testing.assert_array_equal(images, IMAGES[:20])
    np.testing.assert_array_equal(labels, LABELS[:20])
    write_idx(tmp_path / "mine", IMAGES[1:21], LABELS[1:21], packed=packed)
    with pytest.raises(InputError, match="not the digits that the run was begun with"):
        load_digits(source)


def test_folders_that_cannot_be_used_are_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no t10k-images-idx3-ubyte and no t10k-labels-idx1-ubyte"):
        folder_source(tmp_path)
    write_idx(tmp_path, np.zeros((3, 32, 32)), np.zeros(3), packed=False)
    with pytest.raises(InputError, match="images are 32×32; they must be 28×28"):
        folder_source(tmp_path)
    write_idx(tmp_path, np.zeros((3, 28, 28)), np.zeros(2), packed=False)
    with pytest.raises(InputError, match="3 images but 2 labels"):
        folder_source(tmp_path)


def test_own_digits_travel_in_the_settings(tmp_path: Path) -> None:
    digit = read_own(seven(tmp_path / "seven.png", 0, 255, "L"))
    source = DigitSource.model_validate_json(own_source([digit, digit], [], ["a", "b"]).model_dump_json())
    images, labels = load_digits(source)
    np.testing.assert_array_equal(images, [digit.image] * 2)
    assert labels.tolist() == [UNKNOWN] * 2


# ---- as commands ----------------------------------------------------------------------------------------------------


def test_a_drawn_seven_is_run_replayed_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(seven(tmp_path / "seven.png", (20, 30, 90), (245, 240, 230)))
    assert main(["run", "--image", picture, "--out", "a.sqlite", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert [d["answer"] for d in result["digits"]] == [7]
    assert (result["digits"][0]["label"], result["accuracy"]) == (UNKNOWN, None)
    assert "300×400 RGB, inverted, its ink of" in err
    Path(picture).unlink()  # the run file has it
    assert main(["replay", "a.sqlite"]) == 0
    assert main(["report", "a.sqlite"]) == 0
    capsys.readouterr()
    assert main(["runs", "."]) == 0
    assert "%" not in capsys.readouterr().out.split("a.sqlite")[1].splitlines()[0].replace("noise 0 %", "")


def test_labels_are_compared_where_they_are_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(seven(tmp_path / "seven.png", 0, 255, "L"))
    assert main(["run", "--image", picture, "--label", "7"]) == 0
    assert "1 of 1 right" in capsys.readouterr().out
    assert main(["run", "--image", picture, "--label", "7", "--label", "1"]) == 2
    assert main(["run", "--image", picture, "--label", "12"]) == 2
    assert main(["run", "--image", picture, "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "2 --label for 1 --image" in said
    assert "--label 12: a digit" in said
    assert "one or the other" in said


def test_a_folder_serves_run_evaluate_and_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_idx(tmp_path / "mine", IMAGES[7:12], LABELS[7:12], packed=False)
    data = ["--data", str(tmp_path / "mine"), "--physical", "conv1:0", "--json"]
    assert main(["run", "--digits", "1:3", *data]) == 0
    assert [d["label"] for d in json.loads(capsys.readouterr().out)["digits"]] == LABELS[8:10].tolist()
    assert main(["evaluate", "--workers", "1", *data]) == 0
    assert json.loads(capsys.readouterr().out)["levels"][0]["digits"] == 5
    assert main(["plan", *data]) == 0
    capsys.readouterr()
    assert main(["run", "--digits", "0:6", *data]) == 2
    assert "allowed 0:5" in capsys.readouterr().err
