from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hil.network.mnist
from drivers.errors import InputError
from hil.network.mnist import is_mnist, load_test, load_training, read_images, read_labels, zero_pixels


def idx(magic: int, shape: tuple[int, ...], body: bytes) -> bytes:
    return gzip.compress(struct.pack(f">{1 + len(shape)}I", magic, *shape) + body, mtime=0)


def test_the_test_set_ships_whole() -> None:
    images, labels = load_test()
    assert images.shape == (10_000, 28, 28)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (idx(0x803, (2, 28, 28), b"\0" * 784), "x: 784 bytes of data where the header says 1568"),
        (idx(0x801, (2, 28, 28), b"\0" * 1568), "x: magic number 0x801; it must be 0x803"),
        (idx(0x803, (1, 20, 20), b"\0" * 400), "x: images are 20×20; they must be 28×28"),
        (gzip.compress(b"\0\0", mtime=0), "x: 2 bytes is too short"),
        (b"not gzip", "x: 8 bytes is too short for an idx header"),
        (idx(0x803, (1, 28, 28), b"\0" * 784)[:-9], "x: corrupt or truncated"),
    ],
)
def test_a_broken_image_file_is_named(raw: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_images(raw, "x")


def test_an_impossible_label_is_named() -> None:
    with pytest.raises(InputError, match="label 10 is outside 0…9"):
        read_labels(idx(0x801, (2,), bytes([3, 10])), "labels")


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    for data in (raw, gzip.compress(raw)):
        with pytest.raises(InputError):
            read_images(data, "x")


def test_a_folder_is_trained_on_whatever_it_holds(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(
        InputError, match=rf"^{tmp_path}: there is no train-images-idx3-ubyte and no train-labels-idx1-ubyte"
    ):
        load_training(tmp_path, told.append)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(gzip.decompress(idx(0x803, (3, 28, 28), b"\7" * 3 * 784)))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx(0x801, (3,), b"\1\2\3"))
    digits = load_training(tmp_path, told.append)
    assert digits[1].tolist() == [1, 2, 3]
    assert told == [f"{tmp_path}: 3 images that are not MNIST's"]
    assert not is_mnist(digits)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx(0x801, (2,), b"\1\2"))
    with pytest.raises(InputError, match="3 images but 2 labels"):
        load_training(tmp_path, told.append)


def test_a_damaged_file_in_the_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "memristive-hil/mnist"
    cache.mkdir(parents=True)
    (cache / "train-images-idx3-ubyte.gz").write_bytes(b"x")
    with pytest.raises(InputError, match="MD5 is 9dd4e461268c8034f5c8564e155c67a6; it must be f68b3c2d"):
        load_training(None, print)


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two mirrors (folders), the first holding nothing, the second a small training set; the cache is empty."""
    names = list(hil.network.mnist.TRAINING_MD5)
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    (folders[1] / names[0]).write_bytes(idx(0x803, (3, 28, 28), b"\7" * 3 * 784))
    (folders[1] / names[1]).write_bytes(idx(0x801, (3,), b"\1\2\3"))
    monkeypatch.setattr(hil.network.mnist, "MIRRORS", tuple(folder.as_uri() + "/" for folder in folders))
    for name in names:
        md5 = hashlib.md5((folders[1] / name).read_bytes(), usedforsecurity=False).hexdigest()
        monkeypatch.setitem(hil.network.mnist.TRAINING_MD5, name, md5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folders


def test_training_files_come_from_the_next_mirror_and_then_from_the_cache(mirrors: list[Path], tmp_path: Path) -> None:
    told: list[str] = []
    images, labels = load_training(None, told.append)
    assert images.shape == (3, 28, 28)
    assert labels.tolist() == [1, 2, 3]
    assert len(told) == 4
    cached = sorted(p.name for p in (tmp_path / "cache/memristive-hil/mnist").iterdir())
    assert cached == sorted(hil.network.mnist.TRAINING_MD5)
    load_training(None, told.append)
    assert len(told) == 4


def test_a_mirror_that_answers_wrongly_leaves_nothing_behind(mirrors: list[Path], tmp_path: Path) -> None:
    for name in hil.network.mnist.TRAINING_MD5:
        (mirrors[1] / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(
        InputError, match=r"cannot be downloaded \(.*No such file.*second/: MD5 \w+ is wrong\); give a folder"
    ):
        load_training(None, print)
    assert not (tmp_path / "cache").exists()


class CutShort(http.server.BaseHTTPRequestHandler):
    """Promises more than it sends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"cut short")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        pass


def test_a_download_that_is_cut_short_goes_to_the_next_mirror(
    mirrors: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), CutShort) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        first = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(hil.network.mnist, "MIRRORS", (first, mirrors[1].as_uri() + "/"))
        images, _ = load_training(None, print)
        server.shutdown()
    assert len(images) == 3


def test_a_cache_that_cannot_be_written_is_named(mirrors: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(InputError, match=r"cannot keep .*train-images.*; set XDG_CACHE_HOME"):
        load_training(None, print)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_exactly_the_asked_share_of_pixels_is_zeroed(share: float, seed: int) -> None:
    images = np.full((2, 28, 28), 255, dtype=np.uint8)
    noisy = zero_pixels(images, share, np.random.default_rng(seed))
    assert ((noisy == 0).sum(axis=(1, 2)) == round(share * 784)).all()
    assert (zero_pixels(images, share, np.random.default_rng(seed)) == noisy).all()
