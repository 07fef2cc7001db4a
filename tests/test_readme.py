"""The snippets of the README run, its tables equal the stored results, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import relgraph as rg

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def execute(snippet: str) -> dict:
        names: dict = {}
        exec(compile(snippet, "README.md", "exec"), names)
        return names

    return execute


def test_the_first_snippet_stitches(run, tmp_path):
    names = run(SNIPPETS[0])
    assert names["accuracy"] > 0.9
    torch.testing.assert_close(names["logits"], names["net"].predict(names["data"]), rtol=1e-4, atol=1e-4)
    assert names["z_new_in_old"].shape == names["zb"].shape
    space = rg.AnchorSet.load(tmp_path / "space.safetensors")
    head = rg.PublishedHead.load(tmp_path / "head.safetensors")
    torch.testing.assert_close(rg.convert(space, head)(names["za"]), names["logits"])


def test_the_layer_trains_in_a_users_own_loop(run):
    names = run(SNIPPETS[1])
    data, train = names["data"], names["train"]
    hits = names["out"].argmax(-1) == data.y
    assert hits[~train].float().mean() > 0.8


def test_registering_an_encoder_is_one_line(run):
    run(SNIPPETS[2])
    from relgraph.registry import ENCODERS

    assert ENCODERS["my-gcn"].meaning == "two layers of my own"
    ENCODERS.remove("my-gcn")
    assert len(SNIPPETS) == 3


def test_tables_equal_the_stored_results():
    command = [sys.executable, "-m", "benchmarks.render", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_linked_files_exist():
    for page in (ROOT / "README.md", *(ROOT / "benchmarks").glob("*/README.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name} links {link}"
