"""ONNX Runtime as a stage: what a network says, without torch."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from ranvier.recording import Array, Layout
from ranvier.runtime import check_tail
from ranvier.streaming import Stage, State, pack_state, unpack_arrays


@dataclass(frozen=True)
class Facts:
    """What must be known of a network beside its graph.

    Parameters
    ----------
    read, hop
        Steps that the graph takes, and by how many it then goes on.
    window, warm_up
        Steps before the first output, and before the first valid one.
    sites, features
        As of ``networks.Network``.
    remembers
        How many tensors go from call to call.
    """

    read: int
    hop: int
    window: int
    warm_up: int
    sites: tuple[str, ...]
    features: int | None
    remembers: int

    @property
    def lead(self) -> int:
        """Invalid steps that are put before the first, for windows that need not be full."""
        return max(0, self.read - self.window)

    @property
    def early(self) -> int:
        """First outputs of the graph that are not those of the network, which still waits."""
        return max(0, self.window - self.read) // self.hop


@dataclass(frozen=True)
class Written:
    """A graph as it stood in a file.

    Parameters
    ----------
    of
        Fingerprint of the network and the weights it was made from.
    content
        The ONNX model; empty where the file has none.
    missing
        Why there is none.
    """

    of: str
    content: bytes = b""
    missing: str = ""


STEPS = {"onnx": "step.onnx", "int8": "step-int8.onnx"}
"""Where in a decoder's file its network's step stands, in full and in eight bits."""


def step_from(about: Mapping[str, Any], parts: Mapping[str, bytes], of: str, kind: str) -> Written:
    """Return a graph in a decoder's file; files of before ONNX Runtime was used have none.

    Raises
    ------
    ValueError
        If it is not the one that was saved.
    """
    said = about.get(kind, {"missing": "its file is older than such graphs"})
    content = parts.get(STEPS[kind], b"") if "sha256" in said else b""
    if "sha256" in said and hashlib.sha256(content).hexdigest() != said["sha256"]:
        raise ValueError(f"{STEPS[kind]} is not as it was saved")
    return Written(of, content, said.get("missing", ""))


def metadata(facts: Facts, memory: State) -> dict[str, str]:
    """Return what is written into a graph: its facts, and what it remembers at the start."""
    packed = base64.b64encode(pack_state(memory)).decode()
    return {"facts": json.dumps(asdict(facts)), "memory": packed}


class Graph:
    """A network's step as a graph, opened with one thread that does not spin.

    Parameters
    ----------
    content
        An ONNX model from ``onnx_export``, as it is or after ``onnx_rewrites.lean``.

    Raises
    ------
    ValueError
        If it is not such a model.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.session = _open(content)
        self.inputs = [one.name for one in self.session.get_inputs()]
        written = self.session.get_modelmeta().custom_metadata_map
        self.facts, self.memory = _written(written)

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph, (self.content,)

    def run(self, chunk: Array, memory: State) -> tuple[Array, State]:
        """Take what one output is made of, (1, step, ...), and the memory, each (1, ...).

        Returns
        -------
        tuple
            Logits (1, 1, site, class), and the memory after them.
        """
        fed = dict(zip(self.inputs, (chunk, *memory), strict=True))
        logits, *after = self.session.run(None, fed)
        return logits, tuple(after)


def _open(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _refusals() as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Invalid graph: ONNX Runtime cannot open it ({reason})") from None


def _refusals() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return tuple(getattr(errors, name) for name in names)


def _written(about: Mapping[str, str]) -> tuple[Facts, State]:
    if not {"facts", "memory"} <= set(about):
        raise ValueError("Invalid graph: it says nothing of the network, must be made by Ranvier")
    said = json.loads(about["facts"])  # earlier versions said more
    facts = Facts(**{one.name: said[one.name] for one in fields(Facts)})
    facts = replace(facts, sites=tuple(facts.sites))
    return facts, tuple(unpack_arrays(base64.b64decode(about["memory"])))


class OnnxStage(Stage):
    """A network with the contract of a stage, in ONNX Runtime; as ``runtime.NetworkStage``.

    The state holds the steps that are not used up, how many outputs of the graph come before the
    first of the network, and the graph's memory.

    Parameters
    ----------
    layout
        Channels and rate of what comes in, (batch, time, channel) or (batch, step, node, feature).
    graph
        The network.
    """

    def __init__(self, layout: Layout, graph: Graph) -> None:
        self.layout = layout
        self.graph = graph
        self.facts = graph.facts

    @property
    def output(self) -> Layout:
        """One value per site and class, once a hop of the network."""
        return Layout(self.facts.sites, self.layout.rate / self.facts.hop, "logit")

    @property
    def warm_up(self) -> int:
        """Steps before the first valid output."""
        return self.facts.warm_up

    @cached_property
    def classes(self) -> int:
        """Outputs of each site."""
        return int(self.graph.session.get_outputs()[0].shape[-1])

    def outputs(self, samples: int) -> int:
        """Return how many outputs are known once this many steps have come in."""
        return max(0, (samples - self.facts.window) // self.facts.hop + 1)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first step."""
        tail = () if self.facts.features is None else (self.facts.features,)
        shape = (batch, self.facts.lead, len(self.layout.channels), *tail)
        memory = (np.repeat(part, batch, axis=0) for part in self.graph.memory)
        return np.full(shape, np.nan, dtype=np.float32), np.array(self.facts.early), *memory

    def advance(self, chunk: Array, state: State) -> tuple[Array, State]:
        """Return the logits of the new outputs, (batch, output, site, class)."""
        check_tail(chunk, self.facts.features)
        waiting, early, *memory = state
        steps = _after(waiting, chunk)
        if len(steps) == 1:
            logits, memory = self._follow(steps, memory)
        else:
            logits, memory = self._follow_rows(steps, memory)
        kept = steps[:, logits.shape[1] * self.facts.hop :].copy()
        dropped = min(logits.shape[1], int(early))
        return logits[:, dropped:], (kept, np.array(early - dropped), *memory)

    def _follow_rows(self, steps: Array, memory: Sequence[Array]) -> tuple[Array, Sequence[Array]]:
        """Let one row after the other through the graph."""
        rows = [slice(row, row + 1) for row in range(len(steps))]
        found = [self._follow(steps[row], [part[row] for part in memory]) for row in rows]
        logits, memories = zip(*found, strict=True)
        parts = zip(*memories, strict=True)
        return np.concatenate(logits), [np.concatenate(part) for part in parts]

    def _follow(self, steps: Array, memory: Sequence[Array]) -> tuple[Array, Sequence[Array]]:
        """Return the logits, (1, output, site, class), and the memory of one row."""
        read, found = self.facts.read, []
        for first in range(0, steps.shape[1] - read + 1, self.facts.hop):
            logits, memory = self.graph.run(steps[:, first : first + read], memory)
            found.append(logits)
        if len(found) == 1:
            return found[0], memory
        nothing = np.empty((1, 0, len(self.facts.sites), self.classes), np.float32)
        return np.concatenate([nothing, *found], axis=1), memory


def _after(waiting: Array, chunk: Array) -> Array:
    """Return the steps that are not used up, and after them those of a chunk."""
    if not waiting.shape[1]:
        return np.asarray(chunk, np.float32)
    return np.concatenate([waiting, chunk], axis=1, dtype=np.float32)
