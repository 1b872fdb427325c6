from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
VERSION = (ROOT / "version").read_text(encoding="utf-8").strip()


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CHANGELOG.md", r"^## \[(.+?)\]"),
        ("CITATION.cff", r"^version: (\S+)"),
        ("Dockerfile", r"^ARG VERSION=(\S+)"),
    ],
)
def test_every_file_names_the_version_of_the_file_version(file: str, pattern: str) -> None:
    match = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None
    assert match[1] == VERSION


def test_a_clone_that_is_not_installed_knows_its_version() -> None:
    # -S: without site-packages there is no metadata of an installed package
    code = "import bids_shresnet; print(bids_shresnet.__version__)"
    assert _python("-S", "-c", code) == VERSION


@pytest.mark.parametrize(
    "module", ["bids_shresnet", "bids_shresnet.config", "bids_shresnet.cli.app"]
)
def test_modules_for_the_help_import_nothing_heavy(module: str) -> None:
    heavy = {"ants", "bids", "dipy", "nibabel", "pandas", "scipy", "torch"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    assert _python("-c", code) == ""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["bids_shresnet.workflow.execute_plan", "bids_shresnet.api"])
def test_a_model_is_applied_without_what_registers_or_tests(module: str) -> None:
    heavy = {"ants", "matplotlib.pyplot", "pandas", "pytest", "sklearn", "statsmodels"}
    code = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    assert _python("-c", code) == ""


@pytest.mark.slow
def test_a_network_without_memory_is_built_without_torch_s_compiler() -> None:
    code = (
        "import sys, torch; from bids_shresnet.network.shresnet import *; "
        "torch.set_default_device('meta'); SHResNet(Architecture()); "
        "print(*sorted({'sympy', 'torch._dynamo'} & sys.modules.keys()))"
    )
    assert _python("-c", code) == ""


@pytest.mark.parametrize(
    "package",
    sorted((ROOT / "bids_shresnet").glob("*/__init__.py")),
    ids=lambda path: path.parent.name,
)
def test_a_package_file_has_a_docstring_and_nothing_else(package: Path) -> None:
    module = ast.parse(package.read_text(encoding="utf-8"))
    assert ast.get_docstring(module)
    assert len(module.body) == 1


@pytest.mark.parametrize("program", ["ruff", "codespell"])
def test_pre_commit_uses_the_pinned_version(program: str) -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (revision,) = [repo["rev"] for repo in config["repos"] if program in repo["repo"]]
    assert f"{program}=={revision.removeprefix('v')}" in pinned


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name
)
def test_files_for_github_are_valid_yaml(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "script",
    [
        "run.py",
        ".ci/run",
        "scripts/demo",
        "scripts/docs",
        "scripts/test",
        "scripts/check",
        "scripts/container-install",
        "scripts/container-test",
        "scripts/slurm-test",
        "scripts/compare_runs.py",
        "scripts/measure.py",
        "scripts/readme_figure.py",
        "scripts/report_pictures.py",
        "scripts/mutate.py",
        "scripts/release_notes.py",
        "examples/phantom.sh",
        "examples/one_nifti.py",
        "examples/neuroharmonize.py",
        "examples/site_effect.py",
    ],
)
def test_scripts_can_be_called(script: str) -> None:
    assert (ROOT / script).stat().st_mode & 0o111 == 0o111


def _python(*arguments: str) -> str:
    """Run a fresh interpreter in the repository and return what it prints."""
    run = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()
