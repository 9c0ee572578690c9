"""What a graph's metadata says of the model it came from: its tokenizer, the text it learned from, how it was made.

Nothing that is computed depends on it. Metadata of strangers may hold anything: what is of no use is passed over.
"""

import json
from typing import Any

import nir

from spikegpt.documents import parse_document
from spikegpt.errors import UserError
from spikegpt.tokenizer import Bytes, Tokenizer, tokenizer_from_dict

KIND, WHOLE = "tokenizer", "tokenizer_json"  # keys: its kind, and all of it where that says more
SOURCE = "source_"  # in front of a checkpoint's provenance
SHORT = 1000  # characters; a longer value is no fact to print


def with_tokenizer(graph: nir.NIRGraph, tokenizer: Tokenizer | None) -> nir.NIRGraph:
    """The graph, told its tokenizer; None: nobody knows."""
    values = tokenizer.to_dict() if tokenizer else {"kind": "unknown"}
    told = {KIND: values["kind"], **({WHOLE: json.dumps(values)} if len(values) > 1 else {})}
    graph.metadata = {**{k: v for k, v in graph.metadata.items() if k not in (KIND, WHOLE)}, **told}
    return graph


def tokenizer_in(graph: nir.NIRGraph) -> Tokenizer | None:
    """The tokenizer that the graph was told, None where none is. Raises UserError for a damaged one."""
    whole = graph.metadata.get(WHOLE)
    if isinstance(whole, str):
        return tokenizer_from_dict(parse_document(whole.encode(), f"metadata {WHOLE}", dict[str, str]))
    return Bytes() if graph.metadata.get(KIND) == Bytes().to_dict()["kind"] else None


def text_in(graph: nir.NIRGraph) -> tuple[str, str] | None:
    """Name and sha256 of the text that the model learned from, None where the graph does not say."""
    name, digest = graph.metadata.get(f"{SOURCE}text"), graph.metadata.get(f"{SOURCE}text_sha256")
    return (name, digest) if isinstance(name, str) and isinstance(digest, str) else None


def facts_in(graph: nir.NIRGraph) -> dict[str, Any]:
    """Metadata that is a short text or a number, for manifests and reports."""
    return {
        k: float(v) if isinstance(v, float) else v  # h5py gives numpy's, which msgspec does not encode
        for k, v in graph.metadata.items()
        if (isinstance(v, str) and len(v) <= SHORT and k != WHOLE) or isinstance(v, int | float)
    }


def vocabulary(graph: nir.NIRGraph, where: str) -> int:
    """How many tokens a language model reads. Raises UserError for a network that reads none."""
    nodes = graph.nodes
    inputs = [name for name, node in nodes.items() if isinstance(node, nir.Input)]
    outputs = [name for name, node in nodes.items() if isinstance(node, nir.Output)]
    readers = [target for source, target in graph.edges if source in inputs]
    told = KIND in graph.metadata or "variant" in graph.metadata
    own = told or any(type(node).__module__ == "hw_sim.graph.extensions" for node in nodes.values())
    one = len(inputs) == len(outputs) == 1 and all(isinstance(nodes[name], nir.Linear) for name in readers)
    n_in, n_out = (
        (int(nodes[inputs[0]].output_type["output"][0]), int(nodes[outputs[0]].input_type["input"][0]))
        if one
        else (0, -1)
    )
    if not own or n_in != n_out:
        raise UserError(
            f"{where}: not a token network: a language model goes from one Input, a token, through a table to as many "
            f"logits; `spikegpt replay` runs other networks on recorded inputs"
        )
    return n_in
