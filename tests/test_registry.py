from __future__ import annotations

import subprocess
import sys

import pytest

from relgraph import registry
from relgraph.errors import InputError
from relgraph.registry import Registry

REGISTRIES = {name: value for name, value in vars(registry).items() if isinstance(value, Registry)}


@pytest.mark.parametrize("name", REGISTRIES)
def test_every_target_loads_and_has_a_line_of_meaning(name):
    for key, entry in REGISTRIES[name].items():
        assert entry.target is None or entry.load() is not None
        assert entry.meaning and "\n" not in entry.meaning and not entry.meaning.endswith("."), key


def test_reading_names_and_meanings_imports_no_torch():
    code = "import sys, relgraph.registry as r; r.ENCODERS['gcn'].meaning; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_entry_can_be_registered_from_outside_and_removed():
    colors = Registry("color", "builtins:", {"red": ("int", "warm")})
    colors.register("blue", "builtins:str", "cold", temperature=3)
    assert colors.resolve("blue") is str and colors["blue"].traits["temperature"] == 3
    assert list(colors) == ["red", "blue"] and len(colors) == 2 and "blue" in colors
    with pytest.raises(InputError, match="must be new among color names"):
        colors.register("red", int, "again")
    colors.remove("blue")
    with pytest.raises(InputError, match="'color' must be one of red"):
        colors.resolve("blue")


@pytest.mark.parametrize("got", ["rde", 3, None, ("red",)])
def test_an_unknown_name_names_the_argument_and_the_names(got):
    colors = Registry("color", "builtins:", {"red": ("int", "warm")})
    with pytest.raises(InputError) as caught:
        colors.check(got, "--color")
    assert str(caught.value).startswith("'--color' must be one of red (got ") and caught.value.argument == "--color"
