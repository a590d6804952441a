"""What every command shares: the console, the progress bar, the argument parser, and how errors end.

Messages go to standard error, so that what a command prints on standard output can be piped. A mistake of the user is
one line and exit status 2, an interruption is status 130; a traceback means that the program is wrong.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from data_pipelines.schema import InputError

EXIT_INPUT_ERROR = 2
EXIT_INTERRUPTED = 130

console = Console(stderr=True, markup=False, emoji=False)  # names and paths may hold brackets


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose errors are `InputError`s: one line, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing."""
        raise InputError(f"{message}; see `{self.prog} --help`")


def command_parser(
    command: str, description: str, *, examples: Sequence[str], settings: str | None = None
) -> argparse.ArgumentParser:
    """Build the parser of one command.

    Args:
        command: as typed, e.g. `supplytower data prepare`.
        description: what it does and what it writes; line breaks are kept.
        examples: whole command lines, shown under the options.
        settings: text from `config.describe`, shown under the examples.

    Returns:
        The parser, without arguments yet. Options cannot be abbreviated: a later option must not break a script.
    """
    sections = ["examples:\n" + "\n".join(f"  {example}" for example in examples)]
    if settings is not None:
        sections.append("settings (--set key=value):\n" + settings)
    return CommandParser(
        prog=command,
        description=description,
        epilog="\n\n".join(sections),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Run a command's body and turn the ways it can end into an exit status.

    Args:
        main: parses `argv` and does the work; returns the exit status.
        argv: the arguments after the command's name; those of the process if None.

    Returns:
        The status of `main`; 2 after an `InputError`, 130 after Ctrl-C, 143 after SIGTERM, 1 when
        the reader of our output went away.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)  # temporary files are removed on the way out
    try:
        return main(argv)
    except InputError as error:
        print_error(str(error))
        return EXIT_INPUT_ERROR
    except KeyboardInterrupt:
        print_error("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # e.g. `… | head`; without this the interpreter complains again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as stop:  # argparse after --help
        return stop.code if isinstance(stop.code, int) else 0


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def print_error(message: str) -> None:
    """Print `error: message` on standard error, as one line whatever the terminal's width."""
    console.print("error:", style="bold red", end=" ")
    console.print(message, highlight=False, soft_wrap=True)


def output(width: int) -> Console:
    """A console on standard output, so wide that tables are whole where it is no terminal."""
    found = Console(markup=False, emoji=False)  # names may hold brackets
    if not found.is_terminal:
        found.width = width
    return found


def progress(shown_on: Console = console) -> Progress:
    """Build the progress bar of long work.

    Args:
        shown_on: another console than the shared one, for a bar around work that has bars of its own.

    Returns:
        A context manager; inside it, `bar.track(batches, description="scoring")` iterates and counts.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=shown_on,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a part's own messages and bar out of the whole's, and TensorFlow's on how often it traces a new model."""
    logger = logging.getLogger("tensorflow")
    was_quiet, level = console.quiet, logger.level
    console.quiet = True
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        console.quiet = was_quiet
        logger.setLevel(level)
