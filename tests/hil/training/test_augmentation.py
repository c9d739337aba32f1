from __future__ import annotations

import numpy as np
import pytest

from hil.network.mnist import load_test

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
torch.set_num_threads(1)  # small work: threads would only wait for each other


def simulated_counts(pulses: int, slots: int) -> np.ndarray:
    """Spike counts by playing the generic neuron pulse by pulse, written apart from the table."""
    from hil.training.augmentation import PULSES_A_SPIKE, VARIATION

    rng = np.random.default_rng(0)
    mean, deviation = PULSES_A_SPIKE - 0.5, VARIATION * PULSES_A_SPIKE
    to_fire = np.ceil(rng.gamma((mean / deviation) ** 2, deviation**2 / mean, (slots, pulses + 1)))
    counts: np.ndarray = (np.cumsum(to_fire, axis=1) <= pulses).sum(axis=1)
    return counts


@pytest.mark.parametrize("pulses", [1, 3, 8, 32])
def test_estimates_are_those_of_a_renewal_process(pulses: int) -> None:
    """Mean and spread of the counts against a simulation of 40,000 slots: 5 standard errors, false alarms < 1e-6.

    The table's own rounding (1,024 chances) is allowed for.
    """
    from hil.training.augmentation import spiking_estimates

    estimates = spiking_estimates(32).numpy()
    levels = np.unique(estimates)
    counts = np.searchsorted(levels, estimates[pulses])
    simulated = simulated_counts(pulses, 40_000)
    error = simulated.std() / np.sqrt(len(simulated))
    assert counts.mean() == pytest.approx(simulated.mean(), abs=5 * error + 1 / 1_024)
    assert counts.std() == pytest.approx(simulated.std(), abs=5 * error + 0.02)


def test_estimates_are_right_on_average_and_nothing_comes_of_nothing() -> None:
    from hil.training.augmentation import spiking_estimates

    estimates = spiking_estimates(32)
    assert (estimates[0] == 0).all()
    assert torch.allclose(estimates.mean(dim=1)[6:], torch.arange(6, 33.0), atol=0.15)
    assert estimates.max() > 40


def test_drives_come_back_in_pulses_with_noise_and_a_straight_gradient() -> None:
    """Of 64,000 drives of half full scale the mean comes back within 5 standard errors (false alarms < 1e-6)."""
    from hil.training.augmentation import as_spikes, spiking_estimates

    torch.manual_seed(0)
    estimates = spiking_estimates(32)
    full_scale = torch.tensor([2.0, 8.0])
    drive = (full_scale[:, None, None] / 2).expand(320, 2, 10, 10).clone().requires_grad_(True)
    back = as_spikes(drive, full_scale, estimates, 1.0)
    pulses = back.detach() / full_scale[:, None, None] * 32
    known = set(np.round(estimates.unique().numpy(), 3))
    assert set(np.round(pulses.unique().numpy(), 3)) <= known
    spread = estimates[16].std().item()
    for unit in (0, 1):
        assert pulses[:, unit].mean().item() == pytest.approx(16, abs=5 * spread / np.sqrt(32_000) + 0.05)
        assert pulses[:, unit].std().item() == pytest.approx(spread, rel=0.05)
    back.sum().backward()
    assert torch.equal(drive.grad, torch.ones_like(drive))
    half = as_spikes(drive, full_scale, estimates, 0.5)
    touched = (half != drive).flatten(1).any(dim=1)
    assert 100 < touched.sum() < 220
    assert torch.equal(as_spikes(drive, full_scale, estimates, 0.0), drive)


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
    assert 0.3 < (centre - moved).abs().mean() < 1.5
    assert (centre - moved).abs().max() < 3.5
