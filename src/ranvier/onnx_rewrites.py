"""The same graph with less to do, which is what decoders carry.

A graph from ``onnx_export`` has its weights by name. Here what is constant is worked out
beforehand: orders of weights, folded norms, shapes. Forms that cost much and say little are
replaced. Quantisation begins halfway, see ``simplified``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.onnx_nodes import Links, add_constant, exchange, swept
from ranvier.onnx_views import with_fewer_views, without_sequences

GELU = ("Div", "Erf", "Add", "Mul", "Mul")
"""Operators that are one: x / sqrt(2), erf, + 1, * 0.5, * x."""

LOWEST = -3.5
"""Of what goes into a GELU; what comes out is then at most 0.0008 off."""


def lean(content: bytes) -> bytes:
    """Return an equal graph that is faster, and in which weights have no names.

    Parameters
    ----------
    content
        An ONNX model from ``onnx_export``.
    """
    import onnx

    about = onnx.load_from_string(content).metadata_props
    model = with_fewer_views(_folded(with_fewer_views(simplified(content))))
    model = with_gelu(model)
    model.ClearField("metadata_props")
    model.metadata_props.extend(about)
    return bytes(model.SerializeToString(deterministic=True))


def simplified(content: bytes) -> Any:
    """Return an equal graph with standard operators alone, as an ``onnx`` model.

    Infinities, which the graph turns into the largest number, stay what they are.

    Parameters
    ----------
    content
        An ONNX model from ``onnx_export``.
    """
    import onnx

    model = without_sequences(_folded(onnx.load_from_string(content)))
    model = _folded(model)  # what is written as a function is a constant only now
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


def _folded(model: Any) -> Any:
    """Let ONNX Runtime work out what is constant."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="ranvier-") as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        content = model.SerializeToString()
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        folded = onnx.load(options.optimized_model_filepath)
    _name_constants(folded)
    return folded


def _name_constants(model: Any) -> None:
    """Give constants names that ONNX Runtime does not give to others when it opens the graph."""
    names = {one.name: f"constant_{i}" for i, one in enumerate(model.graph.initializer)}
    for one in model.graph.initializer:
        one.name = names[one.name]
    for node in model.graph.node:
        renamed = [names.get(name, name) for name in node.input]
        del node.input[:]
        node.input.extend(renamed)


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
    from onnx import helper

    links = Links(model)
    for node in [one for one in model.graph.node if one.op_type == "Conv"]:
        found = links.above(node.input[0], "Unsqueeze", "Transpose", "Gather", "Pad")
        weight = links.array(node.input[1])
        if not found or weight.shape[2:] != (1, 1):
            continue
        gather, pad = found[2:]
        stride, padding = _stride(links.array(gather.input[1])), links.array(pad.input[1])
        if not stride or padding is None or len(padding) != 4:
            continue
        axes = add_constant(model, f"{node.name}_axes", np.array([1, 2]))
        turned = add_constant(model, f"{node.name}_weight", weight.transpose(0, 2, 3, 1))
        signal = f"{node.name}_signal"
        raised = helper.make_node("Unsqueeze", [pad.input[0], axes], [signal])
        given, pads = [signal, turned, *node.input[2:]], [0, int(padding[1]), 0, int(padding[3])]
        convolved = helper.make_node(
            "Conv", given, list(node.output), node.name, strides=[1, stride], pads=pads
        )
        exchange(model, node, raised, convolved)


def _stride(places: Any) -> int:
    """Return how far it is from patch to patch; 0 if they are no patches in a row."""
    if places is None or places.ndim != 2 or len(places) < 2:
        return 0
    stride = int(places[1, 0] - places[0, 0])
    expected = stride * np.arange(len(places))[:, None] + np.arange(places.shape[1])
    return stride if np.array_equal(places, expected) else 0


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
    from onnx import helper

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
        add_constant(model, "lowest", np.array(LOWEST, np.float32))
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
            exchange(model, last, helper.make_node("Gelu", *names, domain="com.microsoft"))
    if not any(one.domain == "com.microsoft" for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return swept(model)
