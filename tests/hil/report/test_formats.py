"""Exports opened by the programs they are for: the same counts there as in the run."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from drivers.benchfile import load_bench
from drivers.decode.spikes import counted_pulses, decode
from drivers.errors import InputError
from drivers.mock.bench import MockBench
from drivers.signals import CLOCK_RATIO, Capture
from hil.cli import main
from hil.network.layers import LAYERS, activations, as_maps, drives
from hil.network.mnist import load_test
from hil.network.weights import SHAPES, Weights, load_weights
from hil.report.formats.networks import to_graph
from hil.store.runfile import RunFile


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("formats") / "run.sqlite"
    argv = ["run", "--digits", "4:6", "--physical", "conv1:3", "--traces", "--out", str(path), "--json"]
    assert main([*argv, "--full-scale", "conv1=12"]) == 0
    return path


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without traces: nobody knows when spikes were."""
    path = tmp_path_factory.mktemp("formats") / "counted.sqlite"
    assert main(["run", "--digits", "4", "--physical", "conv1:3", "--out", str(path), "--json"]) == 0
    return path


def totals(path: Path) -> tuple[int, int, int]:
    """Pulses, spikes, and played slots."""
    with RunFile.open(path) as run:
        found = run.totals()
        return found["pulses"], found["spikes"], found["resets"]


def exported(run: Path, to: str, out: str, *more: str) -> Path:
    assert main(["export", str(run), "--to", to, "--out", out, *more]) == 0
    return Path(out)


def rises(line: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(line.astype(int), prepend=0) == 1))


def sigrok(*argv: str) -> str:
    if shutil.which("sigrok-cli") is None:
        pytest.skip("sigrok-cli is not installed")
    done = subprocess.run(["sigrok-cli", *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sigrok_opens_a_session_with_named_lines_and_equal_counts(recorded: Path) -> None:
    session = str(exported(recorded, "sr", "a.sr"))
    shown = sigrok("-i", session, "--show")
    assert "Samplerate: 2500000" in shown
    for name in ("dendrite", "reset", "sync", "axon"):
        assert f"- {name}: logic" in shown
    rows = sigrok("-i", session, "-O", "csv:header=false:label=off", "-C", "dendrite,reset,sync,axon").splitlines()
    lines = np.array([row.split(",") for row in rows if row[:1] in ("0", "1")], dtype=int)
    pulses, spikes, slots = totals(recorded)
    assert [rises(lines[:, i]) for i in range(4)] == [pulses, slots, slots + 2, spikes]


def test_sigrok_opens_analog_channels_in_volts(recorded: Path) -> None:
    session = str(exported(recorded, "sr", "a.sr", "--traces", "--digits", "5"))
    shown = sigrok("-i", session, "--show")
    assert "- sync_V: analog" in shown
    rows = sigrok("-i", session, "-O", "csv:header=false:label=off", "-C", "axon_V,sync_V").splitlines()
    volts = np.array([row.split(",") for row in rows if row[:1] in "-0123456789" and "," in row], dtype=float)
    with RunFile.open(recorded) as run:
        capture = run.load(run.shot_ids()[1], None)
    axon = next(trace for trace in capture.traces if trace.name == "axon")
    assert rises(volts[:, 0] > 1.65) == int(capture.spikes.sum())
    assert rises(volts[:, 1] > 1.65) == int(capture.frame.played.sum()) + 1
    assert np.abs(volts[: len(axon.codes), 0] - axon.volts).max() < 1e-3


def test_a_run_without_traces_gives_its_planned_lines(counted: Path) -> None:
    session = str(exported(counted, "sr", "c.sr"))
    rows = sigrok("-i", session, "-O", "csv:header=false:label=off", "-C", "dendrite,axon").splitlines()
    lines = np.array([row.split(",") for row in rows if row[:1] in ("0", "1")], dtype=int)
    assert [rises(lines[:, i]) for i in range(2)] == [totals(counted)[0], 0]


def test_a_vcd_reader_finds_every_change(recorded: Path) -> None:
    pytest.importorskip("vcd", reason="the extra 'vcd' is not installed")
    from vcd.reader import TokenKind, tokenize

    names: dict[str, str] = {}
    ups: dict[str, int] = {}
    last, slots = -1, []
    with exported(recorded, "vcd", "a.vcd", "--traces").open("rb") as file:
        for token in tokenize(file):
            if token.kind is TokenKind.VAR:
                names[token.var.id_code] = token.var.reference
            elif token.kind is TokenKind.CHANGE_TIME:
                assert token.time_change > last
                last = token.time_change
            elif token.kind is TokenKind.CHANGE_SCALAR and token.scalar_change.value == "1":
                name = names[token.scalar_change.id_code]
                ups[name] = ups.get(name, 0) + 1
            elif token.kind is TokenKind.CHANGE_VECTOR and names[token.vector_change.id_code] == "pulses":
                slots.append(token.vector_change.value)
    pulses, spikes, played = totals(recorded)
    with RunFile.open(recorded) as run:
        most = max(int(run.counts(shot).frame.pulses.max()) for shot in run.shot_ids())
    assert (ups["dendrite"], ups["axon"], ups["reset"], ups["sync"]) == (pulses, spikes, played, played + 2)
    assert "membrane" in names.values()
    assert last * 1e-9 > 0.01
    assert max(slots) == most


def test_neo_reads_trains_and_slots_back_from_nwb_and_nix(recorded: Path, counted: Path) -> None:
    neo = pytest.importorskip("neo", reason="the extra 'neo' is not installed")
    pytest.importorskip("pynwb", reason="the extra 'neo' is not installed")
    pytest.importorskip("nixio", reason="the extra 'neo' is not installed")
    _, spikes, played = totals(recorded)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nwb = neo.io.NWBIO(str(exported(recorded, "neo", "a.nwb")), mode="r").read_block()
        with neo.io.NixIO(str(exported(recorded, "neo", "a.nix")), mode="ro") as file:
            nix = file.read_block()
        bare = neo.io.NWBIO(str(exported(counted, "neo", "c.nwb")), mode="r").read_block()
    for block in (nwb, nix):
        assert [len(segment.spiketrains) for segment in block.segments] == [1, 1]
        assert sum(len(segment.spiketrains[0]) for segment in block.segments) == spikes
        labels = [label for segment in block.segments for label in segment.epochs[0].labels]
        assert len(labels) == played
        assert sum(int(label.rpartition("spikes=")[2]) for label in labels) == spikes
    first = nix.segments[0]
    told = first.epochs[0].array_annotations
    assert set(told) == {"slot", "channel", "position", "pulses", "spikes", "ok"}
    assert np.bincount(first.spiketrains[0].array_annotations["slot"], minlength=784)[told["slot"]].tolist() == list(
        told["spikes"]
    )
    (segment,) = bare.segments
    assert len(segment.spiketrains) == 0
    assert sum(int(label.rpartition("spikes=")[2]) for label in segment.epochs[0].labels) == totals(counted)[1]


SNNTORCH = {
    "Input",
    "Output",
    "Conv2d",
    "Affine",
    "IF",
    "AvgPool2d",
    "Flatten",
}  # of what snnTorch's import_nir.py takes


def test_nir_reads_the_network_and_its_spikes(recorded: Path, counted: Path) -> None:
    nir = pytest.importorskip("nir", reason="the extra 'nir' is not installed")
    graph = nir.read(exported(recorded, "nir", "net.nir"))
    for layer in load_weights().layers:
        assert (graph.nodes[layer.name].weight == layer.weight).all()
        assert (graph.nodes[layer.name].bias == layer.bias).all()
        if f"{layer.name}_neurons" in graph.nodes:  # snnTorch takes one threshold a layer, and r = 1
            neurons = graph.nodes[f"{layer.name}_neurons"]
            assert set(np.unique(neurons.v_threshold)) == {layer.full_scale.max()}
            assert (neurons.r == 1).all()
    assert graph.nodes["conv1_pool"].metadata["pool"] in (b"max", "max")
    assert {type(node).__name__ for node in graph.nodes.values()} <= SNNTORCH
    assert graph.nodes["output"].input_type["input"].tolist() == [10]
    data = nir.read_data("net-spikes.nir")
    events = data.nodes["conv1_neurons"].observables["spikes"]
    assert events.idx.shape[0] == 2
    assert int((events.idx >= 0).sum()) == totals(recorded)[1]
    assert set(np.unique(events.idx[events.idx >= 0]) // 784) == {3}
    assert np.isfinite(events.time[events.idx >= 0]).all()
    assert (events.time[events.idx >= 0] < events.t_max).all()
    exported(counted, "nir", "counted.nir")
    assert not Path("counted-spikes.nir").exists()


def test_weights_come_in_from_nir(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nir = pytest.importorskip("nir", reason="the extra 'nir' is not installed")
    exported(recorded, "nir", "net.nir")
    back, shipped = load_weights("net.nir"), load_weights()
    assert back.sign == "positive"
    for ours, theirs in zip(shipped.layers, back.layers, strict=True):
        assert (ours.weight == theirs.weight).all()
        assert (ours.bias == theirs.bias).all()
        assert (ours.full_scale == theirs.full_scale).all()
    capsys.readouterr()
    assert (
        main(["run", "--digits", "0:3", "--physical", "none", "--weights", "net.nir", "--out", "n.sqlite", "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0
    # Another program's graph has no full scales of ours, and other names.
    graph = nir.read("net.nir")
    renamed = {f"node{i}": graph.nodes[name] for i, name in enumerate(_in_order(graph))}
    for node in renamed.values():
        node.metadata = {}
    nir.write("foreign.nir", nir.NIRGraph(renamed, list(zip(list(renamed)[:-1], list(renamed)[1:], strict=True))))
    foreign = load_weights("foreign.nir")
    assert (foreign.layers[2].weight == shipped.layers[2].weight).all()
    sums = shipped.layers[0].weight.reshape(32, -1).sum(axis=1)
    assert foreign.layers[0].full_scale == pytest.approx(sums, rel=1e-6)


def test_a_network_of_on_and_off_pixels_goes_through_nir(shipped: Weights) -> None:
    nir = pytest.importorskip("nir", reason="the extra 'nir' is not installed")
    conv1 = shipped.layers[0]
    off = np.random.default_rng(0).random(conv1.weight.shape, np.float32)
    both = replace(conv1, weight=np.concatenate([conv1.weight, off], axis=1))
    graph = to_graph((both, *shipped.layers[1:]))
    image = as_maps(load_test()[0][:1])
    seen = replace(conv1, weight=graph.nodes["conv1"].weight, bias=graph.nodes["conv1"].bias)
    expected = activations(LAYERS[0], both, drives(LAYERS[0], both, image))
    assert activations(LAYERS[0], seen, drives(LAYERS[0], seen, image)) == pytest.approx(expected, abs=1e-4)
    nir.write("both.nir", graph)
    back = load_weights("both.nir")
    assert (back.sign, back.sees) == ("positive", "on-off")
    assert np.array_equal(back.layers[0].weight, both.weight)
    assert np.array_equal(back.layers[0].bias, both.bias)
    graph.nodes["conv1"].weight = graph.nodes["conv1"].weight + 1
    nir.write("other.nir", graph)
    with pytest.raises(InputError, match="on_off is not what its weights are made of"):
        load_weights("other.nir")


def _in_order(graph: object) -> list[str]:
    following = dict(graph.edges)  # type: ignore[attr-defined]
    names = ["input"]
    while names[-1] in following:
        names.append(following[names[-1]])
    return names


def test_a_graph_that_does_not_fit_is_refused_by_the_name_of_its_layer(capsys: pytest.CaptureFixture[str]) -> None:
    nir = pytest.importorskip("nir", reason="the extra 'nir' is not installed")
    from hil.network.nirweights import from_graph
    from hil.report.formats.networks import to_graph

    def changed(name: str, **fields: object) -> object:
        graph = to_graph(load_weights().layers)
        for field, value in fields.items():
            setattr(graph.nodes[name], field, value)
        return graph

    linear = to_graph(load_weights().layers)
    linear.nodes["conv1"] = nir.Affine(np.ones((3, 3)), np.ones(3))
    circle = to_graph(load_weights().layers)
    circle.edges.append(("fc2", "conv1"))
    lacking = to_graph(load_weights().layers)
    lacking.nodes["fc1"] = nir.Scale(np.ones(3136))
    for graph, why in (
        (linear, "conv1 is Affine"),
        (changed("fc2", weight=np.ones((10, 3))), r"fc2.weight is float64 of shape \(10, 3\)"),
        (changed("conv2", stride=(2, 2)), "conv2 has stride"),
        (changed("fc1", bias=np.full(1024, np.nan, np.float32)), "fc1.bias has nan"),
        (lacking, "has 3 layers with weights"),
        (circle, "do not follow each other"),
    ):
        with pytest.raises(InputError, match=why):
            from_graph(Path("net.nir"), graph, SHAPES)
    Path("text.nir").write_text("no graph", encoding="utf-8")
    assert main(["run", "--weights", "text.nir", "--digits", "0", "--json"]) == 2
    assert "text.nir is no NIR graph" in capsys.readouterr().err


def test_snntorch_opens_the_graph(recorded: Path) -> None:
    snntorch = pytest.importorskip("snntorch", reason="snnTorch, which needs PyTorch, is not installed")
    import torch
    from snntorch.import_nir import import_from_nir

    nir = pytest.importorskip("nir")
    network = import_from_nir(nir.read(exported(recorded, "nir", "net.nir")))
    theirs = [values.detach().numpy() for name, values in network.named_parameters() if name.endswith("weight")]
    for layer in load_weights().layers:
        assert any(values.shape == layer.weight.shape and (values == layer.weight).all() for values in theirs)
    for neurons in network.modules():
        if isinstance(neurons, snntorch.Leaky):
            neurons.init_hidden = True  # snnTorch 1.0 leaves that out where it makes them of IF
    out, _ = network(torch.ones(1, 28, 28))
    assert out.shape == (10,)


def test_what_cannot_be_exported_is_named(recorded: Path, counted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, why in (
        (["--to", "hdf5", "--digits", "0"], "--digits is for sr, vcd, neo, nir"),
        (["--to", "neo", "--traces"], "traces go into hdf5, sr, vcd only"),
        (["--to", "vcd", "--digits", "9"], "has no shot of what was asked for"),
        (["--to", "neo", "--out", "spikes.h5"], "--out spikes.h5: Neo writes NWB or NIX"),
    ):
        assert main(["export", str(recorded), *argv]) == 2
        assert why in capsys.readouterr().err
    assert main(["export", str(counted), "--to", "sr", "--traces", "--out", "x.sr"]) == 2
    assert "has no traces: leave --traces away" in capsys.readouterr().err
    assert not Path("x.sr").exists()


def end_of_sync(capture: Capture) -> Capture:
    """What an oscilloscope that triggers on the first edge has of a shot when of sync only ten slots are read."""
    bench = load_bench("mock")
    axon, sync = (next(trace for trace in capture.traces if trace.name == name) for name in ("axon", "sync"))
    rise_s = counted_pulses(capture.frame, sync, bench.spikes, bench.board, bench.tick_s).rise_s
    begin_s = sync.x_origin_s - rise_s[0]
    at = int((rise_s[-10] - 6e-6 - sync.x_origin_s) / sync.x_increment_s)  # between two pulses, where sync is low
    tail = replace(
        sync,
        codes=sync.codes[at:],
        x_origin_s=begin_s + at * sync.x_increment_s,
        settings={**sync.settings, CLOCK_RATIO: "1"},
    )
    traces = (replace(axon, x_origin_s=begin_s), tail)
    return decode(capture.frame, traces, bench.spikes, bench.board, bench.tick_s, capture.bench_s)


@pytest.fixture(scope="module")
def with_ends(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which only the end of sync was read, as an oscilloscope is once that is proven."""
    path = tmp_path_factory.mktemp("formats") / "ends.sqlite"
    play = MockBench.play
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MockBench, "play", lambda *given: (end_of_sync(taken) for taken in play(*given)))
        argv = ["run", "--digits", "4", "--physical", "conv1:3", "--traces", "--out", str(path), "--json"]
        assert main([*argv, "--full-scale", "conv1=12"]) == 0
    return path


def test_where_only_the_end_of_sync_was_read_everything_is_decoded_again(
    with_ends: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spikes = totals(with_ends)[1]
    assert main(["replay", str(with_ends), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identical"] is True
    out = exported(with_ends, "hdf5", str(tmp_path / "ends.h5"), "--traces")
    capsys.readouterr()
    assert main(["decode", str(out), "--axon", "axon", "--sync", "sync", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["recordings"]
    assert all(shot["planned"] and shot["ok"] for shot in found)
    assert sum(shot["spikes"] for shot in found) == spikes
    with h5py.File(out) as file:
        first = file["traces/shot000001"]
        assert len(first["sync"]) < len(first["axon"])
        assert first["time_sync"][-1] == pytest.approx(first["time"][-1])


def test_a_session_of_traces_that_are_not_equally_long_is_refused(
    with_ends: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.sr"
    assert main(["export", str(with_ends), "--to", "sr", "--traces", "--out", str(out)]) == 2
    assert "only the end was read" in capsys.readouterr().err
    assert not out.exists()
    assert main(["export", str(with_ends), "--to", "vcd", "--traces", "--out", str(tmp_path / "out.vcd")]) == 0
