"""REST in C: a step of its update on a carried state, or on each clip from an empty one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.export.c_constants import Constant, Field, joined, number, stored
from ranvier.export.c_part import Part, Place
from ranvier.export.c_products import emit_product, padded
from ranvier.recording import Array


def emit_rest(network: Any, place: Place) -> Part:
    """Emit REST.

    Raises
    ------
    ValueError
        If its updates are sampled, which is not reproducible outside of torch.
    """
    if network.update == "sampled":
        raise ValueError(
            "Invalid update: 'sampled' cannot be exported to C, must be 'expected' or 'always'"
        )
    sizes = _sizes(network)
    tables = _tables(network, sizes["hidden"], place)
    state, scratch = FIELDS[network.memory](network, sizes, place)
    return Part(
        place,
        _code(network, sizes, place),
        "float",
        sizes["classes"],
        needs=("state", "scratch"),
        uses=("bits", "root", "dot") if _bounded(network) else ("dot",),
        constants=tables,
        state=state,
        scratch=(
            *(Field("float", name, (sizes["cells"],)) for name in WORKING),
            *scratch,
        ),
        operations=_operations(network, sizes),
    )


WORKING = ("projected", "entered", "sent", "kept")
"""What an update holds of each node's state."""

MATRICES = ("project", "recur", "first_sent", "first_kept", "second_sent", "second_kept")
"""The weights, as the C code calls them."""


def _sizes(network: Any) -> dict[str, int]:
    hidden = padded(network.recur.in_features)
    nodes = len(network.channels)
    return {
        "nodes": nodes,
        "features": network.features,
        "hidden": hidden,
        "cells": nodes * hidden,
        "classes": network.readout.out_features,
        "repeats": round(sum(network.repeats) / 2),
    }


def _bounded(network: Any) -> bool:
    return bool(np.isfinite(network.bound))


def _tables(network: Any, hidden: int, place: Place) -> tuple[Constant, ...]:
    """Return all weights; a state whose size is no multiple of 4 is filled up with zeros."""
    layers = (
        network.project,
        network.recur,
        network.first.neighbours,
        network.first.own,
        network.second.neighbours,
        network.second.own,
    )
    biases = {
        "zeros": np.zeros(hidden),
        "recur_bias": _wide(_numbers(network.recur.bias), hidden),
        "first_bias": _wide(_numbers(network.first.neighbours.bias), hidden),
        "second_bias": _wide(_numbers(network.second.neighbours.bias), hidden),
        "readout": _wide(_numbers(network.readout.weight), hidden),
        "readout_bias": _numbers(network.readout.bias),
        "graph": _numbers(network.graph)[:, ::2],
    }
    matrices = [
        stored(f"{place.part}_{name}", _square(layer, hidden), place.storage.weights)
        for name, layer in zip(MATRICES, layers, strict=True)
    ]
    plain = (place.constant(name, "float", values) for name, values in biases.items())
    return (*(table for tables in matrices for table in tables), *plain)


def _numbers(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().numpy())


def _square(layer: Any, hidden: int) -> Array:
    """Return weights (input, output) of a layer whose output, and maybe input, is a state."""
    matrix = _wide(_numbers(layer.weight).T, hidden)
    rows = hidden if layer.in_features == layer.out_features else len(matrix)
    return np.pad(matrix, ((0, rows - len(matrix)), (0, 0)))


def _wide(values: Array, hidden: int) -> Array:
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, hidden - values.shape[-1])])


Fields = tuple[tuple[Field, ...], tuple[Field, ...]]


def _carried(network: Any, sizes: dict[str, int], place: Place) -> Fields:  # noqa: ARG001
    return (place.field("float", "memory", sizes["cells"]), place.field("uint32_t", "age")), ()


def _clipped(network: Any, sizes: dict[str, int], place: Place) -> Fields:
    buffers, clip = place.storage.buffers, network.clip
    ctype = {"float32": "float", "int16": "int16_t"}[buffers]
    unit = (place.field("float", "unit", clip, sizes["nodes"]),) if buffers == "int16" else ()
    counts = tuple(place.field("uint16_t", name) for name in ("newest", "run", "seen"))
    projected = place.field(ctype, "projected", clip, sizes["cells"])
    return (projected, *unit, *counts), (Field("float", "memory", (sizes["cells"],)),)


FIELDS = {"carry": _carried, "clip": _clipped}
"""What each kind of memory carries on, and what it needs besides within a call."""


def _code(network: Any, sizes: dict[str, int], place: Place) -> str:
    weights = place.storage.weights
    named = {name: f"{place.part}_{name}" for name in MATRICES}
    if weights != "float32":
        named = {name: f"{table}, {table}_scale" for name, table in named.items()}
    rate = 1.0 if network.update == "always" else network.fire_rate
    given: dict[str, Any] = {**sizes, **named, "rate": number(rate, "float")}
    rows = sizes["nodes"], sizes["hidden"]
    return joined(
        [
            emit_product(place, "weigh", *rows, weights=weights),
            emit_product(place, "multiply", *rows, weights="float32"),
            place.fill(
                "rest",
                bounding=_bounding(network, sizes, place),
                form=_form(network, sizes, place),
                **given,
            ),
        ]
    )


def _bounding(network: Any, sizes: dict[str, int], place: Place) -> str:
    if not _bounded(network):
        return ""
    longest = number(network.bound * network.recur.in_features**0.5, "float")
    return place.fill("rest_bound", longest=longest, **sizes) + "\n"


def _form(network: Any, sizes: dict[str, int], place: Place) -> str:
    given = {**sizes, "clip": network.clip, "warm_up": network.warm_up}
    if network.memory == "clip":
        given["buffer"] = place.fill(f"rest_clip_{place.storage.buffers}", **given)
    return place.fill(f"rest_{network.memory}", **given)


def _operations(network: Any, sizes: dict[str, int]) -> float:
    """Count multiplications and additions of an output."""
    nodes, hidden, cells = sizes["nodes"], sizes["hidden"], sizes["cells"]
    update = cells * (2 * 5 * hidden + 2 * 2 * nodes + 5)
    steps = network.clip if network.memory == "clip" else 1
    bound = 2 * cells if _bounded(network) else 0
    project = 2 * sizes["features"] * cells
    return project + steps * (sizes["repeats"] * update + bound) + cells + 2 * hidden
