"""The program: finds the command, reads its arguments from its signature, prints its answer."""

from __future__ import annotations

import inspect
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper
from typing import Any

from ranvier.commands import Answer, Note, OptionError, quiet_progress, recipe_file

COMMANDS = {
    "demo": "ranvier.commands.demo:demo",
    "simulate": "ranvier.commands.simulate:simulate",
    "datasets": "ranvier.commands.datasets:datasets",
    "download": "ranvier.commands.download:download",
    "prepare": "ranvier.commands.prepare:prepare",
    "inspect": "ranvier.commands.inspect:inspect",
    "train": "ranvier.commands.train:train",
    "evaluate": "ranvier.commands.evaluate:evaluate",
    "personalise": "ranvier.commands.personalise:personalise",
    "decode": "ranvier.commands.decode:decode",
    "score": "ranvier.commands.score:score",
    "live": "ranvier.commands.live:live",
    "certify": "ranvier.commands.certify:certify",
    "quantise": "ranvier.commands.quantise:quantise",
    "export": "ranvier.commands.export:export",
    "bench": "ranvier.commands.bench:bench",
    "import-weights": "ranvier.commands.import_weights:import_weights",
    "select-timesteps": "ranvier.commands.select_timesteps:select_timesteps",
    "drift": "ranvier.commands.drift:drift",
    "anonymise": "ranvier.commands.anonymise:anonymise",
}

USER_ERROR = 1
WRONG_ARGUMENTS = 2
INTERRUPTED = 130
STOPPED = "Stopped; what is done is kept, the same command goes on from it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    given = sys.argv[1:] if arguments is None else arguments
    command, *words = given or ["--help"]
    if command in ABOUT:
        print(ABOUT[command]())
        return 0
    if command not in COMMANDS:
        print(f"Invalid command: {command!r}, possible: {', '.join(COMMANDS)}", file=sys.stderr)
        return WRONG_ARGUMENTS
    try:
        return _run(find(command), command, words)
    except KeyboardInterrupt:
        print("Stopped." if command == "live" else STOPPED, file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return USER_ERROR
    except (ValueError, OSError) as error:
        print(f"ranvier {command}: {_sentence(error)}", file=sys.stderr)
        return WRONG_ARGUMENTS if isinstance(error, OptionError) else USER_ERROR


def find(command: str) -> Callable[..., Any]:
    """Import the function of a command, and nothing else."""
    module, _, function = COMMANDS[command].partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def overview() -> str:
    """Return one line for each command."""
    lines = [f"  {name:14} {_summary(find(name))}" for name in COMMANDS]
    return "\n".join(
        [
            "usage: ranvier COMMAND [--help] ...",
            "",
            "Decoders of brain signals that are trained on files and run live.",
            "",
            *lines,
        ]
    )


ABOUT: dict[str, Callable[[], str]] = {
    "-h": overview,
    "--help": overview,
    "--version": lambda: f"ranvier {version('ranvier')}",
}


def _summary(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").partition("\n")[0]


def _run(function: Callable[..., Any], command: str, words: Sequence[str]) -> int:
    parser = _parser(function, command)
    if "recipe" in inspect.signature(function).parameters:
        words = _with_published(words)
        _start_from_packaged_recipe(parser, words)
    given = parser.instantiate(parser.parse_args(words))
    options = {name: value for name, value in vars(given).items() if name != "config"}
    if "given" in inspect.signature(function).parameters:
        options["given"] = vars(parser.parse_args(words, defaults=False).as_flat())
    as_json, verbose, quiet = (options.pop(name) for name in ("json", "verbose", "quiet"))
    _log_to_stderr(logging.INFO if verbose else logging.WARNING)
    quiet_progress(quiet=quiet or not sys.stderr.isatty())
    answer = function(**_gather_recipe(function, options))
    if isinstance(answer, Answer):
        return _print_answer(answer, as_json=as_json)
    return _print_lines(answer)


def _with_published(words: Sequence[str]) -> list[str]:
    """Put the file of a recipe of the package where ``--config`` names it."""
    return [
        recipe_file(word, "config") if option == "--config" else word
        for option, word in zip(["", *words], words, strict=False)
    ]


def _start_from_packaged_recipe(parser: Any, words: Sequence[str]) -> None:
    """Let the recipe of the package for the task and network be what is not given."""
    from ranvier.recipe import DEFAULT_NETWORKS, packaged_settings

    given = parser.parse_args(words, defaults=False)
    task = given.get("task", "seizure")
    settings = packaged_settings(task, given.get("network", DEFAULT_NETWORKS.get(task, "")))
    for part in ("optimiser", "schedule"):
        if given.get(f"training.{part}") is not None:
            settings.get("training", {}).pop(f"{part}_settings", None)
    for group in ("training", "rule"):
        settings |= {f"{group}.{name}": value for name, value in settings.pop(group, {}).items()}
    parser.set_defaults(settings)


def _gather_recipe(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Make the recipe of a command that takes one out of its fields, which are options."""
    if "recipe" not in inspect.signature(function).parameters:
        return options
    from ranvier.recipe import Recipe

    recipe = Recipe(**{one.name: options.pop(one.name) for one in fields(Recipe)})
    return {**options, "recipe": recipe}


def _log_to_stderr(level: int) -> None:
    handler = logging.StreamHandler()
    handler.setLevel(level)
    log = logging.getLogger("ranvier")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


def _parser(function: Callable[..., Any], command: str) -> Any:
    from docstring_parser import parse
    from jsonargparse import ActionYesNo, ArgumentParser

    parser = ArgumentParser(prog=f"ranvier {command}", description=_summary(function))
    described = {one.arg_name: one.description for one in parse(function.__doc__ or "").params}
    named = ", or the name of a recipe of the package" if "recipe" in described else ""
    parser.add_argument(
        "--config",
        action="config",
        help=f"YAML file with any of the options{named}.",
    )
    parser.add_argument("--json", action="store_true", help="Print the answer as JSON.")
    parser.add_argument("--verbose", action="store_true", help="Say more while working.")
    parser.add_argument("--quiet", action="store_true", help="Show no progress.")
    positional = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    for one in positional:
        number = "+" if str(one.annotation).startswith("list") else None
        optional = {} if one.default is one.empty else {"nargs": "?", "default": one.default}
        given = {"nargs": number, "help": described.get(one.name), **optional}
        parser.add_argument(one.name, **given)
    parameters = inspect.signature(function).parameters.values()
    flags = [one for one in parameters if one.default is False]
    for one in flags:
        name, about = f"--{one.name}", described.get(one.name)
        parser.add_argument(name, action=ActionYesNo, nargs="?", default=False, help=about)
    skip: set[str | int] = {"recipe", "given", *(one.name for one in (*positional, *flags))}
    parser.add_function_arguments(function, skip=skip, as_group=False)
    if "recipe" in described:
        from ranvier.recipe import Recipe

        parser.add_class_arguments(Recipe)
    return parser


def _print_answer(answer: Answer, *, as_json: bool) -> int:
    for note in answer.notes:
        print(f"note: {note}", file=sys.stderr)
    print(_as_json(answer.content) if as_json else answer.text)
    return USER_ERROR if answer.failed else 0


def _as_json(content: Any) -> str:
    from ranvier.evaluation import finite

    return json.dumps(finite(content), allow_nan=False)


def _print_lines(lines: Iterator[Any]) -> int:
    for line in lines:
        if isinstance(line, Note):
            print(f"note: {line.text}", file=sys.stderr)
        else:
            print(json.dumps(line, allow_nan=False), flush=True)
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    sentence = " ".join(str(error).split())
    return "".join(one if one.isprintable() else "?" for one in sentence)


if __name__ == "__main__":
    sys.exit(main())
