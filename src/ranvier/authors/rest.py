"""The authors' weights of REST: the ``state_dict`` of a checkpoint of Lightning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ranvier.authors import Imported, whole_number
from ranvier.features import ScalePerStep
from ranvier.networks.rest import REST
from ranvier.recording import Layout

Weights = Mapping[str, npt.NDArray[np.float32]]

SIZES = (("steps",), ("fire_rate",), ("multi",), ("nodes",), ("adjacency",))

TUSZ = tuple("Fp1 Fp2 F3 F4 C3 C4 P3 P4 O1 O2 F7 F8 T3 T4 T5 T6 Fz Cz Pz".split())
"""The electrodes in the order of the corpus that the authors trained on."""

LAYERS = {
    "l1": "project",
    "l2": "recur",
    "gc1.lin_rel": "first.neighbours",
    "gc1.lin_root": "first.own",
    "gc2.lin_rel": "second.neighbours",
    "gc2.lin_root": "second.own",
    "fc": "readout",
}
"""Layers in the authors' checkpoints and here."""

UNBIASED = ("l1", "gc1.lin_root", "gc2.lin_root")

NAMES = {f"{layer}.weight": f"{ours}.weight" for layer, ours in LAYERS.items()} | {
    f"{layer}.bias": f"{ours}.bias" for layer, ours in LAYERS.items() if layer not in UNBIASED
}
"""Weights in the authors' checkpoints and here."""


def read(weights: Weights, config: Mapping[str, Any]) -> Imported:
    """Find the sizes and give the weights our names.

    Parameters
    ----------
    weights
        By the authors' names, ``gc1.lin_rel.weight``.
    config
        Of the authors' settings ``steps`` of a clip, ``fire_rate`` and ``multi`` (1 to 9 updates a
        step), and ``adjacency``, (source, target), where they are known; without a graph it is
        made from the places of the electrodes.

    Raises
    ------
    ValueError
        If a weight is not known or missing, or a graph is needed and not there.
    """
    if set(weights) != set(NAMES):
        missing, unknown = sorted(set(NAMES) - set(weights)), sorted(set(weights) - set(NAMES))
        raise ValueError(
            f"Invalid weights: missing {missing} and unknown {unknown}, must be those of REST"
        )
    hidden, features = weights["l1.weight"].shape
    settings: dict[str, Any] = {
        "features": features,
        "hidden": hidden,
        "classes": len(weights["fc.bias"]),
        "normalise": "none",
        "bound": float("inf"),
        "memory": "clip",
        "clip": whole_number(config, "steps", 12),
        "fire_rate": float(config.get("fire_rate", 0.5)),
        "repeats": (1, 9) if config.get("multi") else (1, 1),
    }
    if "adjacency" in config:
        settings["adjacency"] = np.asarray(config["adjacency"])
    renamed = {NAMES[name]: torch.as_tensor(values) for name, values in weights.items()}
    return Imported(_channels(config), settings, renamed)


def answers(
    imported: Imported, fixture: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[np.float32]]:
    """Run clips of spectra, (batch, node, step, feature), with all masks of the fixture."""
    settings = {**imported.settings, "adjacency": fixture["adjacency"]}
    network = REST(imported.channels, **settings)
    network.load_state_dict(imported.weights)
    spectra = fixture["input"].transpose(0, 2, 1, 3)
    features, _ = ScalePerStep(Layout(imported.channels, 1.0)).step(spectra, ())
    single = [[mask] for mask in torch.as_tensor(fixture["masks"]).float()]
    every = torch.as_tensor(fixture["masks_multi"]).float()
    several = [list(some) for some in torch.split(every, fixture["updates_per_step"].tolist())]
    with torch.inference_mode():
        nodes = _logits(network, features, [[1.0]] * features.shape[1])
        found = {
            "output_fire_rate_1": nodes.mean(dim=1),
            "output_nodes_fire_rate_1": nodes,
            "output_masked": _logits(network, features, single).mean(dim=1),
            "output_multi": _logits(network, features, several).mean(dim=1),
        }
    return {name: values.numpy() for name, values in found.items()}


def _logits(network: REST, features: npt.NDArray[np.float32], masks: list[list[Any]]) -> Tensor:
    """Return the logits of each node after the last step, (batch, node, class)."""
    projected = network.project(torch.as_tensor(features)) + network.recur.bias
    logits: Tensor = network.readout(network.follow_clips(projected, 1, masks.__getitem__))
    return logits[:, 0]


def _channels(config: Mapping[str, Any]) -> tuple[str, ...]:
    nodes = len(config["adjacency"]) if "adjacency" in config else whole_number(config, "nodes", 19)
    if nodes == len(TUSZ):
        return TUSZ
    if "adjacency" not in config:
        raise ValueError(
            f"Invalid nodes: {nodes}, must be {len(TUSZ)} where no adjacency is in the config"
        )
    return tuple(str(number) for number in range(1, nodes + 1))
