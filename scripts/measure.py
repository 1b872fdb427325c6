#!/usr/bin/env python3
"""Measure how the package reads: folders, files, functions, lines. Standard library only.

    scripts/measure.py [--check] [--list] [PACKAGE ...]

Prints a Markdown table with one column per package folder, by default of this package. `--check`
exits with 1 if a measure is above its limit. `--list` names the file and line of everything that
counts against a limit.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PACKAGE = Path(__file__).resolve().parent.parent / "bids_shresnet"
MAX_LINE_LENGTH = 100
MAX_FUNCTION_LINES = 15
MAX_FILE_LINES = 300
LIMITS = {
    "modules in the root": 9,
    "files per folder, median": 9,
    "files per folder, largest": 21,
    "longest line": MAX_LINE_LENGTH,
    "line length, 90th percentile": 90,
    "function lines, 90th percentile": MAX_FUNCTION_LINES,
    "lines of the longest file": MAX_FILE_LINES,
    "nested comprehensions": 0,
    "tuples of right-hand sides": 0,
    "generators unpacked into names": 0,
}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (*FUNCTIONS, ast.ClassDef, ast.Module)


@dataclass(frozen=True)
class Remark:
    """One thing that counts against a limit."""

    path: Path
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}"


@dataclass(frozen=True)
class Module:
    """A source file, read and parsed."""

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> Module:
        """Read a file."""
        text = path.read_text(encoding="utf-8")
        return cls(path, tuple(text.splitlines()), ast.parse(text))

    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Return all functions and methods, nested ones too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS)]

    def remarks(self) -> Iterator[Remark]:
        """Return what counts against a limit, in the order of its kind."""
        for number, line in enumerate(self.lines, 1):
            if len(line) > MAX_LINE_LENGTH:
                yield Remark(self.path, number, "lines over 100 characters")
        for function in self.functions():
            if body_lines(function) > MAX_FUNCTION_LINES:
                yield Remark(self.path, function.lineno, "functions over 15 lines")
        if len(self.lines) > MAX_FILE_LINES:
            yield Remark(self.path, len(self.lines), "files over 300 lines")
        for node in ast.walk(self.tree):
            if isinstance(node, ast.expr | ast.stmt) and (kind := dense_kind(node)):
                yield Remark(self.path, node.lineno, kind)


def dense_kind(node: ast.expr | ast.stmt) -> str:
    """Name what makes an expression or assignment dense, or return an empty text."""
    if isinstance(node, COMPREHENSIONS):
        inner = [part for part in ast.walk(node) if isinstance(part, COMPREHENSIONS)]
        return "nested comprehensions" if len(inner) > 1 or len(node.generators) > 2 else ""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Tuple):
        return ""
    if isinstance(node.value, ast.Tuple):
        return "tuples of right-hand sides"
    return "generators unpacked into names" if isinstance(node.value, COMPREHENSIONS) else ""


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring and decorators."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def percentile_90(values: list[int]) -> int:
    """Return the value that 90 % are not above."""
    return sorted(values)[int(0.9 * (len(values) - 1))]


def docstring_share(modules: list[Module]) -> float:
    """Return the share of public modules, classes and functions that have a docstring."""
    nodes = [node for module in modules for node in ast.walk(module.tree)]
    documented = [node for node in nodes if isinstance(node, DOCUMENTED)]
    public = [node for node in documented if not getattr(node, "name", "").startswith("_")]
    return sum(ast.get_docstring(node) is not None for node in public) / len(public)


def measure(package: Path) -> tuple[dict[str, int | float], list[Remark]]:
    """Return the measures of a package folder by their names, and what counts against them."""
    modules = [Module.read(path) for path in sorted(package.rglob("*.py"))]
    remarks = [remark for module in modules for remark in module.remarks()]
    kinds = Counter(remark.kind for remark in remarks)
    measures: dict[str, int | float] = {
        "files": len(modules),
        "lines": sum(len(module.lines) for module in modules),
        "lines of the longest file": max(len(module.lines) for module in modules),
        **measure_folders(modules, package),
        **measure_lines(modules),
        "lines over 100 characters": kinds["lines over 100 characters"],
        **measure_functions(modules),
        "functions over 15 lines": kinds["functions over 15 lines"],
        "nested comprehensions": kinds["nested comprehensions"],
        "tuples of right-hand sides": kinds["tuples of right-hand sides"],
        "generators unpacked into names": kinds["generators unpacked into names"],
        "public docstrings, %": round(100 * docstring_share(modules)),
    }
    return measures, remarks


def measure_folders(modules: list[Module], package: Path) -> dict[str, int | float]:
    """Count the files of the folders, without `__init__.py`."""
    paths = [module.path for module in modules if module.path.name != "__init__.py"]
    counts = Counter(path.parent for path in paths)
    return {
        "modules in the root": counts[package],
        "files per folder, median": median(counts.values()),
        "files per folder, largest": max(counts.values()),
    }


def measure_lines(modules: list[Module]) -> dict[str, int | float]:
    """Measure the lengths of the lines that are not empty."""
    lengths = [len(line) for module in modules for line in module.lines if line.strip()]
    return {
        "longest line": max(lengths),
        "line length, 90th percentile": percentile_90(lengths),
    }


def measure_functions(modules: list[Module]) -> dict[str, int | float]:
    """Count the lines of functions and methods."""
    lines = [body_lines(function) for module in modules for function in module.functions()]
    return {
        "functions": len(lines),
        "function lines, median": median(lines),
        "function lines, 90th percentile": percentile_90(lines),
        "function lines, longest": max(lines),
    }


def format_table(columns: dict[str, dict[str, int | float]]) -> str:
    """Return a Markdown table with one column per package and one for the limits."""
    rows = [["measure", *columns, "limit"], ["---"] * (len(columns) + 2)]
    for name in next(iter(columns.values())):
        values = [f"{column[name]:g}" for column in columns.values()]
        rows.append([name, *values, str(LIMITS.get(name, ""))])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def exceeded(measures: dict[str, int | float]) -> list[str]:
    """Return the measures that are above their limit."""
    return [name for name, limit in LIMITS.items() if measures[name] > limit]


def main() -> int:
    """Print the table, and with `--list` what counts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", type=Path, default=[PACKAGE], metavar="PACKAGE")
    parser.add_argument("--check", action="store_true", help="exit with 1 above a limit")
    parser.add_argument("--list", action="store_true", help="name what counts against a limit")
    options = parser.parse_args()
    results = {str(path): measure(path) for path in options.packages}
    if options.list:
        for _, remarks in results.values():
            sys.stdout.writelines(f"{remark}\n" for remark in remarks)
    columns = {path: measures for path, (measures, _) in results.items()}
    sys.stdout.write(format_table(columns))
    above = [name for measures, _ in results.values() for name in exceeded(measures)]
    if options.check and above:
        sys.stderr.write(f"above the limit: {', '.join(above)} (see scripts/measure.py --list)\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
