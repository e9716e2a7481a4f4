"""A decoder's network as an ONNX graph, with all that whoever runs it must know."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.decoder import Decoder
from ranvier.decoding import rule_as_dict
from ranvier.export import Exported, write_files
from ranvier.onnx_runtime import STEPS, Graph
from ranvier.recording import Array

CALLS = 8
"""In the example."""


def export_onnx(decoder: Decoder, out: Path, *, name: str = "decoder") -> Exported:
    """Write the network's step, a description of it, and an example of what it answers.

    Of a decoder with a step of eight bits it is that one.

    Parameters
    ----------
    decoder
        What is exported.
    out
        Folder for ``step.onnx`` or ``step-int8.onnx``, ``contract.json`` and ``example.npz``.
    name
        What the decoder is called.

    Raises
    ------
    ValueError
        If the network's step cannot be written as a graph.
    """
    kind = "int8" if decoder.runs_on == "int8" else "onnx"
    graph = Graph(decoder.int8() if kind == "int8" else decoder.onnx())
    contract = {"name": name, "graph": STEPS[kind], **_contract(decoder, graph)}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **_example(graph))
    contents = {
        STEPS[kind]: graph.content,
        "contract.json": f"{json.dumps(contract, indent=1)}\n".encode(),
        "example.npz": packed.getvalue(),
    }
    sizes = tuple((file, float(len(content)), "bytes") for file, content in contents.items())
    return Exported(write_files(out, contents), sizes)


def _contract(decoder: Decoder, graph: Graph) -> dict[str, Any]:
    """Say what goes in and out, what stands before the network and what after it."""
    ports = {"inputs": graph.session.get_inputs(), "outputs": graph.session.get_outputs()}
    described = {side: [_port(one) for one in found] for side, found in ports.items()}
    return {
        **described,
        "memory_at_start": [part.tolist() for part in graph.memory],
        "facts": asdict(graph.facts),
        "task": decoder.task,
        "network": decoder.network,
        "channels": list(decoder.channels),
        "steps_per_second": decoder.rate,
        "stages_before": [dict(stage) for stage in decoder.stages],
        "decision_after": rule_as_dict(decoder.rule),
        "not_valid": "NaN, in what goes in and in what comes out",
    }


def _port(one: Any) -> dict[str, Any]:
    return {"name": one.name, "type": one.type, "shape": list(one.shape)}


def _example(graph: Graph) -> Mapping[str, Array]:
    """Return noise that goes in call by call, and the logits that come out."""
    shape = [size if isinstance(size, int) else 1 for size in graph.session.get_inputs()[0].shape]
    rng, memory, answers = np.random.default_rng(0), graph.memory, []
    chunks = rng.normal(0, 1, (CALLS, *shape)).astype(np.float32)
    for chunk in chunks:
        logits, memory = graph.run(chunk, memory)
        answers.append(logits)
    return {"chunks": chunks, "logits": np.stack(answers)}
