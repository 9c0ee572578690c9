"""The README of an exported folder: what is in it, how to run it, what int8 cost."""

from exporters.loihi.cost import table

TEXT = """# A SpikeGPT for Loihi

    python run.py --text "In the beginning"

scores a text in Lava. `--tokens FILE.npy` takes tokens instead of a text, `--out FILE.npz` keeps logits and spikes. It
needs lava-nc 0.10 and numpy, nothing else: neither torch nor the project that wrote this folder.

Intel archived Lava in May 2026: 0.10 is its last version.

- Python 3.10, as on a Loihi host: `pip install lava-nc==0.10.0`
- Python 3.11 and newer: `pip install --no-deps --ignore-requires-python lava-nc==0.10.0`, then
  `pip install "numpy>=1.26,<2.4" scipy networkx asteval`

| file | is |
|---|---|
| `model.nir` | the model in float32, a NIR graph |
| `model-int8.nir` | the same with int8 matrices, scales folded into thresholds |
| `weights.npz` | the integer plan that runs: operations in order, int8 weights, constants (numpy, no pickles) |
| `tokenizer.json` | how a text becomes tokens, where the model says; `run.py --text` and `spikegpt` read it |
| `run.py`, `lava_runtime/` | the Lava processes, one a block, in fixed point, under a supervisor |
| `blocks/*.net` | lava-dl layers, see below |
| `quantisation.json` | what int8 cost, as in the tables below |
| `mapping.txt`, `mapping.json` | partition over the cores of a chip, an estimate: Intel's compiler is closed |
| `manifest.json` | digest of every file, versions, the checkpoint |

With the project installed, `spikegpt verify` on this folder runs all executions and compares every spike and logit.
On a chip, LayerNorm, WKV, sigmoid, products and the residual stream need custom neurons (microcode); the processes here
run on the CPU.

## blocks/

{nets}

## What int8 cost

{quality}"""

NETS = """lava-dl 0.6.0 loads them: `lava.lib.dl.netx.hdf5.Network(net_config="blocks/NAME.net")`. A file holds one int8
matrix that reads spikes and the LIF that alone reads its sum: spikes in, spikes out, one time step later. `vThMant` is
an array, one threshold a neuron, in which the scale of every output channel is folded: so the file is exact. netx
holds chains alone; matrices whose sum goes elsewhere (WKV, gates, the residual stream) are in `weights.npz`.

| file | reads the spikes of | LIF | synapses |
|---|---|---|---|
{rows}"""


def readme(nets: list[dict], cost: dict) -> str:
    """The text for a folder with these lava-dl files and this cost, as in quantisation.json."""
    rows = "\n".join(f"| {n['file']} | {n['spikes_of']} | {n['lif']} | {n['synapses']:,} |" for n in nets)
    held = NETS.format(rows=rows) if nets else "None: no matrix of this model passes from spikes to a LIF alone."
    return TEXT.format(nets=held, quality=table(cost))
