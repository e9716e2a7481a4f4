"""``make bench`` runs what runs without being told anything, and leaves out what does not."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("*.py"))}


def listed(name: str) -> set[str]:
    (found,) = re.findall(rf"^{name} := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return set(found.split())


def usage(path: Path) -> list[str]:
    """Return what may follow the name of a script, one text for each way to call it."""
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    return re.findall(rf"python benchmarks/{path.name}(.*)$", said, re.MULTILINE)


def is_needed(words: str) -> bool:
    """Whether words begin with one that is no option and stands in no brackets."""
    return re.match(r" [^\[\s-]", words) is not None


@pytest.mark.parametrize("name", SCRIPTS)
def test_benchmarks_that_need_arguments_are_those_that_say_so(name):
    ways = usage(SCRIPTS[name])
    assert bool(ways) != (name in listed("PARTS_OF_OTHERS"))
    assert (bool(ways) and all(map(is_needed, ways))) == (name in listed("NEED_ARGUMENTS"))


def test_all_others_are_run_and_a_failure_stops():
    told = subprocess.run(
        ["make", "--dry-run", "bench"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    left_out = listed("NEED_ARGUMENTS") | listed("NEED_REAL_FILES") | listed("PARTS_OF_OTHERS")
    assert set(re.findall(r"benchmarks/(\w+)\.py", told)) == set(SCRIPTS) - left_out
    assert "|| exit 1" in told
