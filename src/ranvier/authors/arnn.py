"""The authors' weights of ARNN: the ``state_dict`` of their ``Attentive_RNN``.

Their checkpoints also have what is not learnt: zeros for the shifts of layer norms (``beta``) and
frequencies of rotations (``inv_freq``); these are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ranvier.authors import Imported, whole_number
from ranvier.networks.arnn import WindowARNN

Weights = Mapping[str, npt.NDArray[np.float32]]

BLOCK = "arnn.arnn."
CROSS = f"{BLOCK}cross_attention."
GATES = tuple(f"{BLOCK}state_recurrence.{gate}_proj" for gate in ("main", "input", "forget"))
HEAD = "mlp.sequential."

THEIRS: dict[str, tuple[str, ...]] = {
    "cell.embed.weight": ("embed.embed.weight",),
    "cell.embed.bias": ("embed.embed.bias",),
    "cell.norm.weight": ("arnn.norm_ex.gamma",),
    "cell.first_state": ("arnn.init_state",),
    "cell.project.weight": tuple(f"{BLOCK}to_{kind}.weight" for kind in "qkv"),
    "cell.state_norm.weight": (f"{CROSS}state_norm.gamma",),
    "cell.state_project.weight": tuple(f"{CROSS}{kind}_from_state.weight" for kind in "kqv"),
    "cell.scales": (
        f"{BLOCK}attn.q_scale",
        f"{BLOCK}attn.k_scale",
        f"{CROSS}from_state_cross_attn.q_scale",
        f"{CROSS}to_state_cross_attn.k_scale",
        f"{CROSS}from_state_cross_attn.k_scale",
        f"{CROSS}to_state_cross_attn.q_scale",
    ),
    "cell.join.weight": (f"{BLOCK}attn_out.weight",),
    "cell.gates.weight": tuple(f"{gate}.weight" for gate in GATES),
    "cell.gates.bias": tuple(f"{gate}.bias" for gate in GATES),
    "cell.mix_norm.weight": (f"{BLOCK}norm.norm.gamma",),
    "cell.mix.weight": (f"{BLOCK}to_logits.weight",),
    "cell.head.weight": (f"{HEAD}linear1.weight",),
    "cell.head.bias": (f"{HEAD}linear1.bias",),
    "readout.weight": (f"{HEAD}linear2.weight",),
    "readout.bias": (f"{HEAD}linear2.bias",),
    "unused.out_proj.weight": (f"{BLOCK}out_proj.weight",),
    "unused.state_out_to_gate.weight": (f"{CROSS}state_out_to_gate.weight",),
    "unused.state_out_to_gate.bias": (f"{CROSS}state_out_to_gate.bias",),
}
"""Their weights that ours are made of, one after the other."""

SIZES = (("seq_len", "window", "time_steps"),)
SEGMENTS = 16
"""Of a window, as published."""


def read(weights: Weights, config: Mapping[str, Any]) -> Imported:
    """Find the sizes and give the weights our names.

    Parameters
    ----------
    weights
        By the authors' names, ``arnn.init_state``.
    config
        ``seq_len`` or ``window``, the samples of a window, or ``time_steps``, its segments, where
        these are not as published.

    Raises
    ------
    ValueError
        If a weight is not known, missing or of another shape.
    """
    _check_names(weights)
    settings = _settings(weights, config)
    channels = tuple(str(i + 1) for i in range(weights["embed.embed.weight"].shape[1]))
    expected = WindowARNN(channels, **settings).state_dict()
    return Imported(channels, settings, {name: _made(name, weights, expected) for name in THEIRS})


def answers(imported: Imported, fixture: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Run windows, (batch, time, channel), up to the last segment's answer and the logits.

    The fixture's readout weighs 2,560 values by up to 5, and they cancel to 1: the authors' logits
    in float32 are up to 4.5e-5 from those in double precision, and so may ours be.
    """
    network = WindowARNN(imported.channels, **imported.settings)
    network.load_state_dict(dict(imported.weights))
    cell = network.eval().cell
    with torch.inference_mode():
        attended, state = network.attend(torch.as_tensor(fixture["input"]))
        last, state = cell.output(attended), cell.update(attended, state)
        logit = network.readout(cell.answer(attended))
    found = {"output": logit.sigmoid(), "output_logit": logit, "state": state, "last_segment": last}
    return {name: values.numpy() for name, values in found.items()}


def _check_names(weights: Weights) -> None:
    known = {theirs for parts in THEIRS.values() for theirs in parts}
    given = {name for name in weights if name.rpartition(".")[2] not in ("beta", "inv_freq")}
    if unknown := sorted(given - known):
        raise ValueError(f"Invalid weights: {', '.join(unknown)} unknown to ARNN")
    if missing := sorted(known - given):
        raise ValueError(f"Invalid weights: {', '.join(missing)} missing")


def _settings(weights: Weights, config: Mapping[str, Any]) -> dict[str, Any]:
    """Read the sizes off the weights, and the length of a window off the config."""
    segment, hidden = weights["arnn.init_state"].shape
    head_size = len(weights[f"{BLOCK}attn.q_scale"])
    window = segment * whole_number(config, "time_steps", SEGMENTS)
    return {
        "window": whole_number(config, "seq_len", whole_number(config, "window", window)),
        "segment": segment,
        "hidden": hidden,
        "heads": len(weights[f"{BLOCK}to_q.weight"]) // head_size,
        "head_size": head_size,
        "classes": len(weights[f"{HEAD}linear2.bias"]),
    }


def _made(name: str, weights: Weights, expected: Mapping[str, Tensor]) -> Tensor:
    """Join their weights to one of ours."""
    parts = [torch.as_tensor(weights[theirs]) for theirs in THEIRS[name]]
    shape = expected[name].shape
    tail = shape[1:] if name != "cell.scales" else ()
    sizes = [tuple(part.shape) for part in parts]
    if any(size[1:] != tail for size in sizes) or sum(p.numel() for p in parts) != shape.numel():
        raise ValueError(
            f"Invalid weights: {', '.join(THEIRS[name])} of shape {', '.join(map(str, sizes))}, "
            f"must make up {tuple(shape)}"
        )
    joined = torch.cat(parts).reshape(shape)
    if name == "cell.join.weight":  # theirs: the state asks, it is asked, self
        asked, asking, own = joined.chunk(3, dim=1)
        return torch.cat([asking, asked, own], dim=1)
    return joined
