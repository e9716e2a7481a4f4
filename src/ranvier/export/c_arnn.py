"""ARNN in C: segment by segment, with a state that is carried on or starts anew in each window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from ranvier.export.c_constants import STORED, Constant, Field, joined, number, stored
from ranvier.export.c_part import Part, Place, check_alone
from ranvier.export.c_products import emit_product, padded
from ranvier.networks.carried import CarriedNetwork
from ranvier.recording import Array


def emit_arnn(network: Any, place: Place) -> Part:
    """Emit ARNN.

    Windows that overlap each have a state, and share what does not depend on it.

    Raises
    ------
    ValueError
        If it looks back on earlier windows, the hop is no multiple of the segment, or signals
        should be kept as int16.
    """
    check_alone(network, place)
    sizes = {**_sizes(network), **_steps(network)}
    powers = _powers(network.cell)
    tables = _tables(network.cell, network.readout, powers, sizes, place)
    room = _room(sizes, tables, place)
    return Part(
        place,
        _code(sizes, tables, powers, room, place),
        "float",
        sizes["classes"],
        needs=("state", "scratch"),
        uses=("bits", "raised", "inverse_root", "dot"),
        constants=tables,
        state=_state(sizes, place),
        scratch=(Field("float", "room", (sum(room.values()) + CACHE_LINE // 4 - 1,)),),
        start=f"    memcpy(state->{place.part}_memory, {place.part}_first_state, "
        f"sizeof {place.part}_first_state);\n",
        operations=_operations(sizes, powers),
    )


def _sizes(network: Any) -> dict[str, int]:
    cell = network.cell
    samples, hidden = cell.first_state.shape
    return {
        "channels": len(network.channels),
        "samples": samples,
        "width": padded(samples),
        "hidden": hidden,
        "cells": hidden * padded(samples),
        "size": cell.head_size,
        "half": cell.head_size // 2,
        "joined": cell.joined,
        "gauges": min(hidden, len(network.channels) + 1),
        "classes": network.readout.out_features,
    }


def _steps(network: Any) -> dict[str, int]:
    """Return what the form needs: the warm-up, or segments of a window and windows at a time."""
    if isinstance(network, CarriedNetwork):
        return {"warm_up": network.silent_segments, "flying": 1, "apart": 1}
    if network.hop % network.segment:
        raise ValueError(
            f"Invalid hop: {network.hop} cannot be exported to C, must be a multiple of the "
            f"segment, {network.segment}"
        )
    steps, apart = network.window // network.segment, network.hop // network.segment
    flying = -(-steps // apart)
    return {"steps": steps, "apart": apart, "flying": flying, "cycle": flying * apart}


def _tables(
    cell: Any, readout: Any, powers: Powers, sizes: dict[str, int], place: Place
) -> tuple[Constant, ...]:
    """Return all weights, the scale of each norm within those after it."""
    gauge, project = _embedded(cell)
    matrices = {
        "gauge": gauge[:, :-1],
        "project": project[:, :-1],
        "state_project": _numbers(cell.state_project.weight) * _numbers(cell.state_norm.weight),
        "join": _numbers(cell.join.weight),
    }
    gates, gates_bias = _gates(cell)
    given, normed, bias = _answer(cell, readout, sizes)
    matrices |= {"gates": gates, "answer_given": given, "answer_normed": normed}
    cosine, sine = _turns(sizes)
    plain = {
        "zero": np.zeros(1),
        "gauge_bias": gauge[:, -1],
        "project_bias": project[:, -1],
        "gates_bias": gates_bias,
        "answer_bias": bias,
        "scales": powers.scales,
        "cosine": cosine,
        "sine": sine,
        "first_state": _beside(_numbers(cell.first_state), sizes),
    }
    return (
        *(table for name, matrix in matrices.items() for table in _stored(name, matrix, place)),
        *(place.constant(name, "float", values) for name, values in plain.items()),
    )


def _numbers(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().double().numpy())


def _stored(name: str, matrix: Array, place: Place) -> tuple[Constant, ...]:
    """Store a matrix (output, input), row by row."""
    weights, *scale = stored(f"{place.part}_{name}", matrix.T, place.storage.weights)
    return replace(weights, values=weights.values.T), *scale


def _beside(vectors: Array, sizes: dict[str, int]) -> Array:
    """Return (..., sample, feature) as (..., feature, sample), filled up with zeros."""
    missing = sizes["width"] - sizes["samples"]
    turned = np.swapaxes(vectors, -1, -2)
    return np.pad(turned, [(0, 0)] * (turned.ndim - 1) + [(0, missing)])


def _gates(cell: Any) -> tuple[Array, Array]:
    """Return weights and biases, so that 1 / (1 + a power of two) is a gate."""
    gain = -math.log2(math.e) * _numbers(cell.gain)
    shift = -math.log2(math.e) * _numbers(cell.shift)
    return _numbers(cell.gates.weight) * gain[:, None], _numbers(cell.gates.bias) * gain + shift


def _embedded(cell: Any) -> tuple[Array, Array]:
    """Fold the embedding, with its biases as a last column, into what is made of it.

    The first part has the length that the embedding has beside its mean, in fewer rows; the second
    are queries, keys and values before the norm divides by that length.
    """
    embed = np.column_stack([_numbers(cell.embed.weight), _numbers(cell.embed.bias)])
    embed -= embed.mean(axis=0)
    project = _numbers(cell.project.weight) * _numbers(cell.norm.weight)
    return np.asarray(np.linalg.qr(embed, mode="r")), project @ embed


CACHE_LINE = 64
"""Bytes that a load or store of vectors should not reach across."""

NEAR = 0.33
"""Scores for which a polynomial of degree 4 is the exponential, to 3e-6 of it."""

MOST_HALVED = 2
"""How often scores may be halved for that; larger ones become powers of two of any size."""


@dataclass(frozen=True)
class Powers:
    """How products of queries and keys become the weights of an average.

    ``scales`` are those of queries and keys, (use, 2, feature). ``halved`` says how often they make
    the products half as large for the ``polynomial``, -1 where powers of two are taken instead.
    """

    halved: int
    scales: Array
    polynomial: Mapping[str, float]


def _powers(cell: Any) -> Powers:
    size = cell.head_size
    largest = math.sqrt(100 * math.log(2) * math.sqrt(size))
    scales = np.clip(_numbers(cell.scales), -largest, largest)
    highest = np.abs(scales).max(axis=-1).prod(axis=-1).max() / math.sqrt(size)
    if not math.isfinite(highest):
        raise ValueError("Invalid weights: cell.scales has one that is not finite")
    halved = math.ceil(math.log2(max(highest, NEAR) / NEAR))
    if halved > MOST_HALVED:
        return Powers(-1, scales * math.sqrt(math.log2(math.e) / math.sqrt(size)), {})
    return Powers(halved, scales / math.sqrt(2**halved * math.sqrt(size)), _exponential())


def _exponential() -> dict[str, float]:
    """Return the numbers of (y + z + middle) y + outer, with y = z² + inner and z = x + shift.

    That is near a multiple of the exponential of x: any polynomial of degree 4 can be written so
    (Motzkin; Knuth, The Art of Computer Programming, 4.6.4).
    """
    found = Chebyshev.interpolate(np.exp, 4, domain=[-NEAR, NEAR]).convert(kind=Polynomial)
    found /= found.coef[4]
    shift = (found.coef[3] - 1) / 4
    constant, inner, square = found(Polynomial([-shift, 1])).coef[:3]
    middle = square - 2 * inner
    outer = constant - inner * (inner + middle)
    return {"shift": shift, "inner": inner, "middle": middle, "outer": outer}


def _turns(sizes: dict[str, int]) -> tuple[Array, Array]:
    """Return cosines and sines of the turn of each pair of features at each place."""
    frequency = 10000.0 ** (-np.arange(sizes["half"]) / sizes["half"])
    angle = np.outer(frequency, np.arange(sizes["width"]))
    return np.cos(angle), np.sin(angle)


def _answer(cell: Any, readout: Any, sizes: dict[str, int]) -> tuple[Array, Array, Array]:
    """Fold mix, head and readout: weights of what was found and of its norm, and biases."""
    wanted = _numbers(readout.weight).reshape(-1, sizes["samples"], sizes["hidden"])
    bias = _numbers(readout.bias) + (wanted @ _numbers(cell.head.bias)).sum(axis=1)
    given = wanted @ _numbers(cell.head.weight)
    normed = given @ _numbers(cell.mix.weight) * _numbers(cell.mix_norm.weight)
    rows = (_beside(part, sizes).reshape(-1, sizes["cells"]) for part in (given, normed))
    return *rows, bias


def _state(sizes: dict[str, int], place: Place) -> tuple[Field, ...]:
    shape = (sizes["flying"], sizes["cells"]) if "steps" in sizes else (sizes["cells"],)
    counts = ("run", "seen", "now") if "steps" in sizes else ()
    age = () if "steps" in sizes else (place.field("uint32_t", "age"),)
    return (
        place.field("float", "segment", sizes["channels"], sizes["width"]),
        place.field("float", "memory", *shape),
        *age,
        *(place.field("uint16_t", name) for name in ("filled", *counts)),
        place.field("uint8_t", "spoilt"),
    )


def _room(sizes: dict[str, int], tables: tuple[Constant, ...], place: Place) -> dict[str, int]:
    """Return the lengths of what is needed within a call."""
    width, cells, rows = sizes["width"], sizes["cells"], 3 * sizes["joined"] * sizes["width"]
    lengths = {
        "given": cells,
        "normed": max(cells, sizes["gauges"] * width),
        "own": rows,
        "other": max(rows, 3 * cells),
        "found": rows,
        "asking": 2 * sizes["size"] * width,
        "weights": width * width,
    }
    if place.storage.weights != "float32":
        lengths["unpacked"] = max(table.values.size for table in tables if table.ctype != "float")
    return lengths


def _code(
    sizes: dict[str, int],
    tables: tuple[Constant, ...],
    powers: Powers,
    room: dict[str, int],
    place: Place,
) -> str:
    packed = place.storage.weights != "float32"
    kinds = sorted({sizes["size"], sizes["joined"], sizes["hidden"], sizes["gauges"]})
    products = [
        emit_product(place, f"by_{rows}", rows, sizes["width"], weights="float32", start="rows")
        for rows in kinds
    ]
    given = {
        **_named(tables, place),
        "form": place.fill("arnn_window" if "steps" in sizes else "arnn_carry", **sizes),
        "weighing": _weighing(powers, sizes, place),
        "room": joined((f"    float {name}[{size}];" for name, size in room.items()), "\n"),
        "line": CACHE_LINE,
    }
    return joined(
        [
            place.fill("take_sample"),
            place.fill("unpack", weight=STORED[place.storage.weights]) if packed else "",
            *products,
            place.fill("arnn", **sizes, **given),
        ]
    )


def _weighing(powers: Powers, sizes: dict[str, int], place: Place) -> str:
    """Return the function that makes weights of queries and keys."""
    width = sizes["width"]
    if powers.halved < 0:
        score = emit_product(
            place, "score", width, width, weights="float32", start="rows", turned=True
        )
        return place.fill("arnn_far", **sizes, score=score)
    given = {name: number(one, "float") for name, one in powers.polynomial.items()}
    return place.fill("arnn_near", **sizes, **given, halved=powers.halved, near=NEAR)


MATRICES = ("gauge", "project", "state_project", "join", "gates")


def _named(tables: tuple[Constant, ...], place: Place) -> dict[str, str]:
    """Return how each matrix is had: where it stands, or from where it is unpacked to."""
    found = {table.name: table.values.shape for table in tables}
    ways = {}
    for name in (*MATRICES, "answer_given", "answer_normed"):
        table = f"{place.part}_{name}"
        rows, depth = found[table]
        each = f" + i * {depth}" if name.startswith("answer") else ""
        ways[name] = f"{table}{each}"
        if place.storage.weights != "float32":
            scale = f"{table}_scale{' + i' if each else ''}"
            count = 1 if each else rows
            where = f"{table}{each}, {scale}, room->unpacked"
            ways[name] = f"{place.part}_unpack({count}, {depth}, {where})"
    return ways


def _operations(sizes: dict[str, int], powers: Powers) -> float:
    """Count multiplications and additions of a sample, on average."""
    width, hidden, rows = sizes["width"], sizes["hidden"], sizes["joined"]
    power = 16 if powers.halved < 0 else 7 + powers.halved
    attention = 2 * rows * width * 2 + power * rows // sizes["size"] * width
    turns = 8 * 2 * rows
    look = 2 * sizes["channels"] * (sizes["gauges"] + 3 * rows) + attention + 2 * turns
    exchange = 6 * rows * hidden + 2 * attention + turns + 6 * rows * hidden + 5 * hidden
    write = 6 * hidden * hidden + 60 * hidden
    answer = 4 * sizes["classes"] * hidden + 5 * hidden
    if "steps" not in sizes:
        return look + exchange + write + answer
    share = sizes["steps"] / sizes["apart"]
    return look + share * exchange + (share - 1 / sizes["apart"]) * write + answer / sizes["apart"]
