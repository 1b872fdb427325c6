"""`bids-shresnet-check`: verify the files of an output, and list what made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bids_shresnet.cli.answer import print_answer
from bids_shresnet.cli.help_texts import join_help_lines, wrap_description
from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.verify import find_damage, read_stamped_outputs

PROGRAM = "bids-shresnet-check"


@dataclass(frozen=True)
class CheckCommand:
    """Compare the files of an output with the sizes and digests that were written with them.

    Nothing is written. The exit code is 65 if a file is missing or has changed.
    """

    output_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT_DIR")]
    """Output folder of bids-shresnet."""
    model: str | None = None
    """List what a model made: its name, or the first digits of the SHA-256 of its model.json."""
    version: str | None = None
    """List what a version of the app made."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    join_help_lines(CheckCommand)
    description = wrap_description(CheckCommand)
    command = tyro.cli(CheckCommand, prog=PROGRAM, description=description, args=argv)
    return print_answer(PROGRAM, lambda: check(command))


def check(command: CheckCommand) -> str:
    """Verify an output; return what to print.

    Raises
    ------
    InputMissing
        If there is no output.
    BadInput
        If a file is damaged.
    """
    root = output_root(command.output_dir)
    if not (root / "dataset_description.json").exists():
        msg = f"{root} is no output of bids-shresnet: it has no dataset_description.json"
        raise InputMissing(msg)
    outputs = list(read_stamped_outputs(root))
    findings = find_damage(root, outputs)
    if findings:
        raise BadInput(findings)
    if command.model is None and command.version is None:
        return f"{len(outputs)} stamps of files: all are as they were written\n"
    made = [output for output in outputs if output.is_made_by(command.model, command.version)]
    return "".join(f"{output.stamp.relative_to(root)}\n" for output in made)
