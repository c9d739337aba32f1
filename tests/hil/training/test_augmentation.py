from __future__ import annotations

import numpy as np
import pytest

from hil.network.mnist import load_test

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
torch.set_num_threads(1)  # small work: threads would only wait for each other


def test_zeroing_touches_a_share_of_the_images_up_to_a_level() -> None:
    from hil.training.augmentation import zero_some

    rng = torch.Generator().manual_seed(0)
    gone = (zero_some(torch.ones(1_000, 1, 28, 28), 0.6, 0.8, rng) == 0).float().mean(dim=(1, 2, 3))
    assert 0.53 < (gone > 0).float().mean() < 0.67
    assert gone.max() < 0.86
    assert gone[gone > 0].mean().item() == pytest.approx(0.4, abs=0.05)


def test_distortion_moves_strokes_a_little_and_keeps_the_ink() -> None:
    from hil.training.augmentation import distort

    images = torch.from_numpy(load_test()[0][:200].astype(np.float32))[:, None] / 255
    out = distort(images, torch.Generator().manual_seed(0))
    again = distort(images, torch.Generator().manual_seed(0))
    assert torch.equal(out, again)
    assert not torch.equal(out, images)
    assert (out.sum() / images.sum()).item() == pytest.approx(1, abs=0.05)
    rows = torch.arange(28.0)[:, None]
    centre, moved = ((x * rows).sum(dim=(1, 2, 3)) / x.sum(dim=(1, 2, 3)) for x in (images, out))
    assert 0.3 < (centre - moved).abs().mean() < 2.0
    assert (centre - moved).abs().max() < 5.0


def test_distortion_warps_more_than_any_straight_map_could() -> None:
    """Straight strokes bend: the centre of each row of a vertical bar is off the best line through them."""
    from hil.training.augmentation import distort

    bar = torch.zeros(100, 1, 28, 28)
    bar[:, :, 4:24, 13:15] = 1
    out = distort(bar, torch.Generator().manual_seed(1))[:, 0, 8:20]
    columns = torch.arange(28.0)
    centre = ((out * columns).sum(2) / out.sum(2)).numpy()
    rows = np.arange(12.0)
    off = [c - np.polyval(np.polyfit(rows, c, 1), rows) for c in centre]
    assert 0.05 < np.mean(np.abs(off)) < 0.6
