"""The options that say where runs are trained, and the executor that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from relgraph import registry
from relgraph.cli.options import name_of, option
from relgraph.errors import InputError

if TYPE_CHECKING:
    from relgraph.training import Executor

ExecutorName = Annotated[str | None, name_of(registry.EXECUTORS, "Where runs are trained.", "local")]
Address = Annotated[
    str | None, option("auto|local|HOST:PORT", "Ray: the cluster; local starts one on this machine.", "local")
]
Cpus = Annotated[int | None, option("N", "Ray: CPUs and threads of each run.", "1", min=1)]


def make_executor(name: str | None, address: str | None, cpus: int | None) -> Executor:
    """The executor that the options name; those of Ray are refused without it."""
    from relgraph.training import RayExecutor, open_executor

    given = {name: value for name, value in (("address", address), ("cpus", cpus)) if value is not None}
    if name == "ray":
        return RayExecutor(**given)  # type: ignore[arg-type]
    for option_name, value in given.items():
        raise InputError(f"--{option_name}", f"must be left out without '--executor ray' (got {value}); add that")
    return open_executor(name or "local")
