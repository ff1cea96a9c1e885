"""What MkDocs builds from the code: API pages, the command line, config fields, corpora, findings.

A new module, command, flag, config field, corpus or finding appears on the site by itself.
"""

import argparse
import ast
import importlib
import itertools
import logging
import pathlib
import posixpath
import re
import sys
import tokenize
from collections.abc import Iterator
from typing import Any
from unittest import mock

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("s2f_jax", "data_pipelines")
API = "reference/api"
# Pages made from files of the repository, beside those of modules, commands and corpora.
PAGES = {
    "s2f_jax": f"{API}/index.md",
    "s2f_jax/cli": "reference/command-line.md",
    "configs/base.py": "reference/config.md",
    "configs/ablations": "reference/config.md#variants-for-ablate",
}
log = logging.getLogger("mkdocs.plugins.hooks")  # A warning here fails a strict build.


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the API pages to the navigation.

    Args:
      config: As mkdocs.yml has it.

    Returns:
      The same, changed.
    """
    sys.path.insert(0, str(ROOT))
    for entry in config.nav or []:
        if "Python API" in entry:
            entry["Python API"] = [f"{API}/index.md", *map(_nav_of, PACKAGES)]
    config.watch += [str(ROOT / package) for package in (*PACKAGES, "configs")]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages.

    Args:
      files: Those under docs/.
      config: As mkdocs.yml has it.

    Returns:
      The same with the generated ones.
    """
    pages = {
        f"{API}/index.md": _api_index(),
        "reference/command-line.md": _command_line(),
        "reference/config.md": _config_fields(),
        "findings.md": _findings(),
    }
    pages |= {_page_of(name): _api_page(name, path) for name, path in _modules()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills in what is made from the code, and turns links to source files into links to pages.

    Args:
      markdown: Of a page.
      page: The page.
      config: As mkdocs.yml has it.
      files: Of the site.

    Returns:
      The page with text in place of `<!-- metrics -->` and `<!-- corpora -->`, and with links to
      pages in place of such as `../../s2f_jax/step.py`, which are right in the repository.
    """
    del config, files
    for placeholder, make in (("<!-- metrics -->", _metrics), ("<!-- corpora -->", _corpora)):
        if placeholder in markdown:
            markdown = markdown.replace(placeholder, make())
    folder = posixpath.dirname(page.file.src_uri)

    def link_to_page(link: re.Match[str]) -> str:
        target = page_made_from(posixpath.normpath(posixpath.join("docs", folder, link[1])))
        return f"]({posixpath.relpath(target, folder or '.')})" if target else link[0]

    return re.sub(r"\]\(((?:\.\./)+[^)#:]+)\)", link_to_page, markdown)


def page_made_from(path: str) -> str:
    """Finds the page that shows a file of the repository.

    Args:
      path: From the repository's root.

    Returns:
      The page below docs/, or "" for a file that needs none.
    """
    file = pathlib.PurePosixPath(path)
    if path in PAGES:
        return PAGES[path]
    if file.parts[0] not in PACKAGES:
        return ""
    if file.name == "README.md":
        return f"guides/corpora.md#{file.parent.name}"
    if str(file.parent) == "s2f_jax/cli":
        return f"reference/command-line.md#{file.stem}"
    return _page_of(".".join(file.with_suffix("").parts))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Marks short code spans, which are not to be broken at a hyphen.

    Args:
      html: Of a page's text.
      page: The page.
      config: As mkdocs.yml has it.
      files: Of the site.

    Returns:
      The same, with the class `short` on these spans.
    """
    del page, config, files
    return re.sub(r"<code>([^<\n]{1,40})</code>", r'<code class="short">\1</code>', html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Warns where a page would fetch something from another host.

    Args:
      output: The page's HTML.
      page: The page.
      config: As mkdocs.yml has it.

    Returns:
      The HTML, unchanged.
    """
    del config
    tags = re.findall(r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*>", output)
    for tag in tags:
        if re.search(r"""(?:src|srcset|href)=["']?(?:https?:)?//""", tag):
            log.warning("%s fetches from outside: %s", page.file.src_uri, tag)
    return output


# Python API.


def _modules() -> Iterator[tuple[str, pathlib.Path]]:
    """Every public module that says something, by its full name."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if path.stat().st_size and not any(part.startswith("_") for part in name.split(".")):
                yield name, path


def _page_of(module: str) -> str:
    return f"{API}/{module}.md"


def _summary(path: pathlib.Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def _api_page(name: str, path: pathlib.Path) -> str:
    return f"---\ntitle: {name}\n---\n\n::: {name}\n\nSource: `{path.relative_to(ROOT)}`\n"


def _nav_of(package: str) -> dict[str, list]:
    """The pages of a package, a section for each folder."""
    pages: list = []
    sections: dict[str, list] = {}
    for name, path in _modules():
        if name.split(".")[0] != package:
            continue
        _, *inside = name.split(".")
        is_package = path.name == "__init__.py"
        folder = inside.pop(0) if len(inside) > (0 if is_package else 1) else ""
        label = ".".join(inside) + " (package)" * is_package
        (sections.setdefault(folder, []) if folder else pages).append(
            {label.strip(): _page_of(name)}
        )
    return {package: [*pages, *({name: inner} for name, inner in sections.items())]}


def _api_index() -> str:
    """A table of all modules, a section for each folder."""
    lines = [
        "# Python API",
        "",
        "Every public module, from its docstrings. `from s2f_jax import Animator` is"
        " [`s2f_jax.inference.animator.Animator`](s2f_jax.inference.animator.md).",
    ]
    section = ""
    for name, path in _modules():
        parts = name.split(".")
        here = ".".join(parts[:2]) if len(parts) > 2 else parts[0]
        if here != section:
            lines += ["", f"## {here}", "", "| module | |", "|---|---|"]
            section = here
        lines.append(f"| [`{name}`]({name}.md) | {_cell(_summary(path))} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text for a cell of a table: `<x>` is no tag, `|` no border."""
    return re.sub(r"<(?=[A-Za-z/])", "&lt;", text).replace("|", "\\|").replace("\n", " ")


# Command line.


def _command_line() -> str:
    """Every command with its flags, as its parser has them."""
    commands = importlib.import_module("s2f_jax.cli.commands").COMMANDS
    lines = [
        "# Command line",
        "",
        "`s2f [COMMAND] [flags]`; `python -m s2f_jax.main` is the same program. No command means"
        " `train`. `s2f COMMAND --help` prints what is below. Wherever `--config` is a flag, every"
        " [field of the config](config.md) can be set, as `--config.batch_size=32`. `--config`"
        " takes the name of a config of this package, such as `grid` or `grid:sda`, or a path.",
        "",
        "Exit codes: 0 done; 1 a run or a check that failed; 2 a mistake in the command or its"
        " inputs, in one sentence; 75 stopped by a signal after a save, the same command goes on;"
        " 130 stopped by Ctrl-C.",
        "",
        "| command | |",
        "|---|---|",
        *(f"| [`{name}`](#{name}) | {_cell(c.summary)} |" for name, c in commands.items()),
    ]
    for name, command in commands.items():
        actions = (a for a in parser_of(name)._actions if a.dest != "help")
        invoked = "s2f" if name == "train" else f"s2f {name}"
        lines += [
            "",
            f"## {name}",
            "",
            f"{command.summary[:1].upper()}{command.summary[1:]}.",
            "",
            "```",
            f"{invoked} {command.example}",
            "```",
            "",
            "| flag | | |",
            "|---|---|---|",
            *map(_flag_row, actions),
        ]
    return "\n".join(lines) + "\n"


class _Caught(BaseException):
    """Carries the parser out of the program, past what it handles."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser with which the program reads a command's flags.

    Args:
      command: Its name.

    Returns:
      The program's own, caught when it is about to parse.
    """

    def catch(parser: argparse.ArgumentParser, *_: Any) -> None:
        raise _Caught(parser)

    main = importlib.import_module("s2f_jax.main")
    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", catch):
        try:
            main.dispatch([command])
        except _Caught as caught:
            return caught.parser
    raise RuntimeError(f"the command {command} has no parser")


def _flag_row(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
    if action.choices:
        value = " ".join(f"`{choice}`" for choice in action.choices)
    elif action.nargs == 0:
        value = ""
    else:
        value = f"`{action.metavar or (action.type or str).__name__}`"  # type: ignore[union-attr]
    if action.nargs == "+":
        value += " ..."
    required = "**Required.** " if action.required else ""
    return f"| {names} | {value} | {required}{_cell(action.help or '')} |"


# Config fields.


def _config_fields() -> str:
    """Every field of configs/base.py with its value and comment."""
    base = importlib.import_module("configs.base")
    comments = _comments_of(ROOT / "configs/base.py")
    order = {name: place for place, name in enumerate(comments)}
    fields = sorted(_flat(base.get_config()), key=lambda field: order.get(field[0], len(order)))
    values = dict(fields)
    sda = dict(_flat(base.get_config("sda")))
    sections: dict[str, list[str]] = {}
    for name, value in values.items():
        section = name.rpartition(".")[0]
        other = f" (`sda`: `{sda[name]!r}`)" if sda.get(name) != value else ""
        row = f"| `{name}` | `{_cell(repr(value))}`{other} | {_cell(comments.get(name, ''))} |"
        sections.setdefault(section, []).append(row)
    lines = [
        "# Config fields",
        "",
        "Every field there is, from `configs/base.py`. A config changes some of them; the command"
        " line any, as `--config.optim.decay=0.1`. Numbers in brackets are sections of the paper.",
    ]
    for section, rows in sections.items():
        text = _cell(comments.get(section, ""))
        lines += ["", f"## {section or 'Top level'}", "", text, ""]
        lines += ["| field | default | |", "|---|---|---|", *rows]
    own = sorted(p for p in (ROOT / "configs").glob("*.py") if p.stem not in ("__init__", "base"))
    lines += ["", "## Configs", "", "| name | |", "|---|---|"]
    lines += [f"| `{path.stem}` | {_cell(_summary(path))} |" for path in own]
    lines += ["", "## Variants for `ablate`", "", "| name | |", "|---|---|"]
    variants = sorted(p for p in (ROOT / "configs/ablations").glob("*.py") if p.stem != "__init__")
    lines += [f"| `{path.stem}` | {_cell(_summary(path))} |" for path in variants]
    return "\n".join(lines) + "\n"


def _flat(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Full names and values, in the order of the file; empty sections are fields."""
    for name in section:
        value = section[name]
        if hasattr(value, "to_json") and len(value):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, {} if hasattr(value, "to_json") else value


def _comments_of(path: pathlib.Path) -> dict[str, str]:
    """The comment of each field, in the order of the file: at the end of its statement, or above it."""
    trailing: dict[int, str] = {}  # By line.
    whole: dict[int, str] = {}
    source = path.read_text().splitlines()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                alone = not source[token.start[0] - 1][: token.start[1]].strip()
                (whole if alone else trailing)[token.start[0]] = token.string.lstrip("# ")
    comments: dict[str, str] = {}
    sections = {"c": ""}  # What a variable stands for: d = c.discriminators.frame = ConfigDict().
    nodes = [n for n in ast.walk(ast.parse("\n".join(source))) if isinstance(n, ast.Assign)]
    for node in sorted(nodes, key=lambda node: node.lineno):
        *names, target = map(ast.unparse, node.targets)
        variable, _, field = target.partition(".")
        if not field or variable not in sections:
            continue
        field = f"{sections[variable]}{field}"
        sections |= dict.fromkeys(names, f"{field}.")
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        found = [trailing[line] for line in lines if line in trailing]
        above = node.lineno - 1
        while above in whole:
            found.insert(0, whole[above])
            above -= 1
        comments.setdefault(field, " ".join(filter(None, found)))
    return comments


# Metrics, corpora and findings.


def _metrics() -> str:
    """The keys of report.json, as the reports show them."""
    registry = importlib.import_module("s2f_jax.metrics.registry")
    better = {"higher": "higher", "lower": "lower", "one": "nearer to 1", "": ""}
    lines = ["| key | title | | unit | better |", "|---|---|---|---|---|"]
    for key, metric in registry.METRICS.items():
        text = _cell(metric.description)
        lines.append(
            f"| `{key}` | {metric.title} | {text} | {metric.unit} | {better[metric.better]} |"
        )
    return "\n".join(lines)


def _corpora() -> str:
    """The README of every corpus."""
    lines = []
    for path in sorted((ROOT / "data_pipelines").glob("*/README.md")):
        text = re.sub(r"^#+ .*\n", "", path.read_text(), count=1)
        lines += ["", f"## {path.parent.name}", "", text.strip()]
    return "\n".join(lines) + "\n"


def _findings() -> str:
    """What each script under findings/ shows: its first comment."""
    lines = [
        "# Findings",
        "",
        "Surprising behavior of public packages that this project met. Each is a script in `findings/`"
        " that shows it with the released packages alone; none is part of the tests.",
    ]
    for path in sorted((ROOT / "findings").glob("*.sh")):
        first, _, rest = _first_comment(path).partition("\n")
        lines += ["", f"## {path.stem}", "", _cell(first)]
        if rest.strip():
            lines += ["", "```", rest.strip("\n"), "```"]
    return "\n".join(lines) + "\n"


def _first_comment(path: pathlib.Path) -> str:
    """The first block of comment lines of a shell script, below its `#!`."""
    lines = path.read_text().splitlines()[1:]
    block = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in block)
