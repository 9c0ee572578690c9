"""Joules of a mapped projection beside SANA-FE (Boyle et al. 2025), whose Loihi figures the silicon profile carries."""

import numpy as np
import pytest

from hw_sim.energy import price, profiles
from hw_sim.energy.placement import Placement
from hw_sim.energy.work import AC, MatrixWork, Work

sanafe = pytest.importorskip("sanafe")

N_IN, N_OUT, STEPS, THRESHOLD = 512, 2048, 6, 300.0


def test_a_mapped_projection_costs_what_sana_fe_says(capfd):
    """512 inputs on core 0, 2,048 neurons on core 4 (a tile to the north) and core 16 (a tile to the east)."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-64, 64, (N_IN, N_OUT)).astype(float)
    spikes = (rng.random((STEPS, N_IN)) < 0.1).astype(int)
    network, architecture = sanafe.Network(), sanafe.load_loihi()
    cores = [core for tile in architecture.tiles for core in tile.cores]
    source = network.create_neuron_group("in", N_IN)
    neuron = {"threshold": THRESHOLD, "leak_decay": 0.0, "reset": 0.0, "reset_mode": "hard", "force_update": True}
    hardware = {"default_synapse_hw_name": "loihi_dense_synapse", "soma_hw_name": "loihi_lif"}
    target = network.create_neuron_group("out", N_OUT, model_attributes=neuron, **hardware)
    for i, n in enumerate(source.neurons):
        n.set_attributes(soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": spikes[:, i].tolist()})
        n.map_to_core(cores[0])
    for i, n in enumerate(target.neurons):
        n.map_to_core(cores[4] if i < N_OUT // 2 else cores[16])
    source.connect_neurons_dense(target, {"weight": weights.ravel().tolist()})
    chip = sanafe.SpikingChip(architecture)
    chip.load(network)
    steps = STEPS + 1  # SANA-FE integrates one step late
    theirs = chip.sim(steps, timing_model="simple")
    capfd.readouterr()

    n_in, n_out = int(spikes.sum()), int((spikes @ weights > THRESHOLD).sum())
    assert theirs["neurons_fired"] == n_in + n_out
    projection = MatrixWork("p", AC, n_in * N_OUT, steps * N_IN * N_OUT, N_IN * N_OUT, N_OUT)
    counted = Work(
        "p", steps, (projection,), {}, {}, (), True, neurons=steps * N_OUT, active=steps * N_OUT, spikes=n_out
    )
    placement = Placement(
        chip="Loihi 1", cores=3, chips=1, populations={"out": N_OUT}, synapses=N_IN * N_OUT,
        messages_per_token=2 * n_in / steps, hops_ew_per_token=n_in / steps, hops_ns_per_token=n_in / steps,
    )  # fmt: skip
    ours = price.price(counted, profiles.shipped()["loihi1-silicon"], "chip", placement=placement)
    assert ours.total_j * steps == pytest.approx(theirs["energy"]["total"], rel=1e-9)
