"""What README, docs and examples say is so: their links lead somewhere, their commands parse, their code runs."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import tyro

from bids_shresnet.cli.app import main
from bids_shresnet.cli.parser import parse
from bids_shresnet.phantom.simulate import PhantomArguments
from tests.pages import APP, PHANTOM, ROOT, Page, all_pages

PAGES = all_pages()
OUTSIDE = ("http://", "https://", "mailto:")
OUTPUTS = ROOT / "docs/reference/outputs.md"
PLACES = {  # headings of the page whose files lie in a folder
    "Each scan, by `participant`": "(?!models|logs|prov)",
    "Models": r"models/from-\w+_to-\w+/",
}
FLAG = re.compile(r"(?<![\w-])--[a-z][\w.-]*\w|(?<![\w-])-[a-z]\b")
SYMBOLS = {
    "<scan>": r"sub-\w+/ses-\w+/dwi/sub-\w+_ses-\w+",
    "<label>": r"\w+",
    "<pair>": r"from-\w+_to-\w+",
    "<run>": r"[\w-]+",
    "<figure>": r"[\w.-]+",
    "<record>": r"[\w.-]+",
    "NN": r"\d\d",
}
NOT_HERE = {  # of another input, or of other flags
    "logs/<run>/crash_<scan>.txt",
    "<scan>_desc-harmonized_dwi.b",
    "missing-NN.safetensors",
    "resblocks.tsv",
    "missing_shells.tsv",
    "sub-<label>.html",
    "sub-<label>/figures/<figure>",
}


def name(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Page) -> None:
    for link in page.links():
        if link.startswith(OUTSIDE):
            continue
        place, _, anchor = link.partition("#")
        target = (page.path.parent / place).resolve() if place else page.path
        assert target.exists(), link
        if ROOT / "docs" in page.path.parents:  # a site of its own
            assert target.is_relative_to(ROOT / "docs"), link
        if anchor:
            assert anchor in Page(target).anchors, link


def test_links_code_and_commands_are_found_where_they_are(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A *b* `c`-d\n[x](y.md#z) `[no](link)`\n\n    bids-shresnet a b group \\\n        --no-validation  # why\n\n"
        "Text.\n\n- item\n\n    ```sh\n    docker run x bids/shresnet c d participant\n    ```\n\n"
        "```python\nx = 1\n```\n"
    )
    found = Page(page)
    assert found.links() == ["y.md#z"]
    assert found.anchors == {"a-b-c-d"}
    assert sorted(found.commands(APP)) == [
        ["a", "b", "group", "--no-validation"],
        ["c", "d", "participant"],
    ]
    assert found.blocks("python") == ["x = 1\n"]


COMMANDS = [(page, arguments) for page in PAGES for arguments in page.commands(APP)]


def test_commands_are_shown_at_all() -> None:
    assert len(COMMANDS) > 15
    assert {"README.md", "docs/tutorials/first-run.md", "docs/how-to/slurm.md"} <= {
        name(page) for page, _ in COMMANDS
    }


@pytest.mark.parametrize(
    ("page", "arguments"), COMMANDS, ids=lambda one: name(one) if isinstance(one, Page) else ""
)
def test_every_command_that_is_shown_parses(page: Page, arguments: list[str]) -> None:
    filled = [re.sub(r"\$\w+", "01", one) for one in arguments]  # by the shell
    assert parse(filled).analysis_level in ("participant", "group")


@pytest.mark.parametrize("page", [page for page in PAGES if page.commands(PHANTOM)], ids=name)
def test_every_command_of_the_phantom_parses(page: Page) -> None:
    for arguments in page.commands(PHANTOM):
        assert tyro.cli(PhantomArguments, args=arguments).out


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks("python")], ids=name)
def test_python_that_is_shown_runs(
    page: Page, walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").symlink_to(walk)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, code in enumerate(page.blocks("python")):
        exec(compile(code, f"{page.path}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks("console")], ids=name)
def test_what_a_command_prints_is_what_the_page_says(
    page: Page,
    walk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "demo").symlink_to(walk)
    monkeypatch.chdir(tmp_path)
    for block in page.blocks("console"):
        command, _, said = block.removeprefix("$ ").partition("\n")
        assert main(command.split()[1:]) == 0
        assert capsys.readouterr().out.rstrip() == said.rstrip()


# --- the reference ----------------------------------------------------------------------------------------------


def test_generated_pages_are_those_of_the_code() -> None:
    for path, text in runpy.run_path(str(ROOT / "scripts/reference.py"))["pages"]().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path} is not up to date; run scripts/docs"
        )


def test_every_flag_of_the_help_is_explained() -> None:
    wide = os.environ | {"COLUMNS": "300"}
    help_text = subprocess.run(
        [sys.executable, "-m", "bids_shresnet", "-h"],
        capture_output=True,
        text=True,
        check=True,
        env=wide,
        cwd=ROOT,
    ).stdout
    page = Page(ROOT / "docs/reference/command-line.md").text
    flags, explained = (
        {switched_on(one) for one in FLAG.findall(text)} for text in (help_text, page)
    )
    assert len(flags) > 60
    assert flags - explained <= {"--help"}


def switched_on(flag: str) -> str:
    """The page says once for all that a switch has a form with `no`."""
    return re.sub(r"(--|\.)no-", r"\1", flag)


def test_a_trained_model_is_as_its_schema_says(walk: Path) -> None:
    schema = json.loads((ROOT / "docs/reference/model.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    (card,) = walk.glob("out/derivatives/shresnet/models/*/model.json")
    record = json.loads(card.read_text(encoding="utf-8"))
    jsonschema.validate(record, schema)
    with pytest.raises(jsonschema.ValidationError, match="Unheard"):
        jsonschema.validate(record | {"Unheard": 1}, schema)


def documented() -> dict[str, re.Pattern[str]]:
    """Every file of the outputs page, and what its place matches."""
    found, folder = {}, ""
    for line in Page(OUTPUTS).text.splitlines():
        if line.startswith("## "):
            folder = PLACES.get(line.removeprefix("## "), "")
        elif line.startswith("| `"):
            for file in re.findall(r"`([^`]+)`", line.split("|")[1]):
                pattern = re.escape(file)
                for symbol, meaning in SYMBOLS.items():
                    pattern = pattern.replace(re.escape(symbol), meaning)
                found[file] = re.compile(folder + pattern)
    return found


def test_every_output_is_documented_and_every_documented_output_is_there(walk: Path) -> None:
    root = walk / "out/derivatives/shresnet"
    files = [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    ]
    patterns = documented()
    assert [
        file for file in files if not any(one.fullmatch(file) for one in patterns.values())
    ] == []
    missing = {
        shown for shown, one in patterns.items() if not any(one.fullmatch(file) for file in files)
    }
    assert missing <= NOT_HERE
