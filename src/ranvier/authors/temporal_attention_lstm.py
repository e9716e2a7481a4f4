"""The authors' Keras weights of the temporal-attention LSTM, by layer name and order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ranvier.authors import Imported, whole_number
from ranvier.networks.temporal_attention_lstm import TemporalAttentionLSTM

SIZES = (("bins",),)
NAME = re.compile(
    r"(?:bidirectional(?:_\d+)?/)?"
    r"(?P<kind>forward_lstm|backward_lstm|layer_normalization|lstm|dense)(?:_(?P<number>\d+))?"
    r"(?:/lstm_cell(?:_\d+)?)?/(?P<part>kernel|recurrent_kernel|bias|gamma|beta)(?::0)?"
)
SELECTED = {
    "forward_lstm": ("both_ways.{}_l0",),
    "backward_lstm": ("both_ways.{}_l0_reverse",),
    "layer_normalization": ("normalise.{}",),
    "lstm": ("onward.{}_l0",),
    "dense": ("dense.{}", "readout.{}"),
}
"""Our layers in the order of the numbers that Keras gives to each kind, without attention."""
ATTENTION = SELECTED | {
    "layer_normalization": ("normalise.{}", "score.1.{}"),
    "dense": ("score.0.{}", "score.3.{}", "dense.{}", "readout.{}"),
}
LSTM = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih"}
PARTS = {
    "forward_lstm": LSTM,
    "backward_lstm": LSTM,
    "layer_normalization": {"gamma": "weight", "beta": "bias"},
    "lstm": LSTM,
    "dense": {"kernel": "weight", "bias": "bias"},
}
"""Their names for the parts of a layer, and ours."""


def read(weights: Mapping[str, npt.NDArray[np.float32]], config: Mapping[str, Any]) -> Imported:
    """Find the sizes in Keras weights and give them our names.

    Parameters
    ----------
    weights
        By names such as ``"bidirectional/forward_lstm/lstm_cell/kernel:0"``.
    config
        ``"bins"``, the window; 20 where it is not given.

    Raises
    ------
    ValueError
        If a weight is not known, or one is missing.
    """
    layers = ATTENTION if _count_dense(weights) > len(SELECTED["dense"]) else SELECTED
    renamed = _rename(weights, layers)
    _refuse_missing(renamed, layers)
    for layer in ("both_ways.{}_l0", "both_ways.{}_l0_reverse", "onward.{}_l0"):
        bias = renamed[layer.format("bias_ih")]
        renamed[layer.format("bias_hh")] = torch.zeros_like(bias)
    channels = renamed["both_ways.weight_ih_l0"].shape[1]
    settings = {
        "window": whole_number(config, "bins", 20),
        "hidden": renamed["both_ways.weight_hh_l0"].shape[1],
        "dense": len(renamed["dense.weight"]),
        "attention": layers is ATTENTION,
        "classes": len(renamed["readout.weight"]),
    }
    return Imported(tuple(str(n) for n in range(1, channels + 1)), settings, renamed)


def answers(
    imported: Imported, fixture: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[np.float32]]:
    """Run the newest bins of the input of a fixture, (window, bin, channel)."""
    network = TemporalAttentionLSTM(imported.channels, **imported.settings).eval()
    network.load_state_dict(dict(imported.weights))
    windows = torch.as_tensor(fixture["input"][:, -network.window :])
    with torch.inference_mode():
        found = {"output": network.readout(network.embed(windows)).numpy()}
        if network.score is not None:
            found["attention"] = network.attend(windows)[..., None].numpy()
    return found


def _parse(name: str) -> tuple[str, int, str]:
    """Return the kind of layer, its number among its kind, and the part."""
    match = NAME.fullmatch(name)
    if match is None or match["part"] not in PARTS[match["kind"]]:
        raise ValueError(f"Invalid weight: {name!r}, known layers: {list(PARTS)}")
    return match["kind"], int(match["number"] or 0), match["part"]


def _count_dense(names: Iterable[str]) -> int:
    return len({number for kind, number, _ in map(_parse, names) if kind == "dense"})


def _rename(
    weights: Mapping[str, npt.NDArray[np.float32]], layers: Mapping[str, tuple[str, ...]]
) -> dict[str, Tensor]:
    numbers: dict[str, set[int]] = {kind: set() for kind in layers}
    for kind, number, _ in map(_parse, weights):
        numbers[kind].add(number)
    renamed = {}
    for name, values in weights.items():
        kind, number, part = _parse(name)
        place = sorted(numbers[kind]).index(number)
        if place >= len(layers[kind]):
            raise ValueError(
                f"Invalid weight: {name!r}, must be one of {len(layers[kind])} layers {kind}"
            )
        ours = layers[kind][place].format(PARTS[kind][part])
        renamed[ours] = torch.tensor(np.asarray(values, dtype=np.float32).T)
    return renamed


def _refuse_missing(renamed: Mapping[str, Tensor], layers: Mapping[str, tuple[str, ...]]) -> None:
    wanted = {
        layer.format(part)
        for kind, names in layers.items()
        for layer in names
        for part in PARTS[kind].values()
    }
    if wanted - set(renamed):
        raise ValueError(f"Invalid weights: {sorted(wanted - set(renamed))} are missing")
