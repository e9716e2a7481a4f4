"""What decoding costs: each network against its textbook form, and whole chains over an hour.

    pip install "ranvier[train,bench]"
    python benchmarks/deploy.py [--rounds N] [--quick] [--only TEXT] [--authors DIR]

The forms of a network take turns in one process on one thread, with the same weights and without
gradients, but for the two steps of training, which are those of ``networks.py``; before that the
answers of torch and ORT are compared. In its turn a form answers as often untimed as timed, so that
each is seen as it decodes a file, and not with the caches of another one. Given are medians of the
processor time, and medians over the rounds of the ratio to the textbook form in
``benchmarks/reference``, of processor time and of wall time; then the goals of the project, and
what is missing.

- ORT is the graph that decoders run. For REST it is made here, of scaling, step or whole clip, and
  mean over the electrodes, since the textbook does all of that; a decoder scales in a stage.
- INT8 is fit to the very windows that are timed. Its answers are not compared here.
- C takes scaled spectra, and keeps the projections of a clip's earlier seconds. Its answer to a
  clip is compared, that to a step is not.
- ``--authors`` takes a folder with clones of the authors' repositories, ``AttnSleep`` and ``ARNN``,
  and runs them with random weights. That of REST does not run as it stands, the others need Keras.

Then every network for EEG decodes an hour of a simulated patient, 19 channels at 256 Hz, from EDF
to events, with random weights and the stages of its recipe. Slow ones decode less, which is told.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from deploy_forms import CASES, FIRST, Case, authors_form

import ranvier as rv
from ranvier.bench.compiled import time_in_c
from ranvier.bench.machine import multiplied
from ranvier.bench.steps import parts_of
from ranvier.decisions import StageRule
from ranvier.decoding import collect
from ranvier.networks import make_network
from ranvier.recipe import packaged_recipe
from ranvier.recording import Layout, Recording
from ranvier.simulate import simulate_patient
from ranvier.stages import build

COLUMNS = (FIRST, "ours in torch", "ORT", "INT8", "C", "authors")
GOALS = {
    "REST step": {"ORT": 14.0, "C": 90.0},
    "REST clip of 14 s": {"ours in torch": 4.5, "ORT": 18.0, "C": 120.0},
    "ARNN window of 1024": {"ours in torch": 4.0, "ORT": 7.0, "C": 40.0},
    "AttnSleep epoch": {"ORT": 2.7, "INT8": 5.0},
    "AttnSleep 128 epochs": {"INT8": 2.2},
    "Inception window": {"ORT": 1.7},
    "temporal attention, 20 bins": {"ORT": 3.7, "INT8": 12.0},
    "REST training step, batch 128": {"ours in torch": 2.9},
    "AttnSleep training step, batch 64": {"ours in torch": 1.15},
}
"""Ratios to reach."""
KERAS = ("Inception window", "temporal attention, 20 bins")
"""Their goals are ratios to a compiled Keras graph, which is not run: here it is textbook torch."""


@dataclass(frozen=True)
class Taken:
    """Median seconds of a call, and ratios of the textbook to it: processor time, wall time."""

    seconds: float
    processor: float
    wall: float


def timed(case: Case, rounds: int) -> dict[str, Taken]:
    """Let the forms take turns."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in case.forms}
    with torch.inference_mode(not case.learning):
        for _ in range(rounds):
            for name, form in case.forms.items():
                calls = 1 if name in case.blocks else case.calls
                each = calls * case.blocks.get(name, 1)
                repeated(form, calls)
                began = time.process_time(), time.perf_counter()
                repeated(form, calls)
                ended = time.process_time(), time.perf_counter()
                took[name].append(((ended[0] - began[0]) / each, (ended[1] - began[1]) / each))
    return {
        name: Taken(
            median(one[0] for one in own),
            *(median(a[i] / b[i] for a, b in zip(took[FIRST], own, strict=True)) for i in (0, 1)),
        )
        for name, own in took.items()
    }


def repeated(form: Callable[[], Any], calls: int) -> None:
    for _ in range(calls):
        form()


def network_tables(rounds: int, only: str, authors: str) -> None:
    rate = multiplied()
    print(f"One thread multiplies at {rate / 1e9:.0f} GFLOP/s.\n")
    print(f"| what | floor | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}", flush=True)
    found: dict[str, dict[str, Taken]] = {}
    for cases in CASES:
        if only and only not in cases.__name__:
            continue
        torch.manual_seed(0)
        for case in cases():
            forms = {**case.forms, **authors_form(case.name, authors)}
            found[case.name] = taken = timed(replace(case, forms=forms), rounds)
            cells = (shown(taken.get(column)) for column in COLUMNS)
            floor = milliseconds(case.operations / rate) if case.operations else ""
            print(f"| {case.name} | {floor} | {' | '.join(cells)} |", flush=True)
    print_goals(found)


def shown(taken: Taken | None) -> str:
    if taken is None:
        return ""
    ratios = f", {taken.processor:.2f} x ({taken.wall:.2f} x)"
    return milliseconds(taken.seconds) + (ratios if taken.processor != 1.0 else "")


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"


def print_goals(found: Mapping[str, Mapping[str, Taken]]) -> None:
    """Print each goal beside what was found."""
    print("\n| goal | to reach | found | of this our form | of this the runtime | |")
    print("|---|---|---|---|---|---|")
    for name, taken in found.items():
        against = ", against torch" if name in KERAS else ""
        for column, goal in GOALS[name].items():
            if column not in taken:
                print(f"| {name}, {column} | {goal:g} x | not here | | | |")
                continue
            met = taken[column].processor >= goal
            verdict = "reached" if met else f"missed, at {taken[column].processor / goal:.0%} of it"
            print_goal(f"{name}, {column}", goal, taken, column, verdict + against)


def print_goal(
    name: str, goal: float, taken: Mapping[str, Taken], column: str, verdict: str
) -> None:
    ratio, own = taken[column].processor, taken["ours in torch"].processor
    cells = f"{goal:g} x", f"{ratio:.2f} x", f"{own:.2f} x", f"{ratio / own:.2f} x", verdict
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


CHAINS = (
    "rest", "arnn", "inception", "transformer", "dcrnn", "cnn_lstm", "lstm", "vit", "cct",
    "r_transformer", "attn_sleep",
)  # fmt: skip
LONGEST = 20.0
"""Seconds of computing that an hour may take before less than an hour is decoded."""


def random_decoder(network: str, layout: Layout) -> rv.Decoder:
    """Return a decoder of the packaged recipe with random weights; sleep is staged on Cz."""
    task = "sleep" if network == "attn_sleep" else "seizure"
    recipe = packaged_recipe(task, network)
    one = {"stage": "pick", "channels": ["Cz"]}
    stages = [one if stage["stage"] == "pick" else dict(stage) for stage in recipe.stages]
    given = build(stages, layout).output
    torch.manual_seed(0)
    made = make_network(network, given.channels, recipe.network_settings)
    weights = {name: value.numpy() for name, value in made.state_dict().items()}
    rule = StageRule() if task == "sleep" else recipe.rule
    settings = recipe.network_settings
    return rv.Decoder(
        task, tuple(stages), given.channels, given.rate, network, settings, weights, rule
    )


def decoded(decoder: rv.Decoder, recording: Recording) -> np.ndarray:
    """Decode block by block; return processor seconds of reading and of each part."""
    chain = decoder.bind(recording.layout)
    parts = parts_of(chain)
    states = [part.initial_state(1) for part in parts]
    took, outputs, blocks = np.zeros(1 + len(parts)), [], recording.blocks()
    while True:
        ticks = [time.process_time()]
        given: Any = next(blocks, None)
        if given is None:
            break
        given = given[None]
        ticks.append(time.process_time())
        for i, part in enumerate(parts):
            given, states[i] = part.step(given, states[i])
            ticks.append(time.process_time())
        outputs.append(given)
        took += np.diff(ticks)
    began, sites = time.process_time(), chain.pipeline.output.channels
    said = collect(outputs, recording, hop=chain.hop, rule=decoder.rule, notes=(), sites=sites)
    _ = said.decoded
    took[-1] += time.process_time() - began
    return took


def chain_table(minutes: float, only: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = simulate_patient(1, minutes=minutes, seed=0)
        path = Path(folder) / "hour.edf"
        signal = np.concatenate([one.read() for one in runs])
        rv.formats.write_edf(path, signal, runs[0].layout)
        recording = rv.formats.read_edf(path)
        print(
            f"\n{recording.duration / 60:.0f} minutes of {len(recording.layout.channels)} channels "
            f"at {recording.layout.rate:g} Hz; processor seconds for each hour of signal:\n"
        )
        heads = "network", "engine", "reading", "preprocessing", "network", "decision", "in all"
        print(f"| {' | '.join(heads)} | times real time | decoded |\n|{'---|' * 9}", flush=True)
        for network in CHAINS:
            if not only or only in network:
                chain_rows(network, recording)


def chain_rows(network: str, recording: Recording) -> None:
    decoder = random_decoder(network, recording.layout)
    chosen = {
        "torch": decoder.on("torch"),
        "ORT": decoder.on("onnx"),
        **eight_bits(decoder, recording),
    }
    for engine, one in chosen.items():
        short = recording.until(min(120.0, recording.duration))
        decoded(one, short)
        estimate = decoded(one, short).sum() / short.duration * recording.duration
        share = min(1.0, max(LONGEST / estimate, short.duration / recording.duration))
        part = recording if share == 1.0 else recording.until(recording.duration * share)
        chain_row(network, engine, decoded(one, part), part.duration)
    if network == "rest":
        try:
            seconds = time_in_c(decoder, recording, steps=10, clock=time.process_time)[1]
        except ValueError:
            return
        print_chain(network, "C", ["", "", "", ""], seconds, recording.duration)


def eight_bits(decoder: rv.Decoder, recording: Recording) -> dict[str, rv.Decoder]:
    """Return the decoder in whole numbers, where the package can make it."""
    try:
        from ranvier.quantise import quantise

        seen = recording.until(120.0)
        other = replace(recording.since(120.0).until(120.0), name="another", subject="another")
        return {"INT8": quantise(decoder, [seen], check=[other], margin=0.99).decoder}
    except (ImportError, ValueError) as error:
        print(f"no INT8 for {decoder.network}: {error}", file=sys.stderr)
        return {}


def chain_row(network: str, engine: str, took: np.ndarray, duration: float) -> None:
    cells = [f"{3600 * one / duration:.3g}" for one in took]
    print_chain(network, engine, cells, float(took.sum()), duration)


def print_chain(network: str, engine: str, cells: list[str], took: float, duration: float) -> None:
    hour = f"{3600 * took / duration:.3g} s"
    words = *cells, hour, f"{duration / took:,.0f}", f"{duration / 60:.0f} min"
    print(f"| {network} | {engine} | {' | '.join(words)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="three rounds, ten minutes of signal")
    parser.add_argument("--only", default="", help="networks that have this in their name")
    parser.add_argument("--authors", default="", help="folder with clones of the authors' code")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    network_tables(3 if given.quick else given.rounds, given.only, given.authors)
    chain_table(10.0 if given.quick else 60.0, given.only)


if __name__ == "__main__":
    main()
