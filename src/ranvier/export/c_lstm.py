"""The LSTM in C: sample by sample, with a state that is carried on or starts anew with a window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.export.c_constants import Constant, Field, joined, stored
from ranvier.export.c_part import Part, Place, check_alone
from ranvier.export.c_products import emit_product, padded
from ranvier.networks.carried import CarriedNetwork
from ranvier.recording import Array

TO_POWERS = -math.log2(math.e) * np.array([1.0, 1.0, 2.0, 1.0])
"""Of each gate, so that 1 / (1 + a power of two) is what is wanted; tanh(x) = 2 sigmoid(2x) - 1."""


def emit_lstm(network: Any, place: Place) -> Part:
    """Emit the LSTM.

    Windows that overlap each have a state.

    Raises
    ------
    ValueError
        If it looks back on earlier windows, or signals should be kept as int16.
    """
    check_alone(network, place)
    sizes = {**_sizes(network), **_steps(network)}
    return Part(
        place,
        _code(sizes, place),
        "float",
        sizes["classes"],
        needs=("state",),
        uses=("bits", "raised", "dot"),
        constants=_tables(network, sizes, place),
        state=_state(sizes, place),
        operations=_operations(sizes),
    )


def _sizes(network: Any) -> dict[str, int]:
    hidden, channels = network.lstm.hidden_size, len(network.channels)
    return {
        "channels": channels,
        "hidden": hidden,
        "padded": padded(hidden),
        "layers": network.lstm.num_layers,
        "widest": max(channels, hidden) + hidden,
        "classes": network.readout.out_features,
    }


def _steps(network: Any) -> dict[str, int]:
    if isinstance(network, CarriedNetwork):
        return {"samples": network.hop, "warm_up": network.silent_segments, "flying": 1}
    flying = -(-network.window // network.hop)
    cycle = flying * network.hop
    return {"steps": network.window, "apart": network.hop, "flying": flying, "cycle": cycle}


def _tables(network: Any, sizes: dict[str, int], place: Place) -> tuple[Constant, ...]:
    """Return the weights of all layers below each other, (input and state, gate and cell)."""
    layers = (_layer(network.lstm, i, sizes) for i in range(sizes["layers"]))
    weights, biases = zip(*layers, strict=True)
    return (
        *stored(f"{place.part}_weights", np.concatenate(weights), place.storage.weights),
        place.constant("bias", "float", np.concatenate(biases)),
        place.constant("readout", "float", _numbers(network.readout.weight)),
        place.constant("readout_bias", "float", _numbers(network.readout.bias)),
    )


def _numbers(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().double().numpy())


def _layer(lstm: Any, layer: int, sizes: dict[str, int]) -> tuple[Array, Array]:
    parts = [_numbers(getattr(lstm, f"weight_{kind}_l{layer}")) for kind in ("ih", "hh")]
    bias = sum(_numbers(getattr(lstm, f"bias_{kind}_l{layer}")) for kind in ("ih", "hh"))
    return _gates(np.concatenate(parts, axis=1).T, sizes), _gates(bias, sizes)


def _gates(values: Any, sizes: dict[str, int]) -> Array:
    """Return (..., gate and cell) times ``TO_POWERS``, the cells of each gate filled up."""
    gates = values.reshape(*values.shape[:-1], 4, sizes["hidden"]) * TO_POWERS[:, None]
    missing = sizes["padded"] - sizes["hidden"]
    wide = np.pad(gates, [(0, 0)] * (gates.ndim - 1) + [(0, missing)])
    return np.asarray(wide.reshape(*values.shape[:-1], -1))


def _state(sizes: dict[str, int], place: Place) -> tuple[Field, ...]:
    windows = (sizes["flying"],) if "steps" in sizes else ()
    counts = ("run", "seen", "now") if windows else ("age", "filled")
    return (
        *(
            place.field("float", name, *windows, sizes["layers"], sizes["hidden"])
            for name in ("hidden", "cell")
        ),
        *(place.field("int32_t", name) for name in counts),
        *(() if windows else (place.field("uint8_t", "spoilt"),)),
    )


def _code(sizes: dict[str, int], place: Place) -> str:
    weights = place.storage.weights
    scale = "" if weights == "float32" else f"{place.part}_weights_scale,"
    form = place.fill("lstm_window" if "steps" in sizes else "lstm_carry", **sizes)
    return joined(
        [
            place.fill("take_sample"),
            emit_product(place, "weigh", 1, 4 * sizes["padded"], weights=weights),
            place.fill("lstm", **sizes, scale=scale, form=form),
        ]
    )


def _operations(sizes: dict[str, int]) -> float:
    """Count multiplications and additions of a sample, on average."""
    hidden, layers = sizes["hidden"], sizes["layers"]
    inputs = sizes["channels"] + hidden * (2 * layers - 1)
    windows = sizes["steps"] / sizes["apart"] if "steps" in sizes else 1
    return windows * (8 * hidden * inputs + 100 * hidden * layers)
