"""What one answer of a network costs: time, operations, memory."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np

from ranvier.decoder import Decoder

REPEATS, WARM_UP = 50, 5
COLUMNS = ("one answer", "operations", "weights", "state")


class Cost(NamedTuple):
    """Of one answer, one recording at a time, on one thread.

    Parameters
    ----------
    milliseconds
        In the middle of many; the network alone.
    operations
        Multiplications with an addition, of the products and convolutions.
    weights, state
        Bytes that are learnt, and that are kept from answer to answer.
    """

    milliseconds: float
    operations: int
    weights: int
    state: int

    def cells(self) -> tuple[str, ...]:
        """Return the numbers with their units."""
        return (
            f"{self.milliseconds:.2f} ms",
            f"{self.operations / 1e6:.2f} M",
            f"{self.weights / 1e3:.0f} kB",
            f"{self.state / 1e3:.1f} kB",
        )


def cost_of(decoder: Decoder) -> Cost:
    """Measure one answer of the network of a decoder."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = decoder._module.eval()
    tail = () if network.features is None else (network.features,)
    begun = torch.rand(1, network.window, len(network.channels), *tail)
    hop = torch.rand(1, network.hop, *begun.shape[2:])
    lstm = {torch.ops.aten.mkldnn_rnn_layer: _operations_of_lstm}
    counter = FlopCounterMode(display=False, custom_mapping=lstm)
    with torch.inference_mode():
        _, state = network.step(begun, network.initial_state(1))
        times = [_seconds(network, hop, state) for _ in range(WARM_UP + REPEATS)]
    with torch.no_grad(), counter:
        network.step(hop, state)
    weights = sum(4 * one.numel() for one in network.parameters() if one.requires_grad)
    middle = 1e3 * float(np.median(times[WARM_UP:]))
    return Cost(middle, counter.get_total_flops() // 2, weights, _bytes(state))


def _operations_of_lstm(given: Any, from_input: Any, from_state: Any, *_: Any, **__: Any) -> int:
    """Return twice the products of one layer and direction; given is (time, batch, feature)."""
    steps = given[0] * given[1]
    return int(2 * steps * (from_input[0] * from_input[1] + from_state[0] * from_state[1]))


def _seconds(network: Any, hop: Any, state: Any) -> float:
    began = time.perf_counter()
    network.step(hop, state)
    return time.perf_counter() - began


def _bytes(state: Any) -> int:
    if isinstance(state, tuple | list):
        return sum(_bytes(part) for part in state)
    return state.numel() * state.element_size() if hasattr(state, "numel") else 0
