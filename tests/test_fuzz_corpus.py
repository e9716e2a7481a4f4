"""Readers of files succeed or refuse in one sentence, whatever the bytes are.

The files under ``corpus`` are seeds, and what ``fuzz/run.py`` found before it was mended.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parents[1] / "fuzz" / "readers.py"
SLOW = {"matlab", "nwb", "keras"}
"""Readers that start a process for each file, for which only the corpus is tried."""


def imported():
    """Import the harness, which lies outside of the package and of the tests."""
    spec = importlib.util.spec_from_file_location("fuzz_readers", FUZZ)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = imported()
QUICK = sorted(set(fuzz.READERS) - SLOW)


def files_of(name: str) -> list[Path]:
    return sorted((fuzz.CORPUS / name).iterdir())


def test_every_reader_has_a_corpus_and_every_corpus_a_reader():
    assert {one.name for one in fuzz.CORPUS.iterdir()} == set(fuzz.READERS)


@pytest.mark.parametrize("name", fuzz.READERS)
def test_what_was_found_once_is_read_or_refused_in_one_sentence(tmp_path, name):
    for file in files_of(name):
        fuzz.check(name, file.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", QUICK)
def test_the_first_seed_of_each_reader_is_read(tmp_path, name):
    allowed = {"edf": "has no stages of sleep"}
    said = fuzz.check(name, (fuzz.CORPUS / name / "seed-0").read_bytes(), tmp_path)
    assert allowed.get(name, "") in said
    assert bool(said) == (name in allowed)


def test_a_sentence_that_says_nothing_is_not_let_through(tmp_path, monkeypatch):
    def read(path):
        raise ValueError("list index out of range")

    monkeypatch.setitem(fuzz.READERS, "json", fuzz.Reader(".json", read))
    with pytest.raises(fuzz.UnclearError):
        fuzz.check("json", b"", tmp_path)


@st.composite
def changed(draw, seeds):
    """Take a seed and cut it, repeat a part, or write other bytes into it."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        part = draw(st.sampled_from([b"", content[first:last] * 2]) | st.binary(max_size=8))
        content = content[:first] + part + content[last:]
    return content


SEEDS = {name: [one.read_bytes() for one in files_of(name)] for name in QUICK}


@pytest.mark.parametrize("name", QUICK)
@settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_changed_seeds_are_read_or_refused_in_one_sentence(tmp_path_factory, name, data):
    content = data.draw(changed(SEEDS[name]))
    fuzz.check(name, content, tmp_path_factory.getbasetemp())
