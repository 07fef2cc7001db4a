"""The files around the package agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import relgraph

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def split(requirement: str) -> tuple[str, str]:
    name, version = re.fullmatch(r"([A-Za-z0-9_.-]+?)((?:[<>=!~]=?.*)?)", requirement).groups()
    return name.lower(), version


def test_conda_environment_asks_for_the_same_as_pip():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    conda = dict(split(entry) for entry in plain if split(entry)[0] != "pip")
    conda |= dict(split(entry) for entry in pip if not entry.startswith("-e"))
    expected = {CONDA_NAMES.get(name, name): version for name, version in map(split, PROJECT["dependencies"])}
    expected["python"] = PROJECT["requires-python"]
    assert conda == expected


def test_constraints_pin_every_requirement():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pinned = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    assert pinned["torch"] == "2.13.0"
    wanted = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        wanted += [requirement for requirement in extra if not requirement.startswith("relgraph")]
    for requirement in wanted:
        name, version = split(requirement)
        assert name in pinned, f"{name} is not pinned"
        low = tuple(int(part) for part in version.removeprefix(">=").split(".")) if version else ()
        assert tuple(int(part) for part in re.findall(r"\d+", pinned[name]))[: len(low)] >= low


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert relgraph.__version__ == PROJECT["version"] == citation["version"]
    assert f"## {relgraph.__version__}" in changelog


def test_the_declared_dependencies_are_what_is_imported_at_run_time():
    names = {
        "torch_geometric": "torch-geometric",
        "sklearn": "scikit-learn",
        "faiss": "faiss-cpu",
        "huggingface_hub": "huggingface-hub",
    }
    extras = [extra for name, extra in PROJECT["optional-dependencies"].items() if name not in ("test", "dev", "docs")]
    declared = {split(requirement)[0] for extra in (PROJECT["dependencies"], *extras) for requirement in extra}
    import sys

    used = set()
    for path in (ROOT / "relgraph").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            found = re.match(r"\s*(?:from|import) (\w+)", line) or re.search(r'import_extra\("(\w+)', line)
            if found and not line.lstrip().startswith((">>>", "...")):
                used.add(found.group(1))
    used = {names.get(name, name) for name in used if name not in sys.stdlib_module_names and name != "relgraph"}
    used.add("ogb")  # imported by its name as a string, in relgraph.datasets.ogb_library
    assert used == declared
