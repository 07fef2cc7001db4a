"""Where training jobs run: in this process, or as tasks of Ray on the machines of a cluster.

An executor receives jobs and returns their runs as they finish; it writes nothing. What is kept is written by
:func:`relgraph.training.fitting.fit_grid` in this process, so that workers need no shared folder.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import re
import signal
import socket
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar, Self

import torch

from relgraph.errors import DataError, InputError, RelgraphWarning, import_extra
from relgraph.memory import keep_freed_memory
from relgraph.problems import Head, Problem
from relgraph.registry import ENCODERS, EXECUTORS, GRAPH_ENCODERS, Entry
from relgraph.training.job import Job, RunRecord, RunSpec, SeedPair
from relgraph.training.memory import runs_that_fit, training_bytes
from relgraph.training.settings import TrainSettings
from relgraph.training.trainer import Backend, Progress, TrainedRun

RETRIES = 3
"""How often a run is started again whose worker died."""

RUNS_PER_GPU = 4
"""Runs that share a GPU at most: small graphs leave most of it idle."""

OBJECT_STORE = 1 << 29
"""Bytes of the object store of a cluster on this machine; what does not fit is put on disk."""

_Outcome = tuple[list[RunRecord], list[tuple[type[Warning], str]]]  # what a task returns

_REGISTRIES = (ENCODERS, GRAPH_ENCODERS)  # whose names a worker must know too

_INTERVAL = 0.5  # seconds between two messages about progress
_REACHABLE = 5.0  # seconds in which an address must answer


class Executor(ABC):
    """Runs training jobs; a context that holds what it needs for that, which may be entered several times.

    Attributes:
        distributed: Whether jobs run in other processes; but for blocks, every run is then a job of its own.
    """

    distributed: ClassVar[bool]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    @abstractmethod
    def train(self, jobs: Sequence[Job], progress: Progress) -> Generator[tuple[int, list[TrainedRun]], None, None]:
        """The place of every job and its runs, in the order in which jobs finish.

        Args:
            jobs: The jobs.
            progress: Called with the number of epochs done since the last call, summed over all runs.
        """


class LocalExecutor(Executor):
    """One job after the other in this process; the seeds of a job are trained side by side where that is faster."""

    distributed = False

    def train(self, jobs: Sequence[Job], progress: Progress) -> Generator[tuple[int, list[TrainedRun]], None, None]:
        """The place of every job and its runs, in order."""
        for place, job in enumerate(jobs):
            yield place, job.spec.train(job.seeds, progress)


class RayExecutor(Executor):
    """Every run as a task of Ray (extra ``ray``), on this machine or on a cluster.

    A run is the same as if it were trained alone in this process with as many threads. One whose worker dies is
    started again, up to three times; no other run is lost. Workers need the same versions of relgraph, torch and PyG,
    and no shared folder: data are sent once, and parameters return.

    Args:
        address: ``"local"`` for a cluster of this machine alone, which ends with the context, ``"auto"`` for the one
            that runs on this machine, or ``"HOST:PORT"`` of a cluster's head node. If this process is connected to
            Ray already, that connection is used.
        cpus: CPUs, and threads, of each run.

    Raises:
        InputError: If an argument breaks a rule.
        DataError: If Ray is not installed or, on entering, if the address cannot be reached.
    """

    distributed = True

    def __init__(self, address: str = "local", *, cpus: int = 1) -> None:
        if address not in ("auto", "local") and not re.fullmatch(
            r"[^\s/:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", address
        ):
            raise InputError("address", f"must be auto, local or HOST:PORT of a head node (got '{address}')")
        if cpus < 1:
            raise InputError("cpus", f"must be at least 1 (got {cpus})")
        import_extra("ray", "ray")  # early: what is trained on may take long to load
        self.address, self.cpus = address, cpus
        self._started: list[bool] = []

    def __enter__(self) -> Self:
        ray = import_extra("ray", "ray")
        start = not ray.is_initialized()
        if start:
            _connect(ray, self.address)
        self._started.append(start)
        return self

    def __exit__(self, *error: object) -> None:
        if self._started.pop():
            import_extra("ray", "ray").shutdown()

    def train(self, jobs: Sequence[Job], progress: Progress) -> Generator[tuple[int, list[TrainedRun]], None, None]:
        """The place of every job and its runs, in the order in which jobs finish."""
        if not jobs:
            return
        ray = import_extra("ray", "ray")
        sent: dict[int, Any] = {}
        for problem in (job.spec.problem for job in jobs):
            if id(problem) not in sent:
                sent[id(problem)] = ray.put(_pack(problem))
        counter = ray.remote(_Counter).options(num_cpus=0, max_restarts=-1).remote()
        task, refs, pending = ray.remote(_train), [], {}
        for place, job in enumerate(jobs):
            spec, seeds = job.spec, job.seeds
            options = self._resources(ray, spec) | {"max_retries": RETRIES, "name": f"{spec.name}-{seeds[0].seed}"}
            asked = _Task.of(spec, seeds, place, self.cpus)
            refs.append(task.options(**options).remote([sent[id(spec.problem)]], asked, counter))
            pending[refs[-1].future()] = place
        shown = _Shown(ray, counter, progress)
        try:
            while pending:
                # Not by Ray's own wait, which swallows the exceptions that handlers of signals raise.
                for future in wait(pending, timeout=_INTERVAL, return_when=FIRST_COMPLETED).done:
                    place = pending.pop(future)
                    spec, seeds = jobs[place].spec, jobs[place].seeds
                    records, messages = _result(ray, future, f"'{spec.name}' from seed {seeds[0].seed}")
                    for category, message in messages:
                        warnings.warn(message, category, stacklevel=2)
                    shown.show(place, len(seeds) * spec.settings.epochs)
                    yield place, [spec.restore(seed, record) for seed, record in zip(seeds, records, strict=True)]
                shown.update()
        finally:
            for place in pending.values():
                with suppress(Exception):  # the cluster may be what failed
                    ray.cancel(refs[place], force=True)

    def _resources(self, ray: Any, spec: RunSpec) -> dict[str, float]:
        """What a run is given; a cluster that has no node with so much memory gives all of one node's."""
        asked, sparse = {"num_cpus": float(self.cpus)}, spec.backend != "loop"
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if spec.problem.device.type == "cuda":
            asked["num_gpus"] = gpu_share(runs_that_fit(spec.problem, spec.settings, sparse=sparse))
            if not any(node.get("GPU", 0) for node in nodes):
                raise DataError("the Ray cluster must have a GPU for this device (got none); compute on the CPU")
        else:
            most = max((node.get("memory", 0.0) for node in nodes), default=0.0)
            asked["memory"] = min(training_bytes(spec.problem, spec.settings, sparse=sparse), int(most))
        if not any(node.get("CPU", 0) >= self.cpus for node in nodes):
            most = int(max((node.get("CPU", 0) for node in nodes), default=0))
            raise InputError("cpus", f"must be at most {most}, those of the largest node (got {self.cpus})")
        return asked


def gpu_share(fitting: int) -> float:
    """Share of a GPU that a run is given, where so many fit in its memory.

    Example:
        >>> gpu_share(1), gpu_share(100)
        (1.0, 0.25)
    """
    return 1 / min(fitting, RUNS_PER_GPU)


def open_executor(executor: Executor | str) -> Executor:
    """An executor, or the one of a name in :data:`relgraph.registry.EXECUTORS` with its defaults.

    Example:
        >>> open_executor("local").distributed
        False
        >>> open_executor("rai")
        Traceback (most recent call last):
            ...
        relgraph.errors.InputError: 'executor' must be one of local, ray (got 'rai'); did you mean 'ray'?
    """
    if isinstance(executor, Executor):
        return executor
    found: Executor = EXECUTORS.resolve(executor)()
    return found


# In this process.


def _connect(ray: Any, address: str) -> None:
    """Connect to a cluster, or start one; no dashboard, no usage statistics, no messages of Ray."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
    else:
        _check_reachable(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    try:
        with _signals_kept():
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")
        way_out = "start one with: ray start --head" if address == "auto" else "take 'local' for this machine alone"
        raise DataError(
            f"the address of a Ray cluster must be reachable (got '{address}': {why}); {way_out}"
        ) from error


def _check_reachable(address: str) -> None:
    """Refuse a head node that does not answer; Ray itself would wait for it for minutes."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHABLE).close()
    except (OSError, OverflowError) as error:
        why = f"got '{address}': {getattr(error, 'strerror', None) or error}"
        raise DataError(f"the address of a Ray cluster must be reachable ({why}); see: ray status") from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the handlers of signals afterwards: Ray sets its own, which end the process at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        with suppress(ValueError, TypeError):  # handlers belong to the main thread, and to Python
            signal.signal(number, handler)


def _result(ray: Any, future: Future[_Outcome], run: str) -> _Outcome:
    """What a task returned, or its error as if it were raised here."""
    errors = ray.exceptions
    try:
        return future.result()
    except errors.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, (InputError, DataError)):
            raise cause from None
        if isinstance(cause, ImportError):
            raise DataError(
                f"workers of Ray must have the same packages ({cause}); install them on every node"
            ) from error
        raise error if cause is None else cause from error
    except (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError) as error:
        why = "ran out of memory" if isinstance(error, errors.OutOfMemoryError) else "died"
        raise DataError(
            f"a worker of Ray must live until its run is trained (got {run}: it {why} {RETRIES + 1} times); give it "
            "more memory, or train in process"
        ) from error
    except errors.RayError as error:
        why = str(error).strip().partition("\n")[0]
        raise DataError(f"the Ray cluster must run until all runs are trained (got: {why}); start again") from error


class _Shown:
    """Progress that was shown, for each job; a run that is started again shows none until it is as far as before."""

    def __init__(self, ray: Any, counter: Any, progress: Progress) -> None:
        self._ray, self._counter, self._progress = ray, counter, progress
        self._done: dict[int, int] = {}
        self._asked: Any = None

    def show(self, place: int, epochs: int) -> None:
        """Show how many epochs of a job are done."""
        new = epochs - self._done.get(place, 0)
        if new > 0:
            self._done[place] = epochs
            self._progress(new)

    def update(self) -> None:
        """Show what workers have counted, and ask for the next count; waits for nothing."""
        if self._asked is not None:
            if not self._ray.wait([self._asked], timeout=0)[0]:
                return
            with suppress(self._ray.exceptions.RayError):  # the counter is started again, at 0
                for place, epochs in self._ray.get(self._asked).items():
                    self.show(place, epochs)
        self._asked = self._counter.read.remote()


# In a worker. Data are packed by torch, which can place them on another device, with Ray's pickler, which also sends
# the code of classes that are defined in a script.


@dataclass(frozen=True)
class _Task:
    """What a worker is told: a job without its problem, and what it must agree with."""

    encoder: Any
    name: str
    head: Head
    settings: TrainSettings
    backend: Backend
    seeds: tuple[SeedPair, ...]
    place: int
    threads: int
    device: str
    entries: tuple[Entry | None, ...]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, spec: RunSpec, seeds: Sequence[SeedPair], place: int, threads: int) -> _Task:
        entries = tuple(known.get(spec.name) for known in _REGISTRIES)
        about = (spec.encoder, spec.name, spec.head, spec.settings, spec.backend, tuple(seeds), place, threads)
        return cls(*about, spec.problem.device.type, entries, _versions())


class _Counter:
    """Epochs that are done, for each job."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}

    def count(self, place: int, epochs: int) -> None:
        self._done[place] = epochs

    def read(self) -> dict[int, int]:
        return self._done


def _train(packed: list[Any], task: _Task, counter: Any) -> _Outcome:
    """Train a job in a worker; the records of its runs, and warnings of relgraph."""
    if (found := _versions()) != task.versions:
        here, there = (
            ", ".join(f"{name} {version}" for name, version in one.items()) for one in (task.versions, found)
        )
        raise DataError(f"workers of Ray must have the versions {here} (got {there}); install them on every node")
    torch.set_num_threads(task.threads)
    keep_freed_memory()
    for known, entry in zip(_REGISTRIES, task.entries, strict=True):
        if entry is not None and task.name not in known:
            known.register(task.name, entry.target, entry.meaning, **entry.traits)
    problem = _prepared(packed[0], task.device, task.backend)
    spec = RunSpec(problem, task.encoder, task.name, task.head, task.settings, task.backend)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RelgraphWarning)
        runs = spec.train(task.seeds, _counted(counter, task.place))
    messages: list[tuple[type[Warning], str]] = [
        (one.category, str(one.message)) for one in caught if issubclass(one.category, RelgraphWarning)
    ]
    return [RunRecord.of(run) for run in runs], messages


def _counted(counter: Any, place: int) -> Progress:
    """Progress that is sent to the counter, twice a second at most."""
    done, last = 0, time.monotonic()

    def count(epochs: int) -> None:
        nonlocal done, last
        done += epochs
        if time.monotonic() - last >= _INTERVAL:
            last = time.monotonic()
            counter.count.remote(place, done)

    return count


@functools.lru_cache(maxsize=1)
def _prepared(ref: Any, device: str, backend: Backend) -> Problem:
    """The problem as the backend reads it; a worker trains several runs, mostly of one problem."""
    ray = import_extra("ray", "ray")
    place = torch.device(device, 0) if device == "cuda" else torch.device(device)
    problem: Problem = torch.load(io.BytesIO(ray.get(ref)), map_location=place, weights_only=False)
    problem.device = place
    return RunSpec(problem, "", "", "linear", TrainSettings(), backend).prepared


def _pack(problem: Problem) -> bytes:
    buffer = io.BytesIO()
    torch.save(problem, buffer, pickle_module=import_extra("ray.cloudpickle", "ray"))
    return buffer.getvalue()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("relgraph", "torch", "torch-geometric")}
