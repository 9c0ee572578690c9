"""How long the chip takes: events and steps by hand, and time and joules beside SANA-FE on a whole network."""

import json
from dataclasses import replace
from itertools import pairwise

import msgspec
import nir
import numpy as np
import pytest

import spikegpt
from exporters import nir as exporter
from exporters.loihi.mapping import load_chip, map_plan
from exporters.loihi.mapping.describe import facts, table
from exporters.loihi.mapping.groups import Group
from exporters.loihi.mapping.mapper import fit
from exporters.loihi.mapping.partition import partition
from exporters.loihi.mapping.timing import run_of, speed_of, steps_of
from exporters.loihi.mapping.work import EVENTS, busy_of, events_of, times_of
from exporters.loihi.settings import Settings
from exporters.sanafe import architecture, network, write_sanafe
from hw_sim import Simulator
from hw_sim.energy.profiles import shipped
from hw_sim.graph.foreign import drive, read_foreign, with_input_neurons
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from tests.conftest import lively_model

TIMES = times_of("Loihi 1")
CHIP = load_chip("loihi1")


@pytest.fixture
def mapped(spiking_model, tokens):
    """A plan with half its weights zero, mapped onto Loihi 1, and the spikes of 120 tokens."""
    plan = build(quantize(exporter.export(spiking_model), 8, 0.5))
    found = Simulator(plan).run(tokens, record=True)
    return map_plan(plan, CHIP, found), found.spikes


@pytest.mark.parametrize(
    ("rows", "kind", "met", "each"),
    [
        ([[1, 2, 3], [3, 1, 0]], "dense", [6, 3, 0], TIMES.dense_synapse_s),  # three a message, zero or not
        ([[1, 2, 0], [3, 0, 0]], "sparse", [3, 1, 0], TIMES.sparse_synapse_s),
    ],
)
def test_events_of_a_step_are_those_counted_by_hand(rows, kind, met, each):
    weights = np.array(rows, np.int8)
    groups = (Group("a", "a", -1, np.zeros((0, 2), np.int8)), Group("b", None, 0, weights))
    parts = partition(groups, msgspec.structs.replace(CHIP, neurons_per_core=3), 8)
    assert parts.cores == 2  # b fills one core
    (a,), (b,) = ([k.core for k in parts.blocks if k.group == g] for g in (0, 1))
    train = np.array([[1, 1], [0, 1], [0, 0]], np.float32)
    found = dict(zip(EVENTS, events_of(groups, parts, 0, train), strict=True))
    assert found["spikes"][:, a].tolist() == found["messages out"][:, a].tolist() == [2, 1, 0]
    assert found["messages in"][:, b].tolist() == [2, 1, 0]
    assert found[f"{kind} synapses"][:, b].tolist() == met
    assert found["dense synapses"].sum() + found["sparse synapses"].sum() == sum(met)
    busy = busy_of(parts, np.stack(list(found.values())), TIMES)
    assert busy[:, a] == pytest.approx([2 * 9.7e-9 + n * 35.1e-9 for n in (2, 1, 0)])
    assert busy[:, b] == pytest.approx(
        [max(3 * 9.7e-9, n * 16e-9 + m * each) for n, m in zip((2, 1, 0), met, strict=True)]
    )


def test_messages_and_spikes_by_step_add_up_to_those_of_the_mapping(mapped):
    mapping, spikes = mapped
    run = run_of(mapping, spikes, TIMES)
    assert run["messages_out"] == run["messages_in"] == mapping.messages
    assert run["spikes"] == sum(int(train.sum()) for train in spikes.values())
    assert run["steps"] == len(next(iter(spikes.values()))) + mapping.values.steps - 1


def test_a_layer_fires_a_step_behind_what_it_hears(mapped):
    layers = mapped[0].values.layers
    assert layers["block0_att_key_lif"] == 0
    assert layers["block0_ffn_value_lif"] == layers["block0_ffn_key_lif"] + 1
    assert max(layers.values()) < mapped[0].values.steps


def simulated(sanafe, description: str, lines: str, steps: int, folder, capfd) -> dict:
    (folder / "arch.yaml").write_text(description)
    (folder / "network.yaml").write_text(lines)
    chip = sanafe.SpikingChip(found := sanafe.load_arch(folder / "arch.yaml"))
    chip.load(sanafe.load_net(folder / "network.yaml", found))
    told = chip.sim(steps, timing_model="simple")
    capfd.readouterr()
    return told


def test_sana_fe_takes_the_same_time_and_energy_for_the_exported_network(spiking_model, tmp_path, capfd):
    sanafe = pytest.importorskip("sanafe")
    told = write_sanafe(exporter.export(spiking_model), tmp_path, Settings(chip="loihi1", prune=0.5))["sanafe"]
    assert told == json.loads((tmp_path / "expected.json").read_text())
    assert told["sparse_synapses"] > 0
    files = [(tmp_path / name).read_text() for name in ("arch.yaml", "network.yaml")]
    theirs = simulated(sanafe, *files, told["steps"], tmp_path, capfd)
    assert (theirs["neurons_fired"], theirs["packets_sent"]) == (told["spikes"], told["messages_out"])
    assert theirs["sim_time"] == pytest.approx(told["time_s"], rel=1e-9)
    assert theirs["energy"]["total"] == pytest.approx(told["energy_j"], rel=1e-9)


def test_sana_fe_takes_the_same_time_for_tokens_one_at_a_time(mapped, tmp_path, capfd):
    sanafe = pytest.importorskip("sanafe")
    mapping, spikes = mapped
    steps, few = mapping.values.steps, {name: train[:20] for name, train in spikes.items()}
    firing = {}
    for index, group in enumerate(mapping.groups):
        if group.population is not None:
            firing[index] = np.zeros((20 * steps, group.neurons), np.uint8)
            firing[index][mapping.values.layers[group.population] :: steps] = few[group.population]
    description = architecture(mapping, TIMES, shipped()["loihi1-silicon"].precisions["chip"])
    theirs = simulated(sanafe, description, "".join(network(mapping, firing)), 20 * steps, tmp_path, capfd)
    assert theirs["sim_time"] == pytest.approx(steps_of(mapping, few, TIMES).alone_s.sum(), rel=1e-9)


def test_spreading_over_the_chip_makes_a_step_shorter_and_takes_no_chip_more(mapped, spiking_model):
    mapping, spikes = mapped
    packed = replace(mapping, partition=fit_of(spiking_model), places=np.arange(fit_of(spiking_model).cores))
    ours, theirs = (speed_of(m, spikes)[0] for m in (mapping, packed))
    assert mapping.chips == 1
    assert ours.step_s < theirs.step_s
    assert ours.latency_s < theirs.latency_s


def fit_of(model):
    return fit(build(quantize(exporter.export(model), 8, 0.5)), CHIP, None)[1]


def test_a_mapping_tells_times_where_they_are_published(mapped, spiking_model, tokens):
    mapping, spikes = mapped
    told = facts(mapping, spikes)
    speed, busy = speed_of(mapping, spikes)
    assert told["placement"]["speed"]["latency_s"] == speed.latency_s
    assert [row["busy_s"] for row in told["core_rows"]] == busy.tolist()
    assert speed.tokens_per_s > speed.tokens_per_s_alone
    assert f"{speed.tokens_per_s:,.0f} tokens/s" in table(told)
    plan = build(quantize(exporter.export(spiking_model)))
    other = facts(map_plan(plan, load_chip("loihi2"), Simulator(plan).run(tokens)), spikes)
    assert other["placement"]["speed"] is None
    assert "how long Loihi 2 takes is not known: no times of its events are published" in table(other)


@pytest.mark.parametrize("variant", ["canonical", "continuous"])
def test_a_model_of_which_nothing_runs_on_the_chip_has_no_times(run, tmp_path, variant):
    spikegpt.save(lively_model(variant), tmp_path / "m.pt")
    asked = ("export", tmp_path / "m.pt", "--chip", "loihi1", "--target")
    code, out, _ = run(*asked, "loihi", "--out", tmp_path / "l")
    assert (code, "tokens/s" in out) == (0, False)
    assert json.loads((tmp_path / "l" / "mapping.json").read_text())["placement"]["speed"] is None
    code, _, err = run(*asked, "sanafe", "--out", tmp_path / "s")
    assert (code, "there is nothing to replay" in err, (tmp_path / "s").exists()) == (2, True, False)


def test_more_tokens_than_the_files_of_sana_fe_can_hold_are_refused_and_as_many_are_not(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spikegpt.save(spikegpt.SpikeGPT(spikegpt.Config(256, 1, 16)), "m.pt")
    asked = ("export", "m.pt", "--target", "sanafe", "--data", "kjv", "--out", "s", "--tokens")
    code, out, err = run(*asked, 4097)
    assert (code, out, (tmp_path / "s").exists()) == (2, "", False)
    assert err == "spikegpt: 4,097 tokens to replay: over 4,096 the files take gigabytes; name fewer --tokens\n"
    monkeypatch.setattr("exporters.sanafe.MOST", 32)
    code, _, err = run(*asked, 32)
    assert (code, (tmp_path / "s" / "network.yaml").exists()) == (0, True), err


def test_convolutions_on_the_chip_take_their_steps_and_sana_fe_the_same_time(tmp_path, capfd):
    sanafe = pytest.importorskip("sanafe")
    rng = np.random.default_rng(1)
    nodes = {
        "in": nir.Input({"input": np.array([2, 6, 6])}),
        "c": nir.Conv2d((6, 6), rng.normal(size=(3, 2, 3, 3)), 1, 1, 1, 1, np.zeros(3)),
        "a": nir.IF(np.array(1e4), np.array(1.0)),
        "f": nir.Flatten({"input": np.array([3, 6, 6])}, 0, -1),
        "l": nir.Linear(rng.normal(size=(7, 108))),
        "n": nir.LIF(*(np.full(7, v) for v in (4e-4, 2.0, 0.0, 1.0, 0.0))),
        "out": nir.Output({"output": np.array([7])}),
    }
    chain = ("in", "c", "a", "f", "l", "n", "out")
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, list(pairwise(chain)), type_check=False), compression=None)
    events = (rng.random((16, 2, 6, 6)) < 0.3).reshape(16, -1)
    driven = with_input_neurons(drive(read_foreign(tmp_path / "n.nir"), events, True))
    plan = build(quantize(driven))
    found = Simulator(plan).run(np.arange(16), record=True)
    assert map_plan(plan, CHIP, found).values.layers == {"in_neurons": 0, "a": 1, "n": 2}
    told = write_sanafe(driven, tmp_path, Settings(chip="loihi1", recording="x"))["sanafe"]
    files = [(tmp_path / name).read_text() for name in ("arch.yaml", "network.yaml")]
    theirs = simulated(sanafe, *files, told["steps"], tmp_path, capfd)
    assert (theirs["neurons_fired"], theirs["packets_sent"]) == (told["spikes"], told["messages_out"])
    assert theirs["sim_time"] == pytest.approx(told["time_s"], rel=1e-9)
    assert theirs["energy"]["total"] == pytest.approx(told["energy_j"], rel=1e-9)


def test_export_for_sana_fe_refuses_a_chip_without_published_times(run, tmp_path):
    code, _, err = run("export", "shipped:kjv", "--target", "sanafe", "--chip", "loihi2", "--out", tmp_path / "s")
    assert (code, (tmp_path / "s").exists()) == (2, False)
    assert "no times of Loihi 2 are published" in err


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped model on Loihi 1, as the command exports it."""
    out = tmp_path_factory.mktemp("loihi1") / "out"
    from click.testing import CliRunner

    from cli.commands import cli

    asked = ["export", "shipped:kjv", "--target", "loihi", "--chip", "loihi1", "--tokens", "300", "--out", str(out)]
    assert CliRunner().invoke(cli, asked).exit_code == 0
    return out


def test_a_mapping_read_back_gives_the_times_that_the_export_told(exported, run):
    told = json.loads((exported / "mapping.json").read_text())["placement"]["speed"]
    code, out, _ = run("simulate", exported, "--tokens", 300, "--placement", exported / "mapping.json", "--json")
    found = json.loads(out)["chip"]
    assert code == 0
    assert {key: found[key] for key in told} == told
    assert found["tokens_per_s"] == pytest.approx(1 / told["step_s"])


def test_a_mapping_of_another_network_or_plan_is_refused(exported, run, tmp_path):
    mapping = json.loads((exported / "mapping.json").read_text())
    mapping["core_rows"][0]["holds"] = []
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    code, _, err = run("simulate", exported, "--tokens", 10, "--placement", tmp_path / "mapping.json")
    assert (code, "the mapping of another network" in err) == (2, True)
    code, _, err = run("simulate", "shipped:kjv", "--tokens", 10, "--placement", exported / "mapping.json")
    assert (code, "--placement is of the int8 network" in err) == (2, True)
