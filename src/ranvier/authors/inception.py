"""The Keras weights of the Inception seizure detector: the two units that its code runs.

The authors' first class is the seizure, their second is none; here it is the other way round, so
the rows of the last layers change places. Layers that Keras numbers by itself,
``conv1d_4``, are taken in the order of their numbers, since the first number varies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ranvier.authors import Imported, whole_number
from ranvier.networks.inception import Inception

Weights = Mapping[str, npt.NDArray[np.float32]]

SIZES = (("inputLength",), ("upSamplingFactor",))

NUMBERED = {
    "conv1d": ("bank", "trunk.convolution"),
    "batch_normalization": ("norm", "trunk.norm", "dense.norm"),
}
"""Ours for what Keras numbers, in order."""

NAMED = {"mainFullyConn": "dense.linear", "main_FC2": "readout"}
UNIT = {
    "_conv1": "units.{}.0.convolution",
    "_batchNorm1": "units.{}.0.norm",
    "_conv2": "units.{}.1.convolution",
    "_batchNorm2": "units.{}.1.norm",
    "_conv3": "heads.{}.0.convolution",
    "batchNorm3": "heads.{}.0.norm",
    "_FC1": "heads.{}.1.linear",
    "batchNorm4": "heads.{}.1.norm",
    "_FC2": "heads.{}.2",
}
PREFIXES = ("Lfilter", "Sfilter")
KINDS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def read(weights: Weights, config: Mapping[str, Any]) -> Imported:
    """Find the sizes and give the weights our names.

    Parameters
    ----------
    weights
        By Keras' names, ``Lfilter_conv1/kernel:0``.
    config
        ``inputLength`` and ``upSamplingFactor`` where they are not as published.

    Raises
    ------
    ValueError
        If a weight is not known, missing or of another shape.
    """
    layers = _layers(weights)
    renamed = dict(_renamed(name, values, layers) for name, values in weights.items())
    needed = set(Inception(("1",), pooling=("max",)).state_dict())
    if missing := sorted(n for n in needed - set(renamed) if "num_batches" not in n):
        raise ValueError(f"Invalid weights: none of theirs is our {', '.join(missing)}")
    settings = _settings(renamed, config)
    expected = Inception(("1",), **settings).state_dict()
    for name, values in renamed.items():
        if values.shape != expected[name].shape:
            raise ValueError(
                f"Invalid weights: {name} has shape {tuple(values.shape)}, must have "
                f"{tuple(expected[name].shape)}"
            )
    swapped = {name: _other_way_round(name, values) for name, values in renamed.items()}
    return Imported(("1",), settings, {**expected, **swapped})


def answers(imported: Imported, fixture: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Run windows that are scaled already, (batch, time, 1), through trunk and units."""
    network = Inception(imported.channels, **{**imported.settings, "scale_windows": False})
    network.load_state_dict(imported.weights)
    with torch.inference_mode():
        embedded, heads = network.eval().embed_for_training(torch.as_tensor(fixture["input"]))
        logits = network.readout(embedded)
    found = {"output": logits, "aux_large": heads[0], "aux_small": heads[1]}
    theirs = {name: values.flip(-1) for name, values in found.items()}
    probabilities = {name: values.softmax(dim=-1).numpy() for name, values in theirs.items()}
    return {**probabilities, "output_logit": theirs["output"].numpy()}


def _other_way_round(name: str, values: Tensor) -> Tensor:
    last = name.startswith("readout") or re.fullmatch(r"heads\.\d+\.2\.\w+", name)
    return values.flip(0) if last else values


def _layers(weights: Weights) -> dict[str, str]:
    """Return our name of every layer of theirs."""
    layers = NAMED | {
        prefix + theirs: ours.format(number)
        for number, prefix in enumerate(PREFIXES)
        for theirs, ours in UNIT.items()
    }
    theirs = {name.partition("/")[0] for name in weights}
    for kind, ours in NUMBERED.items():
        numbers = {
            int(match[1] or 0): name
            for name in theirs
            if (match := re.fullmatch(rf"{kind}(?:_(\d+))?", name))
        }
        layers |= {
            numbers[number]: name for number, name in zip(sorted(numbers), ours, strict=False)
        }
    return layers


def _renamed(
    name: str, values: npt.NDArray[np.float32], layers: Mapping[str, str]
) -> tuple[str, Tensor]:
    layer, _, kind = name.removesuffix(":0").partition("/")
    if layer not in layers or kind not in KINDS:
        raise ValueError(f"Invalid weight: {name!r}, known layers: {list(layers)}")
    turned = torch.as_tensor(values)
    turned = turned.T if turned.ndim == 2 else turned
    turned = turned.permute(2, 1, 0)[:, :, None] if turned.ndim == 3 else turned
    ours = layers[layer]
    return ours if ours == "bank" else f"{ours}.{KINDS[kind]}", turned.contiguous()


def _settings(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Any]:
    """Read the window off the layer that takes all samples, unless it is given."""
    upsample = whole_number(config, "upSamplingFactor", 1)
    window = weights["dense.linear.weight"].shape[1] // upsample
    return {
        "pooling": ("max",),
        "window": whole_number(config, "inputLength", window),
        "upsample": upsample,
        "classes": len(weights["readout.bias"]),
    }
