"""Inception in C: each channel's window through the filter bank, the units and the trunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ranvier.export.c_constants import STORED, Constant, Field, joined, stored
from ranvier.export.c_part import Part, Place, check_alone
from ranvier.recording import Array

LANES = 16
"""Samples that are computed together at most; rows have room for as many more."""


def emit_inception(network: Any, place: Place) -> Part:
    """Emit Inception without the heads of its units; answers are averaged over the channels.

    Raises
    ------
    ValueError
        If it looks back on earlier windows or interpolates, or signals should be kept as int16.
    """
    check_alone(network, place)
    if network.upsample > 1:
        raise ValueError(f"Invalid upsample: {network.upsample} cannot be exported to C, must be 1")
    sizes = _sizes(network)
    blocks = list(_blocks(network, sizes))
    return Part(
        place,
        _code(network, sizes, blocks, place),
        "float",
        sizes["classes"],
        needs=("state", "scratch"),
        uses=("bits", "raised", "dot", *(("total",) if network.scale_windows else ())),
        constants=(
            *(table for block in blocks for table in _stored(block, place)),
            *_bank(network, place),
            *_dense(network, sizes, place),
        ),
        state=(
            place.field("float", "samples", sizes["channels"], sizes["window"]),
            place.field("int32_t", "oldest"),
            place.field("int32_t", "awaited"),
        ),
        scratch=_scratch(sizes, blocks, place),
        start=f"    state->{place.part}_awaited = {sizes['window']};\n",
        operations=_operations(sizes, blocks),
    )


def _numbers(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().double().numpy())


def _sizes(network: Any) -> dict[str, int]:
    """Return lengths of signals, and of rows with zeros before and after, which begin there."""
    window = network.span
    half, quarter, eighth = (-(-window // 2**i) for i in (1, 2, 3))
    before = max(unit[0].padding[0] for unit in network.units)
    halved_before = max(unit[1].padding[0] for unit in network.units)
    joined_before, _ = network.trunk.padding
    taps = network.bank.shape[-1]
    return {
        "channels": len(network.channels),
        "classes": network.readout.out_features,
        "units": len(network.units),
        "window": window,
        "hop": network.hop,
        "width": _row(window, 0),
        "signal": _row(window, taps),
        "bank_taps": taps,
        "bank_before": (taps - 1) // 2,
        "before": before,
        "bands_stride": _row(window, 2 * before + 2),
        "halved": half,
        "halved_before": halved_before,
        "halved_stride": _row(half, 2 * halved_before + 2),
        "quarter": quarter,
        "joined_before": joined_before,
        "joined_stride": _row(quarter, 2 * joined_before + 2),
        "trunk": eighth,
        "trunk_maps": network.trunk.convolution.out_channels,
        "flat": eighth * network.trunk.convolution.out_channels,
        "embedding": network.embedding,
    }


def _row(length: int, zeros: int) -> int:
    return -(-length // LANES) * LANES + zeros


Block = tuple[str, Any, int, int]
"""Name, layer, samples that come in, and from one row of them to the next."""


def _blocks(network: Any, sizes: dict[str, int]) -> Iterator[Block]:
    for i, (first, second) in enumerate(network.units):
        yield f"unit_{i}_first", first, sizes["window"], sizes["bands_stride"]
        yield f"unit_{i}_second", second, sizes["halved"], sizes["halved_stride"]
    yield "trunk", network.trunk, sizes["quarter"], sizes["joined_stride"]


def _stored(block: Block, place: Place) -> tuple[Constant, ...]:
    """Return weights, (input and tap, map), biases and the norm."""
    name, layer, *_ = block
    weight = _numbers(layer.convolution.weight)[:, :, 0]
    matrix = np.moveaxis(weight, 0, -1).reshape(-1, len(weight))
    return (
        *stored(f"{place.part}_{name}", matrix, place.storage.weights),
        place.constant(f"{name}_bias", "float", _numbers(layer.convolution.bias)),
        *_norm(name, layer.norm, place),
    )


def _norm(name: str, norm: Any, place: Place) -> tuple[Constant, ...]:
    gain, shift = _line(norm)
    return (
        place.constant(f"{name}_gain", "float", gain),
        place.constant(f"{name}_shift", "float", shift),
    )


def _line(norm: Any) -> tuple[Array, Array]:
    """Return the norm as it answers: a factor and what is added."""
    gain = _numbers(norm.weight) / np.sqrt(_numbers(norm.running_var) + norm.eps)
    return gain, _numbers(norm.bias) - _numbers(norm.running_mean) * gain


def _bank(network: Any, place: Place) -> tuple[Constant, ...]:
    """Return the filters, (tap, map), of which the first passes the signal as it is."""
    taps = _numbers(network.bank).reshape(len(network.bank), -1)
    same = np.arange(taps.shape[1]) == (taps.shape[1] - 1) // 2
    zeros = () if _doubled(network) else (place.constant("bank_bias", "float", np.zeros(8)),)
    ctype = place.wide if _doubled(network) else "float"
    return (
        place.constant("bank", ctype, np.vstack([same, taps]).T),
        *zeros,
        *_norm("filters", network.norm, place),
    )


def _doubled(network: Any) -> bool:
    return bool(network.bank.element_size() == 8)


def _dense(network: Any, sizes: dict[str, int], place: Place) -> tuple[Constant, ...]:
    """Return the embedding, map by map, and the readout with the norm before it."""
    weight = _numbers(network.dense.linear.weight)
    maps = weight.reshape(len(weight), sizes["trunk"], sizes["trunk_maps"]).swapaxes(1, 2)
    gain, shift = _line(network.dense.norm)
    readout = _numbers(network.readout.weight)
    bias = _numbers(network.readout.bias) + readout @ shift
    return (
        place.constant("dense", "float", maps),
        place.constant("dense_bias", "float", _numbers(network.dense.linear.bias)),
        place.constant("readout", "float", readout * gain),
        place.constant("readout_bias", "float", bias),
    )


def _scratch(sizes: dict[str, int], blocks: list[Block], place: Place) -> tuple[Field, ...]:
    inner, outer = blocks[0][1].convolution, blocks[1][1].convolution
    lengths = {
        "signal": sizes["signal"],
        "found": 8 * sizes["width"],
        "bands": inner.in_channels * sizes["bands_stride"],
        "halved": outer.in_channels * sizes["halved_stride"],
        "joined": sizes["units"] * outer.out_channels * sizes["joined_stride"],
        "trunk": sizes["trunk_maps"] * sizes["trunk"],
    }
    if place.storage.weights != "float32":
        lengths["unpacked"] = max(block[1].convolution.weight.numel() for block in blocks)
    return tuple(Field("float", name, (length,)) for name, length in lengths.items())


def _code(network: Any, sizes: dict[str, int], blocks: list[Block], place: Place) -> str:
    packed = place.storage.weights != "float32"
    given = {**sizes, "bands": (len(network.bank) + 1) * sizes["bands_stride"]}
    bank = "inception_bank_double" if _doubled(network) else "inception_bank_float"
    scaling = "inception_scaled" if network.scale_windows else "inception_plain"
    unpacked = f"{place.part}_unpack(layer, scratch->during.{place.part}.unpacked)"
    return joined(
        [
            place.fill("take_sample"),
            place.fill(
                "inception",
                **sizes,
                weight=STORED[place.storage.weights],
                weights=unpacked if packed else "layer->weights",
                unpack=f"{place.fill('inception_unpack')}\n" if packed else "",
                layers=_layers(network, sizes, blocks, place),
                scaling=f"{place.fill(scaling, **sizes)}\n",
                bank=place.fill(bank, **given),
            ),
        ]
    )


def _layers(network: Any, sizes: dict[str, int], blocks: list[Block], place: Place) -> str:
    """Return the tables of convolutions: those of the units and the trunk, and the bank."""
    rows = [_layer(block, place) for block in blocks]
    listed = ",\n    ".join(rows)
    found = f"static const {place.part}_layer {place.part}_layers[] = {{\n    {listed},\n}};"
    if _doubled(network):
        return found
    numbers = (1, sizes["bank_taps"], 1, 8, sizes["window"], sizes["signal"], 0)
    tables = ("bank_bias", "filters_gain", "filters_shift")
    named = ", ".join(f"{place.part}_{name}" for name in tables)
    row = f"{{{', '.join(map(str, numbers))}, 0, 0, {named}}}"
    return f"{found}\n\nstatic const {place.part}_layer {place.part}_filters = {row};"


def _layer(block: Block, place: Place) -> str:
    name, layer, length, stride = block
    kernel = layer.convolution
    numbers = (
        kernel.in_channels,
        kernel.kernel_size[1],
        kernel.dilation[1],
        kernel.out_channels,
        length,
        stride,
        int(type(layer.pool).__name__ == "AvgPool2d"),
    )
    table = f"{place.part}_{name}"
    scale = "0" if place.storage.weights == "float32" else f"{table}_scale"
    tables = [table, scale, *(f"{table}_{kind}" for kind in ("bias", "gain", "shift"))]
    return f"{{{', '.join([*map(str, numbers), *tables])}}}"


def _operations(sizes: dict[str, int], blocks: list[Block]) -> float:
    """Count multiplications and additions of a sample, on average."""
    bank = 2 * 8 * sizes["bank_taps"] * sizes["window"]
    units = sum(2 * layer.convolution.weight.numel() * length for _, layer, length, _ in blocks)
    dense = 2 * sizes["embedding"] * sizes["trunk_maps"] * sizes["trunk"]
    return float(sizes["channels"] * (bank + units + dense) / sizes["hop"])
