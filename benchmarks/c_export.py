"""Decoders in C: how fast a step is, how large they are, how near to Python, and on a Cortex-M.

    pip install "ranvier[bench]"
    python benchmarks/c_export.py [speed | sizes | accuracy | cortex ...]

Speed is told against the textbook form of REST in torch_geometric (``benchmarks/reference``), whose
weights the C form has; both take turns in one process on one thread, without gradients, and given
are medians of the processor time and of the ratios of the rounds. Sizes, accuracy and instructions
are those of a detector trained on simulated patients: accuracy over an hour of a patient it has not
seen, instructions over a minute, under QEMU.
"""

import ctypes
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
from reference import rest

import ranvier as rv
from ranvier.channels import TEN_TWENTY
from ranvier.export import Exported, export
from ranvier.recipe import packaged_settings
from ranvier.simulate import simulate_patient, simulate_seizures

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror")
VECTORS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-ffp-contract=fast")
FORMS = {
    "C, -O3 -march=native": VECTORS,
    "C, -O3 -march=haswell": ("-O3", "-march=haswell", "-ffp-contract=fast"),
    "C, -O3": ("-O3",),
    "C, -O2": ("-O2",),
}

TIMED = """
#include "rest.c"

static rest_state state;
static rest_scratch scratch;

void begin(void)
{
    rest_start(&state);
}

void steps(const float *features, int seconds, int count, float *logits)
{
    for (int i = 0; i < count; i++)
        rest(&state, &scratch, features + i % seconds * REST_CHANNELS * 100, logits);
}

size_t seconds(const float *samples, int count, rest_output *outputs)
{
    return rest_step(&state, &scratch, samples, (size_t)(count * REST_RATE), outputs);
}
"""


def textbook_decoder(theirs: rest.REST, graph: torch.Tensor, memory: str) -> rv.Decoder:
    """Return a decoder with the weights of the textbook, on the 19 leads themselves."""
    ours = rest.like(theirs, graph)
    stages = packaged_settings("seizure", "rest")["stages"]
    stages = [dict(stage) for stage in stages]
    stages[1]["montage"] = "referential"
    settings = {
        "memory": memory,
        "clip": rest.STEPS,
        "normalise": "none",
        "bound": float("inf"),
        "update": "always",
        "adjacency": graph.numpy().tolist(),
    }
    weights = {name: value.numpy() for name, value in ours.state_dict().items()}
    return rv.Decoder("seizure", tuple(stages), TEN_TWENTY, 1.0, "rest", settings, weights)


def library(decoder: rv.Decoder, folder: Path, flags: tuple[str, ...]) -> ctypes.CDLL:
    """Compile a decoder with what calls its network alone."""
    layout = {"channels": TEN_TWENTY, "rate": 256.0}
    export(decoder, folder, to="c", name="rest", compiler="", **layout)
    (folder / "timed.c").write_text(TIMED)
    target = folder / f"timed{abs(hash(flags))}.so"
    words = ["cc", *STRICT, *flags, "-shared", "-fPIC", str(folder / "timed.c"), "-o", str(target)]
    subprocess.run(words, check=True)
    found = ctypes.CDLL(str(target))
    found.begin()
    return found


def pointer(values: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)


def timed(forms: Mapping[str, tuple[Callable[[], object], int]], rounds: int) -> None:
    """Print a row for each form: name, median time of one call, ratio to the first."""
    took: dict[str, list[float]] = {name: [] for name in forms}
    with torch.inference_mode():
        for _ in range(rounds + 1):
            for name, (form, calls) in forms.items():
                began = time.process_time()
                form()
                took[name].append((time.process_time() - began) / calls)
    first = next(iter(took.values()))[1:]
    for name, own in took.items():
        ratio = median(a / b for a, b in zip(first, own[1:], strict=True))
        shown = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
        print(f"| {name} | {1e6 * median(own[1:]):.1f} µs | {shown} x |", flush=True)


def speed() -> None:
    """REST's step on features, a clip of 14 s, and a second of signal with all that is before."""
    torch.manual_seed(0)
    theirs, graph = rest.REST().eval(), rest.random_graph()
    edges, clips = rest.edges_of(graph, 1), torch.randn(1, len(TEN_TWENTY), rest.STEPS, 100)
    scaled = (clips - clips.mean(-1, keepdim=True)) / clips.std(-1, keepdim=True)
    features = np.ascontiguousarray(scaled[0].transpose(0, 1).numpy())
    with torch.inference_mode():
        wanted = theirs(clips, *edges, fire_rate=1.0).mean().item()
    print("| what | form | median | ratio |\n|---|---|---|---|")
    for what, memory, steps, calls in (
        ("step", "carry", 1, 20_000),
        ("clip of 14 s", "clip", 14, 500),
    ):
        short = clips[:, :, :steps]
        forms: dict[str, tuple[Callable[[], object], int]] = {
            f"{what} | textbook": (
                lambda short=short: [theirs(short, *edges) for _ in range(10)],
                10,
            )
        }
        decoder = textbook_decoder(theirs, graph, memory)
        for name, flags in FORMS.items():
            forms[f"{what} | {name}"] = c_form(decoder, flags, features, wanted, steps, calls)
        timed(forms, 11)
    whole(textbook_decoder(theirs, graph, "carry"))


def c_form(  # noqa: PLR0917
    decoder: rv.Decoder,
    flags: tuple[str, ...],
    features: np.ndarray,
    wanted: float,
    steps: int,
    calls: int,
) -> tuple[Callable[[], object], int]:
    """Return the steps of a decoder in C, once its answer to the clip is that of the textbook."""
    built = library(decoder, Path(tempfile.mkdtemp()), flags)
    logit = np.zeros(1, np.float32)
    built.steps(pointer(features), rest.STEPS, rest.STEPS, pointer(logit))
    if decoder.network_settings["memory"] == "clip":
        assert abs(logit[0] - wanted) < 1e-4, f"the forms differ: {logit[0]} and {wanted}"
    return lambda: built.steps(pointer(features), steps, calls, pointer(logit)), calls


def whole(decoder: rv.Decoder) -> None:
    """Print what a second of signal takes, preprocessing included."""
    seconds = 60
    noise = np.random.default_rng(0).normal(0, 30, (256 * seconds, 19)).astype(np.float32)
    room = np.zeros(seconds * 64, np.uint8)
    chain = decoder.bind(rv.Layout(TEN_TWENTY, 256.0))

    def python() -> None:
        state = chain.initial_state(1)
        for second in noise.reshape(seconds, 1, 256, 19):
            _, state = chain.step(second, state)

    forms: dict[str, tuple[Callable[[], object], int]] = {"second of signal | Python": (python, 60)}
    for name, flags in FORMS.items():
        built = library(decoder, Path(tempfile.mkdtemp()), flags)
        built.seconds.restype = ctypes.c_size_t
        call = lambda built=built: built.seconds(pointer(noise), seconds, pointer(room))  # noqa: E731
        forms[f"second of signal | {name}"] = (call, seconds)
    timed(forms, 5)


@cache
def detector() -> rv.Decoder:
    """Train a small detector on simulated patients."""
    recordings = simulate_seizures(subjects=4, minutes=20, seed=1)
    training = rv.Training(passes=12, stretch=120, segment=60, batch=4, learning_rate=5e-3)
    return rv.train("seizure", recordings, training=training)


STORED = [
    {"weights": weights, "buffers": buffers}
    for weights in ("float32", "int16", "int8")
    for buffers in ("float32", "int16")
]


def exported(folder: Path, decoder: rv.Decoder | None = None, **options: str) -> Exported:
    return export(decoder or detector(), folder, to="c", name="rest", **options)


def sizes() -> None:
    """What each way of storing needs, and each kind of memory."""
    wanted = ("constants", "state", "scratch", "code", "stack", "operations")
    print(f"| memory | weights | buffers | {' | '.join(wanted)} |\n{'|---' * 9}|")
    clips = replace(detector(), network_settings={**detector().network_settings, "memory": "clip"})
    for memory, decoder in (("carry", detector()), ("clip of 12", clips)):
        for stored in STORED:
            rows = exported(Path(tempfile.mkdtemp()), decoder, **stored).rows
            found = {name: f"{number:,.0f}" for name, number, _ in rows}
            cells = [memory, *stored.values(), *(found.get(name, "") for name in wanted)]
            print(f"| {' | '.join(cells)} |", flush=True)


def accuracy() -> None:
    """How far the probabilities of an hour are from those of Python, and whether alarms are."""
    heads = "weights", "buffers", "wide", "median", "largest", "above 0.0001", "alarms"
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    hour = simulate_patient(9, minutes=60, seed=9)
    predicted = [detector().predict(recording) for recording in hour]
    expected = np.concatenate([prediction.probability for prediction in predicted])
    alarms = [time for prediction in predicted for time in prediction.alarms]
    for wide in ("double", "float"):
        for stored in STORED if wide == "double" else STORED[:1]:
            folder = Path(tempfile.mkdtemp())
            program = built_example(folder, wide, stored)
            said = [said_of(program, recording.read(), folder) for recording in hour]
            off = np.abs(np.concatenate([one[0] for one in said]) - expected)
            found = [time for one in said for time in one[1]]
            far = int((off > 1e-4).sum())
            cells = *stored.values(), wide, f"{np.nanmedian(off):.1e}", f"{np.nanmax(off):.1e}"
            same = f"{len(found)}, the same" if found == alarms else f"{found} for {alarms}"
            print(f"| {' | '.join(cells)} | {far} of {len(off)} | {same} |", flush=True)


def built_example(
    folder: Path, wide: str, stored: Mapping[str, str], decoder: rv.Decoder | None = None
) -> Path:
    files = exported(folder, decoder, compiler="", **stored).files
    program = folder / "example"
    words = ["cc", *STRICT, "-O2", f"-DREST_WIDE={wide}", *map(str, files[1:]), "-o", str(program)]
    subprocess.run(words, check=True)
    return program


def said_of(program: Path, signal: np.ndarray, folder: Path) -> tuple[np.ndarray, list[float]]:
    """Return the probabilities and the times of the alarms that the program prints."""
    (folder / "samples.f32").write_bytes(signal.astype("<f4").tobytes())
    words = [str(program), str(folder / "samples.f32")]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    answers = [float(line.split()[1]) for line in lines if not line.startswith("alarm")]
    alarms = [float(line.split()[2]) for line in lines if line.startswith("alarm")]
    return np.array(answers), alarms


BOARDS = {
    "Cortex-M4F": ("mps2-an386", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"),
    "Cortex-M7": ("mps2-an500", "-mcpu=cortex-m7", "-mfpu=fpv5-d16"),
}
CORTEX = Path(__file__).parent / "cortex_m"


def cortex() -> None:
    """Instructions for a second of signal, and for the frame that has the answer."""
    heads = "processor", "flags", "wide", "weights", "a second of signal", "longest frame"
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    signal = simulate_patient(9, minutes=60, seed=9)[0].read()[: 60 * 256]
    for board in BOARDS:
        for wide in ("double", "float"):
            for level in ("-O2", "-O3"):
                for weights in ("float32", "int8"):
                    folder = Path(tempfile.mkdtemp())
                    exported(folder, compiler="", weights=weights)
                    (folder / "samples.f32").write_bytes(signal.astype("<f4").tobytes())
                    second, longest = counted(folder, board, level, wide)
                    cells = board, level, wide, weights, f"{second:,}", f"{longest:,}"
                    print(f"| {' | '.join(cells)} |", flush=True)


def counted(folder: Path, board: str, level: str, wide: str) -> tuple[int, int]:
    machine, *processor = BOARDS[board]
    program = str(folder / "count.elf")
    flags = [level, *processor, "-mthumb", "-mfloat-abi=hard", "-ffp-contract=fast"]
    files = [str(folder / "rest.c"), *(str(CORTEX / name) for name in ("count.c", "start.c"))]
    linked = ["--specs=rdimon.specs", "-T", str(CORTEX / "mps2.ld"), "-Wl,--no-warn-rwx-segments"]
    words = [*flags, f"-DREST_WIDE={wide}", f"-I{folder}", *linked, *files, "-o", program]
    subprocess.run(["arm-none-eabi-gcc", *STRICT, *words], check=True)
    given = f"enable=on,target=native,arg=count,arg={folder / 'samples.f32'}"
    emulated = ["-nographic", "-icount", "shift=0", "-semihosting-config", given]
    words = ["qemu-system-arm", "-M", machine, *emulated, "-kernel", program]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    second, longest, _ = done.stdout.split()
    return int(second), int(longest)


PARTS = {"speed": speed, "sizes": sizes, "accuracy": accuracy, "cortex": cortex}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for part in sys.argv[1:] or PARTS:
        print(f"\n{part}: {PARTS[part].__doc__}\n")
        PARTS[part]()
