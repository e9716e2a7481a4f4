"""What eight bits cost and bring: AttnSleep on simulated nights, and an LSTM on real reaches.

    python benchmarks/int8.py sleep [--subjects 10] [--hours 4] [--passes 30]
    python benchmarks/int8.py movement [SESSION.npz]
    python benchmarks/int8.py networks

``sleep`` trains AttnSleep by its packaged recipe on simulated nights, calibrates on those that it
was trained on, and compares on nights of others. ``movement`` trains the temporal-attention LSTM as
``benchmarks/reach_choice.json`` says on the first 80 % of the trials of a real session and compares
on the last 20 %; the session is not part of the project, see the docs. Both time the step against
the textbook form in ``benchmarks/reference``; the forms take turns on one thread, and given are
median processor times and the medians of the ratios over the rounds. ``networks`` times the step of
each network with random weights against that in ONNX Runtime which decoders carry.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import Forms, timed
from onnx_step import CASES, export_of
from reach import CHOICE, SESSION, ready_for, standardised, trained, trials_of
from reference import attn_sleep
from reference.temporal_attention_lstm import textbook_like

import ranvier as rv
from ranvier.formats import read_one
from ranvier.onnx_export import export
from ranvier.onnx_int8 import METHODS, Listening, quantised
from ranvier.onnx_rewrites import lean
from ranvier.onnx_runtime import Graph, OnnxStage
from ranvier.quantise import PLANS, Plan, quantise
from ranvier.recipe import packaged_recipe
from ranvier.recording import Array
from ranvier.store import Prepared
from ranvier.tasks.movement import r2

ROUNDS, TOGETHER = 15, 128
HELD_OUT = 3
"""Nights that are compared on, each of a sleeper of its own."""


def sleep(subjects: int, hours: float, passes: int) -> None:
    nights = rv.simulate_nights(subjects=subjects + HELD_OUT, hours=hours)
    recipe = packaged_recipe("sleep", "attn_sleep")
    training = replace(recipe.training, passes=passes, patience=passes)
    decoder = rv.train("sleep", nights[:subjects], recipe=replace(recipe, training=training))
    made = quantise(decoder, nights[:subjects], check=nights[subjects:])
    print(*made.cost.lines(), sep="\n", flush=True)
    windows = np.random.default_rng(0).normal(0, 20, (TOGETHER, 3000, 1)).astype(np.float32)
    textbook = attn_sleep.AttnSleep().eval()
    graphs = {"ONNX": Graph(decoder.onnx()), "INT8": Graph(made.decoder.int8())}
    for batch, calls in ((1, 10), (TOGETHER, 1)):
        given = windows[:batch]
        signal = torch.as_tensor(given).mT.contiguous()
        print_times(f"AttnSleep, batch {batch}", lambda: textbook(signal), graphs, given, calls)  # noqa: B023


def print_times(
    what: str, textbook: Callable[[], object], graphs: dict[str, Graph], windows: Array, calls: int
) -> None:
    forms: Forms = {"textbook": textbook}
    for name, graph in graphs.items():
        forms[name] = lambda graph=graph: through(graph, windows)  # type: ignore[misc]
    for name, milliseconds, cpu, wall in timed(forms, ROUNDS, calls, training=False):
        print(f"| {what} | {name} | {milliseconds:.2f} ms | {cpu:.2f} | {wall:.2f} |", flush=True)


def through(graph: Graph, windows: Array) -> None:
    """Send windows through a graph as ``OnnxStage`` does."""
    for first in range(len(windows)):
        graph.run(windows[first : first + 1], ())


def movement(session: Path) -> None:
    trials = trials_of(read_one(session))
    first = round(0.8 * len(trials))
    truth = np.concatenate([one.trajectory.values for one in trials[first:]])
    chosen = json.loads(CHOICE.read_text())
    for decoder, one in chosen.items():
        if one["network"] == "temporal_attention_lstm":
            compare_movement(decoder, one, trials, first, truth)


def compare_movement(
    decoder: str, one: dict[str, Any], trials: Sequence[Any], first: int, truth: Array
) -> None:
    candidate = one["network"], one["settings"], one["training"]
    with tempfile.TemporaryDirectory() as folder:
        ready = ready_for(candidate, trials, folder)
        train, held = standardised(ready[:first], ready[first:], candidate)
        network, _ = trained(candidate, train, train)
        content = export(network, one["network"], ready[0].layout.channels, one["settings"])
        graphs = {"ONNX": Graph(lean(content)), "INT8": Graph(quantised(content, "dynamic"))}
        for name, graph in graphs.items():
            found = np.concatenate(list(outputs_of(graph, list(held))))
            score = r2(truth, found).mean()
            print(f"{decoder}, {name}: R² {score:.4f}, {len(graph.content) / 1e6:.2f} MB")
    channels = len(network.channels)
    rng, settings = np.random.default_rng(0), one["settings"]
    textbook = textbook_like(network)
    for batch, calls in ((1, 10), (TOGETHER, 1)):
        windows = rng.poisson(1.0, (batch, settings["window"], channels)).astype(np.float32)
        given = torch.as_tensor(windows)
        print_times(f"{decoder}, batch {batch}", lambda: textbook(given), graphs, windows, calls)  # noqa: B023


def outputs_of(graph: Graph, trials: Sequence[Prepared]) -> Iterator[Array]:
    """Decode each trial, (bin, axis)."""
    for trial in trials:
        stage = OnnxStage(trial.layout, graph)
        logits, _ = stage.step(trial.features()[None], stage.initial_state(1))
        yield logits[0, :, 0]


def networks() -> None:
    print("| network | method | step, MB | INT8, MB | ms | INT8 | apart | of |")
    print("|---" * 8 + "|")
    for name, (network, channels, settings) in CASES.items():
        _, content = export_of(network, channels, settings)
        seen = listened(content, len(channels))
        for method in METHODS:
            plan = PLANS.get(network, Plan(method))
            parts = plan.parts if plan.method == method else ()
            try:
                small = Graph(quantised(content, method, seen, parts=parts))
            except ValueError as error:
                print(f"| {name} | {method} | {str(error)[:60]} |", flush=True)
                continue
            print(f"| {name} | {method} | {row(content, small, seen[-1])} |", flush=True)


def listened(content: bytes, channels: int) -> list[Any]:
    graph, rng = Listening(content), np.random.default_rng(0)
    tail = () if graph.facts.features is None else (graph.facts.features,)
    memory = graph.memory
    for _ in range(16):
        chunk = rng.normal(0, 1, (1, graph.facts.read, channels, *tail)).astype(np.float32)
        _, memory = graph.run(chunk, memory)
    return graph.kept


def row(content: bytes, small: Graph, fed: dict[str, Array]) -> str:
    plain = Graph(lean(content))
    expected, found = (each.session.run(None, fed)[0] for each in (plain, small))
    forms: Forms = {
        name: (lambda graph=graph: graph.session.run(None, fed))  # type: ignore[misc]
        for name, graph in {"plain": plain, "small": small}.items()
    }
    (_, milliseconds, *_), *others = timed(forms, ROUNDS, 5, training=False)
    times = " | ".join(f"{cpu:.2f} x" for _, _, cpu, _ in others)
    sizes = " | ".join(f"{len(each) / 1e6:.2f}" for each in (plain.content, small.content))
    apart, scale = (float(np.nanmax(np.abs(each))) for each in (found - expected, expected))
    return f"{sizes} | {milliseconds:.3f} | {times} | {apart:.1e} | {scale:.1e}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["sleep", "movement", "networks"])
    parser.add_argument("session", nargs="?", type=Path, default=SESSION)
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--passes", type=int, default=30)
    given = parser.parse_args()
    if given.what == "sleep":
        sleep(given.subjects, given.hours, given.passes)
    elif given.what == "movement":
        movement(given.session)
    else:
        networks()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
