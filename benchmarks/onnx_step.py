"""A network's step in torch and in ONNX Runtime: time, and how far apart the answers are.

    python benchmarks/onnx_step.py [NETWORK ...]

Each network at its own size, random weights, noise as input; one row, one thread, NumPy in and out,
both in turns in one process, times of the processor. A step is what one output takes. The
differences are the largest of 2,000 outputs where a memory is carried, of 20 windows elsewhere.
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ranvier.channels import DOUBLE_BANANA, TEN_TWENTY
from ranvier.networks import make_network
from ranvier.onnx_export import export
from ranvier.onnx_rewrites import lean
from ranvier.onnx_runtime import Graph, OnnxStage
from ranvier.recording import Array, Layout
from ranvier.runtime import NetworkStage
from ranvier.streaming import Stage, State

UNITS = tuple(f"unit {i}" for i in range(96))
ONE = ("Fpz-Cz",)
ROUNDS, SECONDS = 7, 0.15

CASES: dict[str, tuple[str, tuple[str, ...], Mapping[str, Any]]] = {
    "REST, carried": ("rest", TEN_TWENTY, {}),
    "REST, clips of 12": ("rest", TEN_TWENTY, {"memory": "clip"}),
    "ARNN, window of 1024": ("arnn", DOUBLE_BANANA, {}),
    "ARNN, carried": ("arnn", DOUBLE_BANANA, {"memory": "carry"}),
    "AttnSleep": ("attn_sleep", ONE, {}),
    "Inception": ("inception", ONE, {}),
    "temporal attention": ("temporal_attention_lstm", UNITS, {}),
    "Kalman, 4 axes": ("kalman", UNITS, {"classes": 4}),
    "Wiener": ("wiener", UNITS, {}),
    "GRU": ("gru", UNITS, {}),
    "GRU, carried": ("gru", UNITS, {"memory": "carry"}),
    "LSTM, window of 1024": ("lstm", DOUBLE_BANANA, {}),
    "LSTM, carried": ("lstm", DOUBLE_BANANA, {"memory": "carry"}),
    "CNN-LSTM": ("cnn_lstm", TEN_TWENTY, {}),
    "DCRNN": ("dcrnn", TEN_TWENTY, {}),
    "Transformer": ("transformer", TEN_TWENTY, {}),
    "ViT": ("vit", DOUBLE_BANANA, {}),
    "CCT": ("cct", DOUBLE_BANANA, {}),
    "R-Transformer": ("r_transformer", DOUBLE_BANANA, {}),
}


def main() -> None:
    torch.set_num_threads(1)
    print(
        "| network | graph made, s | opened, ms | step torch, µs | ONNX, µs | times | apart | of |"
    )
    print("|---|---|---|---|---|---|---|---|")
    export_of("wiener", UNITS, {"window": 2})
    for name, case in CASES.items():
        if not sys.argv[1:] or case[0] in sys.argv[1:]:
            print(f"| {name} | {' | '.join(measured(*case))} |", flush=True)


def export_of(name: str, channels: tuple[str, ...], settings: Mapping[str, Any]) -> Any:
    torch.manual_seed(0)
    network = make_network(name, channels, settings)
    return network, export(network, name, tuple(channels), settings)


def carried_by(name: str, channels: tuple[str, ...], settings: Mapping[str, Any]) -> Any:
    network, content = export_of(name, channels, settings)
    return network, lean(content)


def measured(name: str, channels: tuple[str, ...], settings: Mapping[str, Any]) -> list[str]:
    (network, content), made = timed(lambda: carried_by(name, channels, settings))
    graph, opened = timed(lambda: Graph(content))
    layout = Layout(tuple(channels), 1.0)
    stages = NetworkStage(layout, network), OnnxStage(layout, graph)
    signal = noise(network, 2000 if graph.memory else 20)
    expected, found = (run(stage, signal) for stage in stages)
    apart = float(np.nanmax(np.abs(found - expected)))
    scale = float(np.nanmax(np.abs(expected)))
    in_torch, in_onnx = step_times(stages, signal)
    numbers = f"{made:.1f}", f"{opened * 1e3:.0f}", f"{in_torch:.0f}", f"{in_onnx:.0f}"
    return [*numbers, f"{in_torch / in_onnx:.1f}", f"{apart:.1e}", f"{scale:.2g}"]


def timed(make: Callable[[], Any]) -> tuple[Any, float]:
    began = time.process_time()
    made = make()
    return made, time.process_time() - began


def noise(network: Any, outputs: int) -> Array:
    tail = () if network.features is None else (network.features,)
    shape = (1, network.window + (outputs - 1) * network.hop, len(network.channels), *tail)
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def run(stage: Stage, signal: Array) -> Array:
    state, found = stage.initial_state(1), []
    for first in range(0, signal.shape[1], 5000):
        output, state = stage.step(signal[:, first : first + 5000], state)
        found.append(output)
    return np.concatenate(found, axis=1)


def step_times(stages: tuple[NetworkStage, OnnxStage], signal: Array) -> tuple[float, float]:
    """Return the medians of a step in microseconds, of rounds that take turns."""
    facts = stages[1].facts
    ready = [stage.step(signal[:, : facts.window], stage.initial_state(1))[1] for stage in stages]
    hop = signal[:, facts.window : facts.window + facts.hop]
    rounds = [
        [one_round(*pair, hop) for pair in zip(stages, ready, strict=True)] for _ in range(ROUNDS)
    ]
    in_torch, in_onnx = np.median(rounds, axis=0)
    return float(in_torch), float(in_onnx)


def one_round(stage: Stage, state: State, hop: Array) -> float:
    took: list[float] = []
    while sum(took) < SECONDS or len(took) < 5:
        took.append(timed(lambda: stage.step(hop, state))[1])
    return float(np.median(took)) * 1e6


if __name__ == "__main__":
    main()
