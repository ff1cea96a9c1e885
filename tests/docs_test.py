"""What docs/ says can be done: the pages' code runs as it is written, and names what is there."""

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import jax
import pytest

from configs import base
from data_pipelines import prepare
from s2f_jax.cli.commands import COMMANDS
from s2f_jax.config import schema
from tests import drawn_videos, tiny
from tests.programs import ROOT

DOCS = ROOT / "docs"
HOOKS = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
hooks = importlib.util.module_from_spec(HOOKS)
HOOKS.loader.exec_module(hooks)
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES)
COPIED = ("s2f_jax", "data_pipelines", "configs", "tests", "pyproject.toml")
# The program with discs for faces, which need no landmark model; also in the workers it starts.
PROGRAM = """
import pathlib

from data_pipelines.faces import landmarks
from tests import drawn_videos

if __name__ in ("__main__", "__mp_main__"):
    landmarks.FaceFinder = drawn_videos.Discs
    landmarks.model_path = lambda: pathlib.Path(__file__)

if __name__ == "__main__":
    from s2f_jax import main

    main.main()
"""


class Block(NamedTuple):
    """A fenced block of a page: its language, its title (a file's name) and its text."""

    language: str
    title: str
    text: str


def blocks(page):
    fence = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
    return [Block(*found) for found in fence.findall((DOCS / page).read_text())]


def apply(diff, text):
    """Changes a text by a diff whose hunks, between lines of @@, have no line numbers."""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.M):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(before) == 1, f"{text.count(before)} places for\n{hunk}"
        text = text.replace(before, after)
    return text


def follow(page, folder):
    """Writes the files of a page, changes those it changes, and runs its commands, in order."""
    for block in blocks(page):
        path = folder / block.title
        if block.language == "diff":
            path.write_text(apply(block.text, path.read_text()))
        elif block.title:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "sh":
            run(block.text, folder)


def run(commands, folder):
    one_device = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ["XLA_FLAGS"])
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "XLA_FLAGS": one_device,  # Which compiles faster.
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
        "S2F_FACE_EMBEDDER": str(folder / "none"),  # Or it would be downloaded.
    }
    for line in commands.replace("\\\n", "").splitlines():
        program, *words = line.split()
        script = {"s2f": ["program.py"], "pytest": ["-m", "pytest"]}[program]
        command = [sys.executable, *script, *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def demo_shards(tmp_path_factory):
    """Those of tests/tiny.py; not to be written to."""
    folder = tmp_path_factory.mktemp("docs_shards")
    prepare.prepare(tiny.get_config().data, None, folder)
    return folder


@pytest.fixture
def checkout(tmp_path, demo_shards):
    """A copy of the packages in which the demo is tiny, and its shards are made."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "configs/demo.py").rename(tmp_path / "configs/large_demo.py")
    small = (ROOT / "tests/tiny.py").read_text()
    small = small.replace("from configs import demo", "from configs import large_demo as demo")
    (tmp_path / "configs/demo.py").write_text(small.replace("():", "(preset=None):", 1))
    (tmp_path / "program.py").write_text(PROGRAM)
    shutil.copytree(demo_shards, tmp_path / "runs/data")
    return tmp_path


def logged(run_folder, key):
    """The values under a key of metrics.jsonl."""
    events = map(json.loads, (run_folder / "metrics.jsonl").read_text().splitlines())
    return [event[key] for event in events if key in event]


def test_a_discriminator_is_added_as_the_page_says(checkout):
    follow("extend/discriminator.md", checkout)
    losses = logged(checkout / "runs/demo_patch", "patch_discriminator/loss")
    assert losses and all(loss > 0 for loss in losses)


def test_a_task_is_added_as_the_page_says(checkout):
    follow("extend/task.md", checkout)
    assert logged(checkout / "runs/autoencoder_demo", "autoencoder/l1")
    assert len(logged(checkout / "runs/autoencoder_demo", "validation/psnr")) == 4
    assert list((checkout / "runs/autoencoder_demo/samples").glob("*/0.png"))


def test_a_corpus_is_added_as_the_page_says(checkout):
    takes = ("anna_001", "ben_001", "cleo_001", "dan_001")
    for brightness, take in enumerate(takes):  # No two of which look or sound alike.
        path = checkout / f"STUDIO/takes/{take}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        discs = ((*drawn_videos.DISC, 0, 190 + 15 * brightness),)
        draw = functools.partial(drawn_videos.picture, discs=discs)
        instants = (0.2 + 0.1 * brightness, 0.8)
        drawn_videos.write(path, draw=draw, instants=instants)
    prompts = "take,text\n" + "".join(f"{take},Please: go on\n" for take in takes)
    (checkout / "STUDIO/prompts.csv").write_text(prompts)
    follow("extend/corpus.md", checkout)
    (folder,) = (checkout / "runs/studio_data/studio").iterdir()
    report = json.loads((folder / "quarantine.json").read_text())
    assert report["clips"] == 4 and not report["quarantined"]
    assert (checkout / "runs/studio/metrics.jsonl").exists()


def test_a_metric_is_added_as_the_page_says(checkout):
    follow("extend/metric.md", checkout)
    report = json.loads((checkout / "runs/demo/evaluation/test/report.json").read_text())
    assert report["rows"]["ground_truth"]["flicker"]["mean"] == 1
    assert report["rows"]["frozen_still"]["flicker"]["mean"] == 0
    assert "Flicker" in (checkout / "runs/demo/evaluation/test/report.md").read_text()


def test_every_extension_page_is_followed():
    named = set(re.findall(r'follow\("(extend/[\w.]+)"', (ROOT / "tests/docs_test.py").read_text()))
    pages = {f"extend/{path.name}" for path in (DOCS / "extend").glob("*.md")}
    assert named == pages - {"extend/index.md"}


FIELDS = {name for name, _ in schema.fields(base.get_config())}
SECTIONS = {name.split(".")[0] for name in FIELDS if "." in name}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(DOCS).as_posix())
def test_a_page_names_fields_and_files_that_are_there(page):
    for span in re.findall(r"`([^`\n]+)`", page.read_text()):
        name = span.partition("=")[0].removeprefix("--config.")
        if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", name) and name.split(".")[0] in SECTIONS:
            known = name in FIELDS or name.startswith(("data.options.", "discriminators.patch"))
            assert known or name.endswith(".safetensors"), f"no field {name}"
        if re.fullmatch(r"(s2f_jax|data_pipelines|configs|launch|tests|docs)/[\w/.]+", span):
            assert (ROOT / span).exists() or page.parent.name == "extend", f"no file {span}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda p: p.name)
def test_a_page_s_commands_have_flags_that_are_there(page):
    """Each `s2f COMMAND --flag` in a block or a code span."""
    for line in re.findall(r"\bs2f ([^\n`|#]*)", page.read_text()):
        words = line.split()
        if not words or not re.match(r"--\w|[a-z]+$", words[0]):
            continue
        name = "train" if words[0].startswith("-") else words[0]
        if name not in COMMANDS:
            continue
        actions = hooks.parser_of(name)._actions
        choices = {flag: action.choices for action in actions for flag in action.option_strings}
        choices.setdefault("--config", None)
        for flag, value in re.findall(r"(?<![\w-])(--\w+)(?:=(\w+))?", line):
            assert flag in choices, f"s2f {line}"
            assert not value or value in (choices[flag] or [value]), f"s2f {line}"


def test_the_readme_is_short():
    assert (ROOT / "README.md").read_text().count("\n") <= 180


@pytest.mark.parametrize("page", TEXTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_page_links_to_what_is_in_the_repository(page):
    """So that its links work there too, and not on the site alone."""
    for target in re.findall(
        r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)|(?:src|srcset)=\"([^\"]+)\"", page.read_text()
    ):
        assert (page.parent / "".join(target)).exists(), "".join(target)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(DOCS).as_posix())
def test_the_site_has_a_page_for_each_file_of_the_code_that_a_page_links_to(page):
    for target in re.findall(r"\]\(((?:\.\./)+[^)#:]+)\)", page.read_text()):
        path = (page.parent / target).resolve()
        assert path.is_relative_to(DOCS) or hooks.page_made_from(path.relative_to(ROOT).as_posix())


def test_the_figure_is_the_one_that_its_script_draws(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    shutil.copy(DOCS / "figures/architecture.py", folder)
    subprocess.run([sys.executable, folder / "architecture.py"], check=True)
    for path in sorted((DOCS / "figures").glob("*.svg")):
        assert words_of(path) == words_of(folder / path.name)


def test_the_tables_of_the_evidence_are_those_of_the_scores_kept():
    spec = importlib.util.spec_from_file_location("evidence", DOCS / "figures/evidence.py")
    evidence = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(evidence)
    page = evidence.PAGE.read_text()
    assert "<!-- scores -->\n| row |" in page
    assert evidence.fill(page) == page


def words_of(svg):
    return re.findall(r">([^<>\n]+)<", svg.read_text())
