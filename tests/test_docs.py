"""README, docs and examples are true: links lead to files, commands parse, code runs."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import jsonschema
import pytest
import tyro

from bids_shresnet.cli.app import main
from bids_shresnet.cli.parser import parse
from bids_shresnet.phantom.simulate import PhantomArguments
from tests.pages import ANCHOR, APP, PHANTOM, ROOT, Page, all_pages

PAGES = all_pages()
COMMANDS = [(page, arguments) for page in PAGES for arguments in page.commands(APP)]
WEB = ("http://", "https://", "mailto:")
FLAG = re.compile(r"(?<![\w-])--[a-z][\w.-]*\w|(?<![\w-])-[a-z]\b")
SHELL_VARIABLE = re.compile(r"\$\w+")
EXAMPLE_PAGE = """\
# A *b* `c`-d
[x](y.md#z) `[no](link)`

    bids-shresnet a b group \\
        --no-validation  # why

Text.

- item

    ```sh
    docker run x bids/shresnet c d participant
    ```

```python
x = 1
```
"""

OUTPUTS_PAGE = ROOT / "docs/reference/outputs.md"
FOLDERS = {  # of the outputs, by the page's headings
    "Each scan, by `participant`": "(?!models|logs|prov)",
    "Models": r"models/from-\w+_to-\w+/",
}
SYMBOLS = {
    "<scan>": r"sub-\w+/ses-\w+/dwi/sub-\w+_ses-\w+",
    "<label>": r"\w+",
    "<pair>": r"from-\w+_to-\w+",
    "<run>": r"[\w-]+",
    "<figure>": r"[\w.-]+",
    "<record>": r"[\w.-]+",
    "NN": r"\d\d",
}
NOT_IN_THE_EXAMPLE = {  # outputs of other inputs or flags
    "logs/<run>/crash_<scan>.txt",
    "<scan>_desc-harmonized_dwi.b",
    "missing-NN.safetensors",
    "missing-all.safetensors",
    "resblocks.tsv",
    "resblocks.json",
    "missing_shells.tsv",
    "missing_shells.json",
    "regional.tsv",
    "regional.json",
    "sub-<label>.html",
    "index.html",
    "group_ratings.tsv",
    "group_ratings.json",
    "sub-<label>/figures/<figure>",
}


def page_name(page: Page | list[str]) -> str:
    return str(page.path.relative_to(ROOT)) if isinstance(page, Page) else ""


def pages_with_code(language: str) -> list[Page]:
    return [page for page in PAGES if page.blocks(language)]


@pytest.fixture
def example_folder(example_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where `demo` is the folder of the example's run."""
    (tmp_path / "demo").symlink_to(example_run)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Page) -> None:
    for link in page.links:
        if link.startswith(WEB):
            continue
        file, _, anchor = link.partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), link
        if ROOT / "docs" in page.path.parents:  # the site has no other pages
            assert target.is_relative_to(ROOT / "docs"), link
        if anchor:
            assert anchor in Page(target).anchors, link


def test_links_code_and_commands_of_a_page_are_found(tmp_path: Path) -> None:
    page = Page(tmp_path / "page.md")
    page.path.write_text(EXAMPLE_PAGE)
    assert page.links == ["y.md#z"]
    assert page.anchors == {"a-b-c-d"}
    assert sorted(page.commands(APP)) == [
        ["a", "b", "group", "--no-validation"],
        ["c", "d", "participant"],
    ]
    assert page.blocks("python") == ["x = 1\n"]


def test_the_main_pages_show_commands() -> None:
    assert len(COMMANDS) > 15
    names = {page_name(page) for page, _ in COMMANDS}
    assert {"README.md", "docs/tutorials/first-run.md", "docs/how-to/slurm.md"} <= names


@pytest.mark.parametrize(("page", "arguments"), COMMANDS, ids=page_name)
def test_every_command_parses(page: Page, arguments: list[str]) -> None:
    expanded = [SHELL_VARIABLE.sub("01", argument) for argument in arguments]
    assert parse(expanded).run.analysis_level in ("participant", "group")


@pytest.mark.parametrize("page", [page for page in PAGES if page.commands(PHANTOM)], ids=page_name)
def test_every_command_of_the_phantom_parses(page: Page) -> None:
    for arguments in page.commands(PHANTOM):
        assert tyro.cli(PhantomArguments, args=arguments).out


@pytest.mark.parametrize("page", pages_with_code("python"), ids=page_name)
@pytest.mark.usefixtures("example_folder")
def test_python_code_runs(page: Page) -> None:
    names: dict[str, object] = {}
    for number, code in enumerate(page.blocks("python")):
        exec(compile(code, f"{page.path}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", pages_with_code("console"), ids=page_name)
@pytest.mark.usefixtures("example_folder")
def test_a_command_prints_what_the_page_shows(
    page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in page.blocks("console"):
        command, _, output = block.removeprefix("$ ").partition("\n")
        assert main(command.split()[1:]) == 0
        assert capsys.readouterr().out.rstrip() == output.rstrip()


def test_measured_numbers_are_the_same_on_every_page() -> None:
    measurements = json.loads((ROOT / "docs/measurements.json").read_text(encoding="utf-8"))
    for name, measurement in measurements.items():
        for page in measurement["pages"]:
            text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
            assert measurement["text"] in text, f"{name}: {page}"


# --- the reference -------------------------------------------------------------------------------


def test_generated_pages_are_up_to_date() -> None:
    pages = runpy.run_path(str(ROOT / "scripts/reference.py"))["pages"]()
    outdated = [
        str(path) for path, text in pages.items() if path.read_text(encoding="utf-8") != text
    ]
    assert outdated == [], "run scripts/docs"


def test_every_flag_of_the_help_is_explained() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "bids_shresnet", "--help-all"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "300"},
        cwd=ROOT,
    ).stdout
    flags = positive_flags(help_text)
    assert len(flags) > 60
    explained = positive_flags(Page(ROOT / "docs/reference/command-line.md").text)
    assert flags - explained == set()


def test_every_flag_of_the_reference_has_an_anchor_of_its_own() -> None:
    page = Page(ROOT / "docs/reference/command-line.md")
    anchors = ANCHOR.findall(page.text)
    flags = re.findall(r"^[^:\n]*?`[^`\n]*--([\w.-]+).*\n:   ", page.text, re.MULTILINE)
    assert flags == anchors
    assert len(set(anchors)) == len(anchors) > 60


def positive_flags(text: str) -> set[str]:
    """Return the flags in a text without `no`, which the page explains once for all."""
    return {re.sub(r"(--|\.)no-", r"\1", flag) for flag in FLAG.findall(text)}


def test_a_trained_model_follows_its_schema(example_run: Path) -> None:
    schema = json.loads((ROOT / "docs/reference/model.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    (path,) = example_run.glob("out/derivatives/shresnet/models/*/model.json")
    card = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(card, schema)
    with pytest.raises(jsonschema.ValidationError, match="Unheard"):
        jsonschema.validate(card | {"Unheard": 1}, schema)


def documented_outputs() -> dict[str, re.Pattern[str]]:
    """Return the pattern of every file on the outputs page."""
    patterns: dict[str, re.Pattern[str]] = {}
    folder = ""
    for line in Page(OUTPUTS_PAGE).text.splitlines():
        if line.startswith("## "):
            folder = FOLDERS.get(line.removeprefix("## "), "")
        elif line.startswith("| `"):
            for file in re.findall(r"`([^`]+)`", line.split("|")[1]):
                patterns[file] = re.compile(folder + file_pattern(file))
    return patterns


def file_pattern(file: str) -> str:
    pattern = re.escape(file)
    for symbol, meaning in SYMBOLS.items():
        pattern = pattern.replace(re.escape(symbol), meaning)
    return pattern


def example_outputs(root: Path) -> list[str]:
    paths = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return [str(path.relative_to(root)) for path in paths]


def test_every_output_is_documented(example_run: Path) -> None:
    patterns = documented_outputs().values()
    files = example_outputs(example_run / "out/derivatives/shresnet")
    assert [file for file in files if not matches_any(file, patterns)] == []


def test_every_documented_output_exists(example_run: Path) -> None:
    files = example_outputs(example_run / "out/derivatives/shresnet")
    missing = {
        name
        for name, pattern in documented_outputs().items()
        if not any(pattern.fullmatch(file) for file in files)
    }
    assert missing <= NOT_IN_THE_EXAMPLE


def matches_any(file: str, patterns: Iterable[re.Pattern[str]]) -> bool:
    return any(pattern.fullmatch(file) for pattern in patterns)
