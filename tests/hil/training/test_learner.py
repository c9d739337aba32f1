"""The network in training: taking up trained weights, weights of either sign, and a teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hil.network.layers import LAYERS, activations, as_maps, drives
from hil.network.mnist import load_test
from hil.network.weights import LayerWeights, Weights

torch = pytest.importorskip("torch", reason="PyTorch, the extra 'train', is not installed")
torch.set_num_threads(1)  # small work: threads would only wait for each other

IMAGES = load_test()[0][:64]
MAPS = torch.from_numpy(as_maps(IMAGES))


def in_software(layers: tuple[LayerWeights, ...]) -> np.ndarray:
    maps = as_maps(IMAGES)
    for layer, weights in zip(LAYERS, layers, strict=True):
        maps = activations(layer, weights, drives(layer, weights, maps))
    return maps.reshape(len(maps), -1)


def either_sign(weights: Weights) -> Weights:
    """The network with random weights of either sign and biases of either sign."""
    rng = np.random.default_rng(2)
    layers = tuple(
        LayerWeights(
            layer.name,
            (layer.weight * rng.choice([-1, 1], layer.weight.shape)).astype(np.float32),
            (layer.bias * rng.choice([-1, 1], layer.bias.shape)).astype(np.float32),
            np.repeat(layer.full_scale, 2),
        )
        for layer in weights.layers
    )
    return replace(weights, layers=layers, sign="differential")


def test_going_on_from_weights_of_either_sign_begins_with_what_they_were(shipped: Weights) -> None:
    from hil.training.learner import Learner

    weights = either_sign(shipped)
    learner = Learner(0, "differential").eval()
    learner.begin_from(weights.layers, MAPS)
    with torch.no_grad():
        logits = learner(MAPS).numpy()
    expected = in_software(weights.layers)
    np.testing.assert_allclose(logits, expected, atol=2e-3 * np.abs(expected).max())


def test_going_on_from_positive_weights_changes_little_and_lets_every_root_move(shipped: Weights) -> None:
    from hil.training.learner import Learner

    learner = Learner(0).eval()
    learner.begin_from(shipped.layers, MAPS)
    assert all((raw > 0).all() for raw in learner.raws)
    with torch.no_grad():
        answers = learner(MAPS).argmax(1).numpy()
    assert (answers == in_software(shipped.layers).argmax(axis=1)).mean() > 0.95


def test_a_differential_network_is_handed_over_as_it_was(shipped: Weights) -> None:
    from hil.training.handover import finish
    from hil.training.learner import Learner, folded

    learner = Learner(3, "differential").eval()
    digits = IMAGES[:20], load_test()[1][:20]
    finished = finish(folded(learner), digits, digits, "differential")
    assert all(layer.halves == 2 for layer in finished.layers)
    assert min(layer.weight.min() for layer in finished.layers) < 0
    with torch.no_grad():
        logits = learner(MAPS).numpy()
    np.testing.assert_allclose(in_software(finished.layers), logits, atol=0.02 * np.abs(logits).max())  # float16


def test_conv1_is_played_in_halves_and_subtracted() -> None:
    """With 128 pulses pooled, the mean over 40 draws is software's, within 5 standard errors and the rounding."""
    from hil.training.learner import Learner
    from hil.training.spiking import parse_playings

    torch.manual_seed(0)
    learner = Learner(3, "differential").eval()
    learner.measure_full_scale(MAPS)
    (way,) = parse_playings("pooled:128=1")
    with torch.no_grad():
        halves = learner.halves(MAPS[:4])
        assert halves.min() >= 0
        draws = torch.stack([learner._conv1(MAPS[:4], [(way, 4)]) for _ in range(40)])
        software = learner._conv1(MAPS[:4], [])
    scale = learner.full_scale.max().item()
    off = (draws.mean(0) - software).abs()
    error = draws.std(0) / np.sqrt(40)
    assert (off <= 5 * error + 0.02 * scale).float().mean() > 0.999  # a thousandth is above full scale, and cut off


def test_a_teacher_is_followed(shipped: Weights) -> None:
    """The loss of a network that says what the teacher says is the labels' share and nothing more."""
    from hil.training.epochs import TAUGHT, Pupil, Trainer

    digits = IMAGES, load_test()[1][:64]
    weights = either_sign(shipped)
    taught = Trainer(digits, 0, pupil=Pupil("differential", teacher=weights))
    labels = taught.labels[:40]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert taught.teacher is not None
        said = taught.teacher(MAPS[:40]).float()
    alone = torch.nn.functional.cross_entropy(said, labels).item()
    same = taught._loss(said, MAPS[:40], labels).item()
    assert same == pytest.approx((1 - TAUGHT) * alone, rel=1e-4, abs=1e-4)
    assert taught._loss(said.flip(1), MAPS[:40], labels) > same
    assert f"teacher {weights.digest[:12]}" in taught._training()


def test_a_learner_that_sees_dark_pixels_sums_what_the_network_does() -> None:
    from hil.training.learner import Learner

    network = Learner(0, sees="on-off")
    images = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    weight = (network.raw1**2).detach().numpy()
    assert weight.shape == (32, 2, 5, 5)
    kernels = LayerWeights("conv1", weight, np.zeros(32, np.float32), np.ones(32, np.float32))
    found = network.halves(torch.from_numpy(images)).detach().numpy().reshape(2, 32, -1)
    assert found == pytest.approx(drives(LAYERS[0], kernels, images), rel=1e-4, abs=1e-5)


def test_what_is_above_threshold_is_played_and_nothing_else() -> None:
    """Many pulses tell nearly what software says; that the drive is large below threshold costs nothing."""
    from hil.training.learner import Learner
    from hil.training.spiking import Playing

    torch.manual_seed(0)
    images = torch.rand(8, 1, 28, 28)
    error = {}
    for coding in ("whole", "excess"):
        network = Learner(0, sees="on-off", coding=coding).eval()
        network.measure_full_scale(images)
        network.norm1.running_mean.copy_(0.9 * network.full_scale)  # what is below is most of it
        network.norm1.running_var.fill_((0.1 * network.full_scale.max()) ** 2)
        software = network(images)
        error[coding] = (network(images, [(Playing("pooled", 32, 1), 8)]) - software).abs().mean().item()
    assert 0 < error["excess"] < error["whole"] / 10, error
