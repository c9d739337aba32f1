"""Training in PyTorch: what it hands over is the network it trained, and an interruption changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from drivers.errors import InputError
from hil.network.layers import LAYERS, activations, as_maps, drives, softmax
from hil.network.mnist import Digits, load_test
from hil.network.weights import LayerWeights
from hil.training.handover import CONV1_PULSES, finish

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
torch.set_num_threads(1)  # small work: threads would only wait for each other

if TYPE_CHECKING:
    from hil.training.epochs import Report
    from hil.training.learner import Learner
    from hil.training.recipes import Stage


@pytest.fixture(scope="module")
def digits() -> Digits:
    images, labels = load_test()
    return images[:640], labels[:640]


@pytest.fixture(scope="module")
def stages() -> tuple[Stage, ...]:
    from hil.training.recipes import Stage
    from hil.training.spiking import parse_playings

    return Stage(1, 1e-2), Stage(2, 5e-3, 0.6, parse_playings("pooled:8=2,all:32=1,none=1"))


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Settling on fewer digits; only the accuracy of the statistics depends on it."""
    import hil.training.epochs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hil.training.epochs, "SETTLING_BATCHES", 1)
        patch.setattr(hil.training.epochs, "WARM_UP", 1)
        yield


@pytest.fixture(scope="module")
def trained(digits: Digits, stages: tuple[Stage, ...], quick: None) -> tuple[Learner, list[Report]]:
    from hil.training.epochs import Trainer

    reports: list[Report] = []
    return Trainer(digits, 3, stages).train(reports.append), reports


def logits_of(network: Learner, images: np.ndarray) -> np.ndarray:
    network.eval()
    with torch.no_grad():
        logits: np.ndarray = network(torch.from_numpy(as_maps(images))).numpy()
    return logits


def test_training_lowers_the_loss_and_reports_every_epoch(trained: tuple[Learner, list[Report]]) -> None:
    _, reports = trained
    assert [(r.stage, r.epoch) for r in reports] == [(0, 0), (1, 0), (1, 1)]
    assert reports[-1].loss < reports[0].loss
    assert [str(a).split()[0] for a in reports[-1].accuracies[:3]] == ["software", "pooled:8", "all:32"]
    assert all(a.share > 0.3 for a in reports[-1].accuracies if a.zeroed == 0)


def test_what_is_handed_over_is_non_negative_and_held_by_thresholds(trained: tuple[Learner, list[Report]]) -> None:
    from hil.training.learner import folded

    tensors = folded(trained[0])
    for name in ("conv1", "conv2", "fc1", "fc2"):
        assert tensors[f"{name}.weight"].min() >= 0
    for name in ("conv1", "conv2", "fc1"):
        assert tensors[f"{name}.bias"].max() <= 0
    assert trained[0].last.weight.min() < 0 < trained[0].last.weight.max()


def test_the_folded_network_gives_the_same_chances(trained: tuple[Learner, list[Report]], digits: Digits) -> None:
    """Folding the normalisation is exact; making the last layer positive shifts all ten logits alike."""
    from hil.training.learner import folded

    tensors = {name: tensor.astype(np.float32) for name, tensor in folded(trained[0]).items()}
    maps = as_maps(digits[0][:64])
    for layer in LAYERS:
        weight, bias = tensors[f"{layer.name}.weight"], tensors[f"{layer.name}.bias"]
        weights = LayerWeights(layer.name, weight, bias, np.ones_like(bias))
        maps = activations(layer, weights, drives(layer, weights, maps))
    ours, theirs = maps.reshape(64, 10), logits_of(trained[0], digits[0][:64])
    shift = ours - theirs
    assert np.ptp(shift, axis=1).max() < 1e-3 * np.abs(ours).max()
    assert shift.mean() > 0.1
    np.testing.assert_allclose(softmax(ours), softmax(theirs), atol=1e-4)


def test_the_finished_layers_have_full_scales_and_are_as_good(
    trained: tuple[Learner, list[Report]], digits: Digits
) -> None:
    from hil.training.learner import folded

    known, held = (digits[0][:40], digits[1][:40]), (digits[0][512:552], digits[1][512:552])
    finished = finish(folded(trained[0]), known, held)
    right = (logits_of(trained[0], held[0]).argmax(axis=1) == held[1]).mean()
    assert finished.accuracy == pytest.approx(right, abs=1 / 40)
    drive = drives(LAYERS[0], finished.layers[0], as_maps(known[0]))
    above = (drive > finished.layers[0].full_scale[:, None]).mean()
    assert above == pytest.approx(1e-3, rel=0.05)
    assert 0 < finished.conv1_pulses < 25_088 * CONV1_PULSES


def test_an_interrupted_training_ends_in_the_same_weights(
    trained: tuple[Learner, list[Report]], digits: Digits, stages: tuple[Stage, ...], tmp_path: Path
) -> None:
    from hil.training.epochs import Trainer

    def interrupt(report: Report) -> None:
        raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint"
    for _ in range(2):  # after the first stage, and within the second
        with pytest.raises(KeyboardInterrupt):
            Trainer(digits, 3, stages, checkpoint).train(interrupt)
    reports: list[Report] = []
    network = Trainer(digits, 3, stages, checkpoint).train(reports.append)
    assert reports == trained[1][2:]
    for name, tensor in trained[0].state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    again: list[Report] = []
    finished = Trainer(digits, 3, stages, checkpoint).train(again.append)
    assert again == []
    assert torch.equal(finished.raw3, network.raw3)


def test_a_foreign_or_broken_checkpoint_is_refused(digits: Digits, stages: tuple[Stage, ...], tmp_path: Path) -> None:
    from hil.training.epochs import Trainer

    checkpoint = tmp_path / "checkpoint"
    torch.save([1, 2], checkpoint)
    with pytest.raises(InputError, match="not a checkpoint of this program"):
        Trainer(digits, 3, stages, checkpoint).train(print)
    torch.save({"training": "seed 4"}, checkpoint)
    with pytest.raises(
        InputError,
        match=r"checkpoint: belongs to another training \(seed 4, not seed 3, 512 digits, positive, neuron generic",
    ):
        Trainer(digits, 3, stages, checkpoint).train(print)
    for content in (b"", b"text", b"PK\3\4 cut short"):
        checkpoint.write_bytes(content)
        with pytest.raises(InputError, match="not a checkpoint of this program"):
            Trainer(digits, 3, stages, checkpoint).train(print)


def test_seeds_decide_everything(digits: Digits) -> None:
    from hil.training.learner import Learner

    one, same, other = Learner(1), Learner(1), Learner(2)
    for (name, tensor), twin in zip(one.named_parameters(), same.parameters(), strict=True):
        assert torch.equal(tensor, twin), name
    assert not torch.equal(one.last.weight, other.last.weight)
    assert not torch.equal(one.raw1, other.raw1)


def test_a_start_is_sparse() -> None:
    from hil.training.learner import Learner

    network = Learner(0)
    for raw, large in ((network.raw1, 4), (network.raw2, 12), (network.raw3, 8)):
        weight = (raw**2).detach().flatten(1)
        assert ((weight > 0.1 / large).sum(dim=1).float().mean() / large).item() == pytest.approx(1, abs=0.15)


def test_a_device_that_is_not_there_is_named(digits: Digits) -> None:
    from hil.training.epochs import Trainer

    with pytest.raises(InputError, match="--device 'toaster' cannot be used"):
        Trainer(digits, 0, device="toaster")
