"""The neuron in the loop: what comes back of a drive, and with which gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.errors import InputError

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
torch.set_num_threads(1)  # small work: threads would only wait for each other


def simulated_counts(pulses: int, slots: int) -> np.ndarray:
    """Spike counts by playing the generic neuron pulse by pulse, written apart from the table."""
    from hil.training.spiking import PULSES_A_SPIKE, VARIATION

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
    from hil.training.spiking import SpikingNeuron

    estimates = SpikingNeuron.generic().estimates(32).numpy()
    levels = np.unique(estimates)
    counts = np.searchsorted(levels, estimates[pulses])
    simulated = simulated_counts(pulses, 40_000)
    error = simulated.std() / np.sqrt(len(simulated))
    assert counts.mean() == pytest.approx(simulated.mean(), abs=5 * error + 1 / 1_024)
    assert counts.std() == pytest.approx(simulated.std(), abs=5 * error + 0.02)


def test_estimates_are_right_on_average_and_nothing_comes_of_nothing() -> None:
    from hil.training.spiking import SpikingNeuron

    estimates = SpikingNeuron.generic().estimates(32)
    assert (estimates[0] == 0).all()
    assert torch.allclose(estimates.mean(dim=1)[6:], torch.arange(6, 33.0), atol=0.15)
    assert estimates.max() > 40


def test_a_calibrated_neuron_is_that_of_the_record(tmp_path: Path) -> None:
    """Its spike counts at 16 pulses against those of the bench it was calibrated on: within 5 standard errors of 4,096
    slots, and a tenth of a spike for the fit.
    """
    from calibration.record import load_record
    from calibration.transfer import TransferCurve
    from hil.cli import main
    from hil.training.spiking import SpikingNeuron

    record = tmp_path / "record.json"
    assert main(["calibrate", "transfer", "--full-scale", "32", "--out", str(record)]) == 0
    curve = TransferCurve.from_dict(load_record(record).curves[0])
    estimates = SpikingNeuron.of_record(record).estimates(32).numpy()
    counts = np.searchsorted(np.unique(estimates), estimates)
    for pulses in (4, 16, 32):
        (row,) = np.flatnonzero(curve.pulses == pulses)
        error = curve.sd_spikes[row] / np.sqrt(curve.slots[row])
        assert counts[pulses].mean() == pytest.approx(curve.mean_spikes[row], abs=5 * error + 0.1)
        assert counts[pulses].std() == pytest.approx(curve.sd_spikes[row], rel=0.15)


def test_drives_come_back_in_pulses_with_noise_and_the_gradient_of_their_mean() -> None:
    """Of 64,000 drives of half full scale the mean comes back within 5 standard errors (false alarms < 1e-6)."""
    from hil.training.spiking import SpikingNeuron, as_spikes

    torch.manual_seed(0)
    estimates = SpikingNeuron.generic().estimates(32)
    full_scale = torch.tensor([2.0, 8.0])
    drive = (full_scale[:, None, None] / 2).expand(320, 2, 10, 10).clone().requires_grad_(True)
    back = as_spikes(drive, full_scale, estimates)
    pulses = back.detach() / full_scale[:, None, None] * 32
    known = set(np.round(estimates.unique().numpy(), 3))
    assert set(np.round(pulses.unique().numpy(), 3)) <= known
    spread = estimates[16].std().item()
    for unit in (0, 1):
        assert pulses[:, unit].mean().item() == pytest.approx(16, abs=5 * spread / np.sqrt(32_000) + 0.05)
        assert pulses[:, unit].std().item() == pytest.approx(spread, rel=0.05)
    back.sum().backward()
    assert torch.equal(drive.grad, torch.ones_like(drive))


def test_what_is_above_full_scale_is_cut_off_and_learns_nothing() -> None:
    from hil.training.spiking import SpikingNeuron, as_spikes

    torch.manual_seed(0)
    drive = torch.full((64, 2, 8, 8), 5.0, requires_grad=True)
    back = as_spikes(drive, torch.tensor([2.0, 8.0]), SpikingNeuron.generic().estimates(32))
    assert back[:, 0].mean().item() == pytest.approx(2.0, rel=0.02)
    assert back[:, 1].mean().item() == pytest.approx(5.0, rel=0.02)
    back.sum().backward()
    assert not drive.grad[:, 0].any()
    assert (drive.grad[:, 1] == 1).all()


def certain(pulses: int) -> Any:
    """Estimates of a neuron that fires at every pulse."""
    return torch.arange(pulses + 1.0)[:, None].expand(-1, 1_024).contiguous()


@pytest.mark.parametrize("units", [32, 64])
def test_for_a_certain_neuron_playing_the_largest_alone_changes_nothing(units: int) -> None:
    """Positive halves and negative ones: within the rounding to pulses, all alike."""
    from hil.training.spiking import pooled_spikes

    torch.manual_seed(1)
    halves = torch.randint(0, 9, (4, units, 28, 28)).float()  # ties in plenty
    full_scale = torch.full((units,), 8.0)
    software = pooled_spikes(halves, full_scale, None, "all")
    assert software.shape == (4, 32, 14, 14)
    for play in ("all", "pooled"):
        assert torch.equal(pooled_spikes(halves, full_scale, certain(8), play), software)


def test_a_batch_is_shared_out_whole() -> None:
    from hil.training.spiking import parse_playings, portions

    ways = parse_playings("pooled:8=5,all:32=3,none=1")
    assert [str(way) for way in ways] == ["pooled:8", "all:32", "none"]
    assert [count for _, count in portions(ways, 128)] == [71, 43, 14]
    for batch in (1, 2, 9, 100):
        assert sum(count for _, count in portions(ways, batch)) == batch


@pytest.mark.parametrize("text", ["", "pooled=3", "pooled:0=1", "all:129=1", "some:8=1", "all:8", "none=0", "all:8=1,"])
def test_a_way_to_play_that_cannot_be_read_is_refused(text: str) -> None:
    from hil.training.spiking import parse_playings

    with pytest.raises(InputError, match="--playing"):
        parse_playings(text)


def test_later_layers_scatter_where_conv1_is_played_and_only_there() -> None:
    from hil.training.learner import Learner
    from hil.training.spiking import SOFTWARE, Playing, parse_later

    torch.manual_seed(1)
    network = Learner(0, later=parse_later("conv2=16,fc1=16")).eval()
    plain = Learner(0).eval()
    images = torch.rand(4, 1, 28, 28)
    network.measure_full_scale(images)
    plain.measure_full_scale(images)
    assert torch.equal(network(images), plain(images))
    playings = [(Playing("all", 128, 1), 2), (SOFTWARE, 2)]
    torch.manual_seed(2)
    one = network(images, playings)
    torch.manual_seed(2)
    two = plain(images, playings)
    assert (one[:2] != two[:2]).any(dim=1).all()
    assert torch.equal(one[2:], two[2:])
    one.sum().backward()
    assert network.raw2.grad is not None
    assert network.raw2.grad.abs().max() > 0


@pytest.mark.parametrize("text", ["", "conv1=8", "fc2=8", "fc1=0", "fc1=129", "conv2=64,fc1"])
def test_which_later_layers_is_checked(text: str) -> None:
    from hil.training.spiking import parse_later

    with pytest.raises(InputError, match=r"--later .* give conv2=N or fc1=N with N in 1…128"):
        parse_later(text)
