"""A network's step as an ONNX graph, for decoding without torch.

The graph takes what one output is made of and the memory, of one row, and gives the logits and the
new memory; what is not valid is NaN inside of it as outside. Its form depends on the network's
settings alone: it is made once, and gets the weights of each decoder by their names. Decoders carry
what ``onnx_rewrites.lean`` makes of it, and quantisation begins with it.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ranvier.networks import make_network
from ranvier.onnx_runtime import Facts, metadata
from ranvier.recording import Array
from ranvier.runtime import to_numpy
from ranvier.streaming import arrays_of

OPSET = 18
"""Version of the operators."""

BEFORE = "network."
"""What stands before the name of a weight in the graph."""

State = Any


class Step(nn.Module):
    """One step of a network, of all its state what it remembers.

    Parameters
    ----------
    network
        In evaluation mode.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, chunk: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return the logits, (batch, 1, site, class), and the memory."""
        _, state = self.network.steady(chunk.shape[0])
        logits, after = self.network.step(chunk, _with(state, iter(memory)))
        pairs = zip(_tensors(state), _tensors(after), strict=True)
        return logits, *(new for old, new in pairs if old.numel())


def _tensors(state: State) -> Iterator[Tensor]:
    parts: Iterator[Any] = arrays_of(state)
    yield from parts


def _with(state: State, memory: Iterator[Tensor]) -> State:
    """Return a state with other tensors in place of those that have elements."""
    if isinstance(state, tuple):
        parts = [_with(part, memory) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return next(memory) if state.numel() else state


def export(
    network: Any, name: str, channels: tuple[str, ...], settings: Mapping[str, Any]
) -> bytes:
    """Return the step of a network as an ONNX model, which ``onnx_runtime.Graph`` opens.

    Parameters
    ----------
    network
        In torch, with its weights.
    name, channels, settings
        It was made of, as for ``networks.make_network``.

    Raises
    ------
    ValueError
        If its step cannot be written as a graph, or what is needed for it is not installed.
    """
    missing = [package for package in ("onnx", "onnxscript") if find_spec(package) is None]
    if missing:
        raise ValueError(f'{missing[0]} is missing: pip install "ranvier[train]"')
    import onnx

    model = onnx.load_from_string(_form(name, channels, json.dumps(dict(settings))))
    weights = {BEFORE + key: value.detach().cpu() for key, value in network.state_dict().items()}
    for initial in model.graph.initializer:
        if initial.name in weights:
            values = np.ascontiguousarray(weights[initial.name].numpy())
            initial.CopyFrom(onnx.numpy_helper.from_array(values, initial.name))
    memory = _memory(network)
    onnx.helper.set_model_props(model, metadata(_facts(network, len(memory)), memory))
    return bytes(model.SerializeToString(deterministic=True))


def _facts(network: Any, remembers: int) -> Facts:
    return Facts(
        read=network.steady(1)[0],
        hop=network.hop,
        window=network.window,
        warm_up=network.warm_up,
        sites=network.sites,
        features=network.features,
        remembers=remembers,
    )


def _memory(network: Any) -> tuple[Array, ...]:
    """Return what one row remembers at the start."""
    _, state = network.steady(1)
    return tuple(part for part in arrays_of(to_numpy(state)) if part.size)


@lru_cache(maxsize=64)
def _form(name: str, channels: tuple[str, ...], settings: str) -> bytes:
    """Return the graph of a network with some weights or other."""
    with torch.random.fork_rng(devices=()):
        network = make_network(name, channels, json.loads(settings))
        step = Step(network).eval()
        steps, state = network.steady(1)
        memory = tuple(part.detach().clone() for part in _tensors(state) if part.numel())
        tail = () if network.features is None else (network.features,)
        chunk = torch.zeros(1, steps, len(channels), *tail)
        return _bare(_translated(step, (chunk, *memory)))


def _translated(step: Step, given: tuple[Tensor, ...]) -> Any:
    """Return the ONNX model of a step, with the names of its weights."""
    after = [f"memory_{i}_after" for i in range(len(given) - 1)]
    try:
        with _quietly(), torch.no_grad():
            exported = torch.export.export(step, given)
            program: Any = torch.onnx.export(
                exported,
                output_names=["logits", *after],
                dynamo=True,
                optimize=False,
                verbose=False,
                opset_version=OPSET,
            )
    except Exception as error:  # torch says not which kinds there are
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"Invalid network: its step is no graph ({reason})") from None
    return program.model_proto


def _bare(model: Any) -> bytes:
    """Leave out where in the code each node comes from."""
    model.graph.ClearField("value_info")
    for thing in (model, model.graph, *model.graph.node):
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quietly() -> Iterator[None]:
    """Say nothing of operators of packages that are not there, nor of the exporter's own age."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", "The tensor attributes .* were assigned during")
            yield
    finally:
        logger.setLevel(level)
