"""`bids-shresnet`: command line in, exit code out."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from bids_shresnet.cli.answer import report_io_error
from bids_shresnet.cli.boutiques import make_descriptor
from bids_shresnet.cli.config_file import to_record
from bids_shresnet.cli.environment import describe_environment
from bids_shresnet.cli.parser import COMPLETION_FLAG, PROGRAM, make_completion, parse_levels
from bids_shresnet.cli.program_help import render_help
from bids_shresnet.cli.resolve import memory_limit
from bids_shresnet.cli.spellings import HELP_FLAGS
from bids_shresnet.config import Config
from bids_shresnet.errors import Interrupted, ShresnetError
from bids_shresnet.runtime.logs import guard_stderr, log_to_screen
from bids_shresnet.runtime.progress import format_time
from bids_shresnet.runtime.resources import GB
from bids_shresnet.runtime.signals import interrupt_on_signals
from bids_shresnet.runtime.workers import Workers, set_up_process
from bids_shresnet.version import __version__

logger = logging.getLogger("bids_shresnet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app and return its exit code (the BIDS execution specification's; see errors.py).

    Without `argv`, the command line of this process is run, and signals are ignored afterwards.
    """
    with guard_stderr():
        try:
            with interrupt_on_signals(is_process_ending=argv is None):
                exit_code = run_command_line(list(sys.argv[1:] if argv is None else argv))
                sys.stdout.flush()
        except ShresnetError as error:
            report_error(error, sys.argv[1:] if argv is None else argv)
            return error.exit_code
        except Interrupted as error:
            sys.stderr.write(f"{PROGRAM}: {error}\n")
            return error.exit_code
        except OSError as error:
            return report_io_error(PROGRAM, error)
    return exit_code


def report_error(error: ShresnetError, arguments: Sequence[str]) -> None:
    """Print an error, unless a dry run has printed it; a program gets its document in any case."""
    if error.is_printed:
        sys.stderr.write(f"{PROGRAM}: there are errors; see the findings\n")
        return
    if "--json" in arguments and "--dry-run" in arguments:
        from bids_shresnet.planning.dry_run import render_error

        sys.stdout.write(render_error(error))
    sys.stderr.write(f"{PROGRAM}: {error}\n")


def run_command_line(arguments: Sequence[str]) -> int:
    """Do what a command line asks for, and return the exit code."""
    answer = answer_question(arguments)
    if answer is not None:
        sys.stdout.write(answer)
        return 0
    return max(run_level(config, arguments) for config in parse_levels(arguments))


def answer_question(arguments: Sequence[str]) -> str | None:
    """Return what to print for a flag about the program itself; None for a run."""
    if "--version" in arguments:
        is_verbose = "-v" in arguments or "--verbose" in arguments
        return describe_environment() if is_verbose else f"bids_shresnet {__version__}\n"
    if "--bids-exec-spec" in arguments:
        return json.dumps(make_descriptor(), indent=2) + "\n"
    if COMPLETION_FLAG in arguments:
        return make_completion(arguments[arguments.index(COMPLETION_FLAG) + 1 :])
    if any(flag in arguments for flag in HELP_FLAGS):
        return render_help(is_complete="--help-all" in arguments)
    return None


def run_level(config: Config, arguments: Sequence[str]) -> int:
    """Run one analysis level, log to the screen, and return the exit code."""
    with log_to_screen(config.run.verbose):
        workers = make_workers(config)
        set_up_process(workers.threads)  # before anything loads numpy or torch
        logger.info("%s", describe_start(config, workers))
        from bids_shresnet.workflow.run import Invocation, run  # seconds that --help must not take

        start = time.monotonic()
        invocation = Invocation(command=(PROGRAM, *arguments), settings=to_record(config))
        exit_code = run(config, invocation, workers)
        if not config.run.dry_run:
            logger.info("%s", describe_end(config, exit_code, time.monotonic() - start))
    return exit_code


def describe_start(config: Config, workers: Workers) -> str:
    """Return the first line of a run: version, level, folders and resources."""
    from bids_shresnet.outputs.layout import output_root  # numpy, which --help must not load

    granted = f"processes: {workers.processes}, threads: {workers.threads}"
    if workers.memory:
        granted += f", memory: {workers.memory / GB:.1f} GB"
    folders = f"{config.input.bids_dir} -> {output_root(config.output.output_dir)}"
    level = config.run.analysis_level
    return (
        f"bids_shresnet {__version__}, {level}: {folders} "
        f"({granted}, device: {config.resource.device})"
    )


def describe_end(config: Config, exit_code: int, seconds: float) -> str:
    """Return the last line of a run: how long it took, and what to open."""
    from bids_shresnet.outputs.layout import output_root

    root = output_root(config.output.output_dir)
    if exit_code:
        return f"failed after {format_time(seconds)}: see status.tsv of the last run in {root}/logs"
    pages = [page for page in (root / "index.html", root / "group.html") if page.is_file()]
    pages = pages or sorted(root.glob("sub-*.html"))
    return f"finished in {format_time(seconds)}; open {pages[0] if pages else root}"


def make_workers(config: Config) -> Workers:
    """Use the processes, threads and memory of the command line, or what this job may use."""
    resource = config.resource
    workers = Workers.from_limits(resource.nprocs, resource.omp_nthreads, memory_limit(resource))
    return replace(workers, has_progress_bars=not config.run.json)
