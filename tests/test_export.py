"""The command, the program that comes with a decoder in C, and what is refused."""

import ctypes
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_decoder import STRICT, exported, library, needs_cc, noise, recording_of, rest_decoder

from ranvier.__main__ import main
from ranvier.channels import TEN_TWENTY
from ranvier.decisions import StageRule
from ranvier.export import export
from ranvier.export.c_compiled import compiled, deepest
from ranvier.export.c_constants import Constant, Field, number, struct_bytes
from ranvier.export.c_spectrum import radices_of
from ranvier.onnx_runtime import Written
from ranvier.tasks.seizure import STAGES

CORTEX = Path(__file__).parents[1] / "benchmarks" / "cortex_m"
BOARDS = {
    "Cortex-M4F": ("mps2-an386", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"),
    "Cortex-M7": ("mps2-an500", "-mcpu=cortex-m7", "-mfpu=fpv5-d16"),
}
needs_arm = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="there is no compiler for Cortex-M, or nothing to emulate it",
)


def program(folder, files, *words):
    """Compile the example, and return where it is."""
    target = folder / "example"
    sources = [str(file) for file in files if file.suffix == ".c"]
    subprocess.run([*words, *STRICT, *sources, "-o", str(target)], check=True)
    return str(target)


def said(*words):
    """Return the probabilities and the alarms that a program prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert not done.stderr
    lines = done.stdout.splitlines()
    answers = [float(line.split()[1]) for line in lines if not line.startswith("alarm")]
    return np.array(answers), [float(line.split()[2]) for line in lines if "alarm" in line]


def written(folder, signal):
    (folder / "samples.f32").write_bytes(signal.astype("<f4").tobytes())
    return str(folder / "samples.f32")


def spoilt(seconds):
    signal = noise(seconds)
    signal[2000:3000, :7], signal[4000, 3], signal[5000, 4] = np.nan, np.inf, 1e35
    signal[6000:8000] = signal[6000]
    return signal


@needs_cc
@pytest.mark.parametrize("memory", [{}, {"memory": "clip", "clip": 3}], ids=["carried", "clips"])
@pytest.mark.parametrize("stored", [("float32", "float32"), ("int8", "int16")], ids=str)
def test_the_program_is_clean_under_sanitizers(tmp_path, memory, stored):
    weights, buffers = stored
    made = exported(rest_decoder(**memory), tmp_path, weights=weights, buffers=buffers)
    checks = ("-g", "-O1", "-fsanitize=address,undefined,float-cast-overflow")
    path = program(tmp_path, made.files, "cc", *checks, "-fno-sanitize-recover=all")
    answers, _ = said(path, written(tmp_path, spoilt(40)))
    assert 5 < np.isfinite(answers).sum() < 40


@needs_cc
def test_the_program_reads_the_standard_input_and_prints_alarms(tmp_path):
    decoder, signal = rest_decoder(), noise(60)
    path = program(tmp_path, exported(decoder, tmp_path).files, "cc", "-O2")
    prediction = decoder.predict(recording_of(signal))
    with Path(written(tmp_path, signal)).open("rb") as samples:
        done = subprocess.run([path], stdin=samples, capture_output=True, text=True, check=True)
    assert done.stdout.count("alarm at") == len(prediction.alarms) > 0
    assert said(path, written(tmp_path, signal))[1] == prediction.alarms.round(3).tolist()


@needs_arm
@pytest.mark.parametrize("wide", ["double", "float"])
@pytest.mark.parametrize("board", BOARDS)
def test_an_emulated_cortex_m_says_what_python_says(tmp_path, board, wide):
    machine, *processor = BOARDS[board]
    decoder, signal = rest_decoder(), noise(40)
    files = [*exported(decoder, tmp_path).files, CORTEX / "start.c"]
    flags = [*processor, "-O2", "-mthumb", "-mfloat-abi=hard", f"-DSMALL_WIDE={wide}"]
    linked = ["--specs=rdimon.specs", "-T", CORTEX / "mps2.ld", "-Wl,--no-warn-rwx-segments"]
    path = program(tmp_path, files, "arm-none-eabi-gcc", *flags, *map(str, linked))
    given = f"enable=on,target=native,arg=example,arg={written(tmp_path, signal)}"
    emulator = ("qemu-system-arm", "-M", machine, "-nographic", "-semihosting-config", given)
    answers, alarms = said(*emulator, "-kernel", path)
    expected = decoder.predict(recording_of(signal))
    np.testing.assert_allclose(
        answers, expected.probability, atol=1e-4 if wide == "double" else 5e-3
    )
    assert alarms == expected.alarms.round(3).tolist()


@needs_cc
def test_the_command_tells_sizes_and_operations(tmp_path, capsys):
    path = rest_decoder().save(tmp_path / "My rest-1.ranvier")
    assert main(["export", str(path), str(tmp_path / "c"), "--to", "c", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    names = [Path(file).name for file in content["files"]]
    assert names == ["my_rest_1.h", "my_rest_1.c", "my_rest_1_example.c"]
    assert {"constants", "state", "scratch", "code", "stack", "operations"} <= set(content["sizes"])
    assert content["sizes"]["stack"] < 4000


def test_the_command_says_it_as_a_table(tmp_path, capsys):
    path = rest_decoder().save(tmp_path / "rest.ranvier")
    words = ["export", str(path), str(tmp_path / "c"), "--to", "c", "--compiler", "no-such-cc"]
    assert main([*words, "--weights", "int8", "--channels", '["Fp1", "F3", "C3"]']) == 0
    printed = capsys.readouterr()
    assert "constants" in printed.out
    assert "rest.c was written" in printed.out
    assert "there is no compiler 'no-such-cc'" in printed.err
    assert "16 of 18 derivations cannot be formed" in printed.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"to": "pascal"}, "Invalid to: 'pascal', possible options: "),
        ({"to": "c", "colour": "red"}, "Invalid colour: an export to c does not know this option"),
        ({"to": "c", "weights": "int4"}, "Invalid weights: 'int4', possible options: "),
        ({"to": "c", "buffers": "int8"}, "Invalid buffers: 'int8', possible options: "),
        ({"to": "c", "rate": 100.0}, "Invalid rate: the recording has 100 Hz"),
        ({"to": "c", "rate": 1e9}, "Invalid rate: 1e\\+09 Hz, must be at most 100000 in C"),
        ({"to": "c", "channels": ("ECG",)}, "No usable lead"),
        ({"to": "c", "channels": ()}, "Invalid channels: none, must be at least 1"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_and_nothing_is_written(tmp_path, options, reason):
    with pytest.raises(ValueError, match=reason):
        export(rest_decoder(), tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


NAMES = (
    "*/ extern int outside; /*",
    'a"; extern int outside; "',
    'EOG "left"',
    "outside\\",
    "??/",
    "??)outside/*",
    "%s\n#define outside",
    "Fp1-é µV \ud800\0",
    "\\0501",
    "",
)
"""Channels as a file may call them, none of which may say anything in C."""

NAMED = """
#include "small.c"
const char *names[] = {{SMALL_CHANNEL_NAMES}};
const size_t sizes[] = {{{sizes}}};
"""


@needs_cc
@pytest.mark.parametrize("flags", [(), ("-trigraphs",), ("-std=c11", "-O2")], ids=str)
def test_any_names_of_channels_compile_and_come_back(tmp_path, flags):
    exported(rest_decoder(), tmp_path, channels=(*TEN_TWENTY, *NAMES))
    sizes = ", ".join(f"sizeof {one}" for one in macro_of(tmp_path))
    (tmp_path / "named.c").write_text(NAMED.format(sizes=sizes))
    words = ["cc", *STRICT, *flags, "-shared", "-fPIC", str(tmp_path / "named.c")]
    subprocess.run([*words, "-o", str(tmp_path / "named.so")], check=True)
    loaded = ctypes.CDLL(str(tmp_path / "named.so"))
    count = len(TEN_TWENTY) + len(NAMES)
    found = (ctypes.c_void_p * count).in_dll(loaded, "names")
    lengths = (ctypes.c_size_t * count).in_dll(loaded, "sizes")
    read = [ctypes.string_at(one or 0, n - 1) for one, n in zip(found, lengths, strict=True)]
    assert [one.decode("utf-8", "surrogatepass") for one in read] == [*TEN_TWENTY, *NAMES]


def macro_of(folder):
    """Return the literals of the channels' names."""
    header = (folder / "small.h").read_text()
    return re.findall(r'"[^"]*"', header.partition("CHANNEL_NAMES ")[2].partition("\n#")[0])


def test_nothing_of_a_name_stands_outside_of_a_literal(tmp_path):
    decoder = replace(rest_decoder(), task="seizure */ extern int outside; /*")
    for file in exported(decoder, tmp_path, channels=(*TEN_TWENTY, *NAMES)).files:
        bare = re.sub(r'"[^"\n]*"', "", file.read_text())
        code = re.sub(r"/\*.*?\*/", "", bare, flags=re.DOTALL)
        assert "outside" not in code
        assert bare.count("outside") <= 1  # the title, in a comment


def test_without_torch_it_is_refused_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    path = rest_decoder().save(tmp_path / "rest.ranvier")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["export", str(path), str(tmp_path / "c"), "--to", "c"]) == 1
    assert "Torch is missing: pip install" in capsys.readouterr().err
    assert not list((tmp_path / "c").glob("*"))


@pytest.mark.parametrize("place", ["d.c", "d.h", "d_example.c"])
def test_a_folder_in_the_place_of_a_file_is_refused_and_nothing_is_written(tmp_path, place):
    (tmp_path / place).mkdir()
    with pytest.raises(ValueError, match=f"Invalid out: .*{place} is a folder, must be a file"):
        exported(rest_decoder(), tmp_path, name="d")
    assert [one.name for one in tmp_path.iterdir()] == [place]


def test_a_folder_in_the_place_of_the_contract_leaves_no_graph(tmp_path):
    (tmp_path / "contract.json").mkdir()
    with pytest.raises(ValueError, match=r"Invalid out: .*contract\.json is a folder"):
        export(rest_decoder(), tmp_path, to="onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["contract.json"]


def test_a_step_of_eight_bits_is_left_out_with_a_note(tmp_path):
    decoder = rest_decoder()
    written = Written(decoder._fingerprint, decoder.onnx())
    decoder = replace(decoder, eight_bits=written)
    expected = (
        "the step of eight bits is left out: these are the weights before it, stored as int16"
    )
    assert exported(decoder, tmp_path, weights="int16").notes == (expected,)
    assert not exported(decoder.on("onnx"), tmp_path).notes


@pytest.mark.parametrize("name", ["math", "stdint", "Features", "string", "", "9"])
def test_no_header_has_the_name_of_one_of_the_system(tmp_path, name):
    made = exported(rest_decoder(), tmp_path, name=name)
    assert made.files[0].name == f"decoder_{name.lower()}.h"


def network_named(name):
    return replace(rest_decoder(), network=name)


def staged(*stages):
    return replace(rest_decoder(), stages=stages)


@pytest.mark.parametrize(
    ("decoder", "reason"),
    [
        (network_named("dcrnn"), "Invalid network: 'dcrnn' cannot be exported to C, possible"),
        (rest_decoder(update="sampled"), "Invalid update: 'sampled' cannot be exported to C"),
        (
            staged({"stage": "running_scale"}, *STAGES[1:]),
            "Invalid stage: 'running_scale' cannot be exported to C, possible options: ",
        ),
        (
            staged(*STAGES[:2], {"stage": "resample", "rate_out": 202.0}, *STAGES[3:]),
            "a spectrum of 202 samples a second cannot be exported to C",
        ),
        (
            replace(rest_decoder(), rule=StageRule()),
            "Invalid decision: 'ChooseStage' cannot be exported to C, possible options: ",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(tmp_path, decoder, reason):
    with pytest.raises(ValueError, match=reason):
        exported(decoder, tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_refused(tmp_path):
    decoder = rest_decoder()
    weights = {**decoder.weights, "project.weight": decoder.weights["project.weight"] * np.nan}
    with pytest.raises(
        ValueError, match="Invalid weights: rest_project has one that is not finite"
    ):
        exported(replace(decoder, weights=weights), tmp_path)


@pytest.mark.parametrize(
    ("number", "found"),
    [(np.nan, "nan"), (np.inf, "inf"), (1e39, "1e"), (-np.inf, "-inf")],
)
def test_numbers_that_c_cannot_hold_are_refused_before_anything_is_written(tmp_path, number, found):
    stages = [*STAGES, {"stage": "standardise", "mean": [number], "deviation": [1.0]}]
    with pytest.raises(ValueError, match=f"Invalid standardise_mean: {found}.*, must be finite"):
        export(staged(*stages), tmp_path / "c", to="c", compiler="")
    assert not (tmp_path / "c").exists()


def test_a_bias_that_is_not_finite_is_named(tmp_path):
    decoder = rest_decoder()
    weights = {**decoder.weights, "readout.bias": np.full(1, np.nan, np.float32)}
    with pytest.raises(ValueError, match=r"Invalid rest_readout_bias: nan, must be finite"):
        exported(replace(decoder, weights=weights), tmp_path)


@needs_cc
@pytest.mark.parametrize("flag", ["-ffast-math", "-ffinite-math-only", "-Ofast"])
def test_a_compiler_that_knows_no_nan_is_refused(tmp_path, flag):
    with pytest.raises(ValueError, match=r"compile without -ffast-math and -ffinite-math-only"):
        exported(rest_decoder(), tmp_path, compiler=f"cc {flag}")


@needs_cc
@pytest.mark.parametrize("compiler", ["env CC=1 cc -O2", "{}/c99 -O2"])
def test_any_command_that_compiles_tells_sizes(tmp_path, compiler):
    (tmp_path / "c99").symlink_to(shutil.which("cc"))
    made = exported(rest_decoder(), tmp_path, compiler=compiler.format(tmp_path))
    assert {"code", "stack"} <= {name for name, _, _ in made.rows}
    assert not made.notes


@needs_cc
@pytest.mark.parametrize("size", ["exit 1", None], ids=["fails", "is missing"])
def test_without_a_program_that_tells_sizes_there_is_a_note(tmp_path, monkeypatch, size):
    for name in ("cc", "as"):
        (tmp_path / name).symlink_to(shutil.which(name))
    if size:
        (tmp_path / "size").write_text(f"#!/bin/sh\n{size}\n")
        (tmp_path / "size").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = exported(rest_decoder(), tmp_path / "c", compiler="cc -O2")
    assert "code" not in {name for name, _, _ in made.rows}
    assert made.notes == ("cc does not tell the size of the code",)


@needs_cc
def test_code_that_is_made_when_it_is_linked_has_no_size_yet(tmp_path):
    made = exported(rest_decoder(), tmp_path, compiler="cc -O2 -flto")
    assert "code" not in {name for name, _, _ in made.rows}
    assert "cc does not tell the size of the code" in made.notes


def test_a_compiler_that_is_no_command_is_refused(tmp_path):
    with pytest.raises(ValueError, match='Invalid compiler: "cc \'", No closing quotation'):
        exported(rest_decoder(), tmp_path, compiler="cc '")
    assert not list(tmp_path.iterdir())


@needs_cc
def test_no_conversion_says_less_than_it_seems(tmp_path):
    made = exported(rest_decoder(), tmp_path, compiler="cc -O2 -Wconversion -Wshadow -pedantic")
    assert not made.notes


@needs_cc
def test_sizes_are_those_of_the_wide_numbers_that_are_asked_for(tmp_path):
    made = exported(rest_decoder(), tmp_path, compiler="cc -O2 -DSMALL_WIDE=float")
    told = {name: size for name, size, _ in made.rows}
    compiled = library(rest_decoder(), tmp_path, "-DSMALL_WIDE=float")
    assert (told["state"], told["scratch"]) == (compiled.state_bytes, compiled.scratch_bytes)


@needs_cc
def test_a_compiler_that_does_not_take_the_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Invalid compiler: cc did not take the source"):
        compiled({"a.c": "int a_step(void) { return; }"}, "a", ["cc", "-O2"])
    with pytest.raises(ValueError, match="Invalid compiler: cc did not take the source"):
        exported(rest_decoder(), tmp_path / "c", compiler="cc --no-such-option")
    assert not (tmp_path / "c").exists()


def test_the_stack_is_that_of_the_deepest_calls():
    sizes = {"a_step": 16, "b": 100, "c": 40, "a.c:d": 30}
    calls = [("a_step", "b"), ("a_step", "c"), ("c", "a.c:d"), ("c", "memset")]
    nodes = [
        f'node: {{ title: "{name}" label: "x\\n{n} bytes (static)" }}' for name, n in sizes.items()
    ]
    edges = [f'edge: {{ sourcename: "{a}" targetname: "{b}" }}' for a, b in calls]
    assert deepest("\n".join([*nodes, *edges]), "a_step") == 116
    assert deepest("", "a_step") is None


def test_numbers_are_written_with_all_their_digits():
    rng = np.random.default_rng(0)
    for value in rng.normal(0, 10.0 ** rng.integers(-30, 30, 200)).astype(np.float32):
        assert np.float32(number(value, "float").removesuffix("f")) == value
    assert [number(one, "double") for one in (1.0, 0.1, 1e30)] == [
        "1.0",
        "0.10000000000000001",
        "1e+30",
    ]
    assert Constant("a", "int8_t", np.array([-3.0, 4.0])).text.split("{")[1].split() == [
        "-3,",
        "4",
        "};",
    ]


def test_structs_are_filled_up_as_compilers_do():
    fields = [Field("uint8_t", "a"), Field("double", "b"), Field("uint16_t", "c", (3,))]
    assert struct_bytes(fields) == 24
    assert struct_bytes([Field("float", "a", (2, 3))]) == 24


def test_a_transform_has_the_passes_of_its_length():
    assert radices_of(200) == [2, 4, 5, 5]
    assert radices_of(243) == [3] * 5
    assert radices_of(1) == []
