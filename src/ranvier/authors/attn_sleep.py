"""The authors' weights of AttnSleep: ``checkpoint["state_dict"]`` of either data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ranvier.authors import Imported, whole_number
from ranvier.networks.attn_sleep import FORMS, AttnSleep

Weights = Mapping[str, npt.NDArray[np.float32]]

SIZES = (("window",), ("heads",))

PLACES = {
    "0": "filters.convolve",
    "1": "filters.norm",
    "5": "first.convolve",
    "6": "first.norm",
    "8": "second.convolve",
    "9": "second.norm",
}
"""Layers of a branch, by their place in it."""

MODULES = {
    **{f"mrcnn.features1.{place}": f"views.small.{ours}" for place, ours in PLACES.items()},
    **{f"mrcnn.features2.{place}": f"views.wide.{ours}" for place, ours in PLACES.items()},
    "mrcnn.AFR.0.conv1": "views.recalibrate.first.convolve",
    "mrcnn.AFR.0.bn1": "views.recalibrate.first.norm",
    "mrcnn.AFR.0.conv2": "views.recalibrate.second.convolve",
    "mrcnn.AFR.0.bn2": "views.recalibrate.second.norm",
    "mrcnn.AFR.0.downsample.0": "views.recalibrate.shortcut.convolve",
    "mrcnn.AFR.0.downsample.1": "views.recalibrate.shortcut.norm",
    "mrcnn.AFR.0.se.fc.0": "views.recalibrate.squeeze",
    "mrcnn.AFR.0.se.fc.2": "views.recalibrate.excite",
    "tce.norm": "encoder.norm",
    "fc": "readout",
}

LAYER = {
    "conv": "encoder.layers.{}.mix.0",
    "self_attn.convs.0": "unused.query_{}",
    "self_attn.convs.1": "encoder.layers.{}.mix.1",
    "self_attn.convs.2": "encoder.layers.{}.mix.2",
    "self_attn.linear": "encoder.layers.{}.join",
    "feed_forward.w_1": "encoder.layers.{}.widen",
    "feed_forward.w_2": "encoder.layers.{}.narrow",
    "sublayer_output.0.norm": "unused.norm_{}",
    "sublayer_output.1.norm": "encoder.layers.{}.norm",
}
"""Modules of an encoder layer; query, key and value are the thirds of one convolution here."""

KINDS = {"a_2": "weight", "b_2": "bias"}
FORM_OF_WIDTH = {7: "sleep_edf", 6: "shhs"}
"""The form, by the width of the wide branch's later convolutions."""


def read(weights: Weights, config: Mapping[str, Any]) -> Imported:
    """Find the sizes and give the weights our names.

    Parameters
    ----------
    weights
        By the authors' names, ``mrcnn.features1.0.weight``.
    config
        ``window`` and ``heads`` where they are not as published.

    Raises
    ------
    ValueError
        If a weight is not known, missing or of another shape.
    """
    names = _our_names(weights)
    settings = _settings(weights, config, layers=sum(name.endswith("join.bias") for name in names))
    expected = AttnSleep(("1",), **settings).state_dict()
    given = _joined({ours: weights[theirs] for ours, theirs in names.items()})
    return Imported(("1",), settings, {**expected, **_shaped(given, expected)})


def answers(imported: Imported, fixture: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Run epochs, (batch, 1, time), up to attention and up to the logits."""
    network = AttnSleep(imported.channels, **imported.settings)
    network.load_state_dict(imported.weights)
    windows = torch.as_tensor(fixture["input"]).mT
    with torch.inference_mode():
        features = network.eval().feature_maps(windows)
        output = network.readout(network.embed(windows))
    return {"features": features.numpy(), "output": output.numpy()}


def _our_names(weights: Weights) -> dict[str, str]:
    """Return the authors' name of each of ours, and refuse other names."""
    modules = dict(MODULES)
    for layer in {match[1] for name in weights if (match := re.match(r"tce\.layers\.(\d+)", name))}:
        modules |= {f"tce.layers.{layer}.{name}": o.format(layer) for name, o in LAYER.items()}
    names = {}
    for name in weights:
        module, _, kind = name.rpartition(".")
        if module not in modules:
            raise ValueError(f"Invalid weight: {name!r}, known modules: {list(modules)}")
        names[f"{modules[module]}.{KINDS.get(kind, kind)}"] = name
    return names


def _settings(weights: Weights, config: Mapping[str, Any], *, layers: int) -> dict[str, Any]:
    """Read the sizes off the weights, and what weights cannot tell off the config."""
    try:
        width = weights["mrcnn.features2.5.weight"].shape[-1]
        maps = len(weights["mrcnn.AFR.0.conv2.bias"])
        hidden = len(weights["tce.layers.0.feed_forward.w_1.bias"])
        classes = len(weights["fc.bias"])
    except KeyError as error:
        raise ValueError(f"Invalid weights: {error} is missing") from None
    if width not in FORM_OF_WIDTH:
        raise ValueError(
            f"Invalid width of mrcnn.features2.5: {width}, must be one of {list(FORM_OF_WIDTH)}"
        )
    form = FORM_OF_WIDTH[width]
    sizes = {"maps": maps, "layers": layers, "hidden": hidden, "classes": classes}
    window = whole_number(config, "window", FORMS[form].window)
    return {"form": form, "window": window, "heads": whole_number(config, "heads", 5), **sizes}


def _joined(given: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Join the thirds of each mixing convolution."""
    thirds = re.compile(r"(.*\.mix)\.\d\.(.*)")
    joined = {name: values for name, values in given.items() if not thirds.fullmatch(name)}
    for module, kind in {match.groups() for name in given if (match := thirds.fullmatch(name))}:
        parts = [f"{module}.{third}.{kind}" for third in range(3)]
        if all(part in given for part in parts):
            joined[f"{module}.{kind}"] = np.concatenate([given[part] for part in parts])
    return joined


def _shaped(given: Weights, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of our shapes, which differ from theirs in axes of length 1 alone."""
    if missing := sorted(n for n in set(expected) - set(given) if "num_batches" not in n):
        raise ValueError(f"Invalid weights: none of theirs is our {', '.join(missing)}")
    for name, values in given.items():
        shape = tuple(expected[name].shape)
        if [n for n in values.shape if n > 1] != [n for n in shape if n > 1]:
            raise ValueError(f"Invalid weights: {name} has shape {values.shape}, must have {shape}")
    return {
        name: torch.as_tensor(values).reshape(expected[name].shape)
        for name, values in given.items()
    }
