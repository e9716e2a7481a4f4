"""The same graph with less to do: for one row, with what is constant worked out beforehand.

A graph from ``onnx_export`` keeps its weights by name and takes any number of rows. Where that is
known to be 1, shapes, orders of weights and folded norms become constants, which is what
quantisation wants to see. Three forms that cost much and say little are replaced.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TWICE = 2
"""What is written as a function is a constant only after the first time."""

GELU = ("Div", "Erf", "Add", "Mul", "Mul")
"""Operators that are one: x / sqrt(2), erf, + 1, * 0.5, * x."""


def for_one_row(content: bytes) -> Any:
    """Return an equal graph for one row, as an ``onnx`` model.

    Infinities, which the graph turns into the largest number, stay what they are.

    Parameters
    ----------
    content
        An ONNX model from ``onnx_export``.
    """
    import onnx

    model = onnx.load_from_string(content)
    for one in (*model.graph.input, *model.graph.output):
        one.type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.ClearField("value_info")
    for _ in range(TWICE):
        model = _folded(model.SerializeToString())
        _name_constants(model)
    _keep_infinities(model)
    _convolve_patches(model)
    return swept(model)


def nodes_of(content: bytes, parts: Sequence[str]) -> set[str]:
    """Return the names of the nodes whose weights are of these parts of a network.

    Parameters
    ----------
    content
        An ONNX model from ``onnx_export``.
    parts
        Beginnings of the names of weights.
    """
    import onnx

    graph = onnx.load_from_string(content).graph
    constant = {one.name for one in graph.initializer}
    wanted = {name for name in constant if name.startswith(tuple(parts))}
    found = set()
    for node in graph.node:
        if constant.issuperset(name for name in node.input if name):
            constant.update(node.output)
            wanted.update(node.output if wanted.intersection(node.input) else ())
        elif wanted.intersection(node.input[1:2]):
            found.add(node.name)
    return found


def _folded(content: bytes) -> Any:
    """Let ONNX Runtime work out what is constant."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="ranvier-") as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _name_constants(model: Any) -> None:
    """Give constants names that ONNX Runtime does not give to others when it opens the graph."""
    names = {one.name: f"constant_{i}" for i, one in enumerate(model.graph.initializer)}
    for one in model.graph.initializer:
        one.name = names[one.name]
    for node in model.graph.node:
        renamed = [names.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(renamed)


LOWEST = -3.5
"""Of what goes into a GELU; what comes out is then at most 0.0008 off."""


class Links:
    """Which node makes a value, which take it, and which values are constant."""

    def __init__(self, model: Any) -> None:
        self.made = {name: node for node in model.graph.node for name in node.output}
        self.constants = {one.name: one for one in model.graph.initializer}
        self.takers: dict[str, list[Any]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.takers[name].append(node)

    def above(self, name: str, *operators: str) -> list[Any]:
        """Return the nodes on the way up from a value, first inputs alone, if they are these."""
        found: list[Any] = []
        for operator in operators:
            node = self.made.get(found[-1].input[0] if found else name)
            if node is None or node.op_type != operator:
                return []
            found.append(node)
        return found

    def below(self, node: Any, *operators: str) -> list[Any]:
        """Return the nodes on the way down, each the only one that takes the last, if they are."""
        found = [node]
        for operator in operators:
            takers = self.takers[found[-1].output[0]]
            if len(takers) != 1 or takers[0].op_type != operator:
                return []
            found.append(takers[0])
        return found

    def array(self, name: str) -> Any:
        """Return a constant; None if it is none."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


def _keep_infinities(model: Any) -> None:
    """Leave out what looks for infinities: a sample that is not valid is NaN, see the contract."""
    links = Links(model)
    for node in [one for one in model.graph.node if one.op_type == "Where"]:
        both = links.above(node.input[0], "And")
        if both and any(links.above(name, "IsInf") for name in both[0].input):
            for taker in links.takers[node.output[0]]:
                place = list(taker.input).index(node.output[0])
                taker.input[place] = node.input[2]
            links.takers[node.input[2]].extend(links.takers[node.output[0]])


def _convolve_patches(model: Any) -> None:
    """Let a convolution of patches that were gathered by their places take the signal itself."""
    from onnx import helper, numpy_helper

    links = Links(model)
    for node in [one for one in model.graph.node if one.op_type == "Conv"]:
        found = links.above(node.input[0], "Unsqueeze", "Transpose", "Gather", "Pad")
        weight = links.array(node.input[1])
        if not found or weight.shape[2:] != (1, 1):
            continue
        gather, pad = found[2:]
        places, padding = links.array(gather.input[1]), links.array(pad.input[1])
        stride = _stride(places)
        if not stride or padding is None or len(padding) != 4:
            continue
        own = [f"{node.name}_{part}" for part in ("axes", "signal", "weight")]
        arrays = np.array([1, 2]), weight.transpose(0, 2, 3, 1)
        for name, array in zip((own[0], own[2]), arrays, strict=True):
            made = numpy_helper.from_array(np.ascontiguousarray(array), name)
            model.graph.initializer.append(made)
        raised = helper.make_node("Unsqueeze", [pad.input[0], own[0]], [own[1]])
        convolved = helper.make_node(
            "Conv",
            [own[1], own[2], *node.input[2:]],
            list(node.output),
            node.name,
            strides=[1, stride],
            pads=[0, int(padding[1]), 0, int(padding[3])],
        )
        _replace(model, node, raised, convolved)


def _stride(places: Any) -> int:
    """Return how far it is from patch to patch; 0 if they are no patches in a row."""
    if places is None or places.ndim != 2 or len(places) < 2:
        return 0
    stride = int(places[1, 0] - places[0, 0])
    expected = stride * np.arange(len(places))[:, None] + np.arange(places.shape[1])
    return stride if np.array_equal(places, expected) else 0


def _replace(model: Any, node: Any, *others: Any) -> None:
    place = list(model.graph.node).index(node)
    model.graph.node.remove(node)
    for offset, other in enumerate(others):
        model.graph.node.insert(place + offset, other)


def clip_before_gelu(model: Any, names: Collection[str] | None) -> list[str]:
    """Clip what comes out of convolutions where a GELU makes nothing of it, and name the clips.

    Quantisation then spends no numbers on values that are far below zero.

    Parameters
    ----------
    model
        Changed in place.
    names
        Convolutions that this is done after; None for all.
    """
    from onnx import helper, numpy_helper

    links, made = Links(model), []
    for division in [one for one in model.graph.node if one.op_type == GELU[0]]:
        found = links.below(division, *GELU[1:])
        above = links.above(division.input[0], "Conv")
        if not found or not above or (names is not None and above[0].name not in names):
            continue
        name = division.input[0]
        clip = helper.make_node("Clip", [name, "lowest"], [f"{name}_clipped"], f"{name}_clip")
        model.graph.node.insert(list(model.graph.node).index(division), clip)
        for taker in (division, found[-1]):
            taker.input[list(taker.input).index(name)] = clip.output[0]
        made.append(clip.name)
    if made:
        model.graph.initializer.append(
            numpy_helper.from_array(np.array(LOWEST, np.float32), "lowest")
        )
    return made


def with_gelu(model: Any) -> Any:
    """Write the five operators of a GELU as the one that ONNX Runtime has for it."""
    from onnx import helper

    links = Links(model)
    for division in [one for one in model.graph.node if one.op_type == GELU[0]]:
        found = links.below(division, *GELU[1:])
        if found and division.input[0] in found[-1].input:
            last = found[-1]
            names = [division.input[0]], list(last.output), last.name
            _replace(model, last, helper.make_node("Gelu", *names, domain="com.microsoft"))
    if not any(one.domain == "com.microsoft" for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return swept(model)


def swept(model: Any) -> Any:
    """Leave out nodes and constants that lead to no output."""
    needed = {one.name for one in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [one for one in model.graph.initializer if one.name in needed]
    for field, parts in (("node", kept[::-1]), ("initializer", constants)):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(parts)
    model.graph.ClearField("value_info")
    return model
