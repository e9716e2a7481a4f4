"""A Kalman filter for today out of yesterday's: two models of the counts pooled.

What counts tell of movement enters the filter as evidence and information, Hᵀ Q⁻¹ and Hᵀ Q⁻¹ H. A
weighted mean of those of two models is the logarithmic pool of the two densities, so it is a model
again; the law of the movement is that of the old one.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ranvier.decoder import Decoder
from ranvier.recording import Array, Recording
from ranvier.stages import build

SHARES = (0.0, 1 / 3, 2 / 3, 1.0)
"""Weights of the new model to choose from."""
POOLED = ("evidence", "evidence_offset", "information")
BLOCKS = 3
"""Of the new data; each is held out once."""


def pool_models(decoder: Decoder, learnt: Recording) -> tuple[dict[str, Array], float]:
    """Return the weights of a decoder with a pooled model, and the share of the new one.

    Parameters
    ----------
    decoder
        With a Kalman filter.
    learnt
        Of a new day, with a trajectory; blocks of it are held out to choose the share.
    """
    import torch

    counts, targets = _given(decoder, learnt)
    lost = np.zeros(len(SHARES))
    for held in np.array_split(np.arange(len(counts)), BLOCKS):
        rest = targets.clone()
        rest[held] = torch.nan
        new = _solved_anew(decoder._module, counts, rest)
        for i, share in enumerate(SHARES):
            lost[i] += _lost(_pooled(decoder._module, new, share), counts[held], targets[held])
    share = SHARES[int(lost.argmin())]
    whole = _pooled(decoder._module, _solved_anew(decoder._module, counts, targets), share)
    return {name: one.numpy().copy() for name, one in whole.state_dict().items()}, share


def _given(decoder: Decoder, learnt: Recording) -> list[Any]:
    """Return what the network gets, and the truth for each of its bins."""
    import torch

    assert learnt.trajectory is not None
    stages = build(decoder.stages, learnt.layout)
    features, _ = stages.step(learnt.read()[None], stages.initial_state(1))
    targets = decoder.predict(learnt).targets(learnt.trajectory)
    return [torch.tensor(one, dtype=torch.float32) for one in (features[0], targets)]


def _solved_anew(network: Any, counts: Any, targets: Any) -> Any:
    new = copy.deepcopy(network)
    new.solve([counts], [targets])
    return new


def _pooled(old: Any, new: Any, share: float) -> Any:
    import torch

    pooled = copy.deepcopy(old)
    with torch.no_grad():
        for name in POOLED:
            mean = torch.lerp(old.get_buffer(name), new.get_buffer(name), share)
            pooled.get_buffer(name).copy_(mean)
    return pooled.eval()


def _lost(network: Any, counts: Any, targets: Any) -> float:
    """Return the sum of squared errors where both are known."""
    import torch

    with torch.inference_mode():
        logits, _ = network.step(counts[None], network.initial_state(1))
    return float(((logits[0, :, 0] - targets) ** 2).nansum())
