"""Every finding can be run, pins what it installs, and has its line in the list of them."""

import os
import re

import pytest

from tests.programs import ROOT

FINDINGS = sorted((ROOT / "findings").glob("*.sh"))


def name(path):
    return path.stem


@pytest.mark.parametrize("path", FINDINGS, ids=name)
def test_a_finding_runs_by_itself_on_pinned_packages(path):
    text = path.read_text()
    assert os.access(path, os.X_OK) and text.startswith("#!/usr/bin/env bash\n# ")
    assert "# Seen" in text and "assert " in text
    assert not re.search(r"s2f_jax|data_pipelines|https?://", text)
    installs = re.findall(r"pip install --quiet ((?:.|\\\n)*?) \|\| exit 2", text)
    assert installs and all(
        "==" in word for words in installs for word in words.split() if word != "\\"
    )


def test_the_list_has_all_findings():
    listed = re.findall(r"^\| `(\w+)`", (ROOT / "findings" / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [path.stem for path in FINDINGS]
