"""Several processes that share cases, started within a second: from one process that has already imported MONAI."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed
import torch.multiprocessing

import monai_rwcp
from monai_rwcp.utils.older_versions import leave_processes

# Importing MONAI takes as long as all else together that most of these processes do.
multiprocessing.set_forkserver_preload(["monai.bundle", "monai.engines", "monai.handlers", "torch_geometric"])
START_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def in_processes(n: int, work: Callable[..., None], *arguments: Any) -> None:
    """Run ``work(rank, *arguments)`` in ``n`` processes that form a group.

    Args:
        n: number of processes.
        work: a function of a module, for it is looked up by its name.
        arguments: what it takes, besides its rank; each can be pickled.

    Raises:
        ProcessException: when it fails in one of them; the others are ended.
    """
    torch.multiprocessing.start_processes(
        _as_torchrun_does, (n, _free_port(), _grouped, (work, arguments)), nprocs=n, start_method=START_METHOD
    )


class Ran(NamedTuple):
    """What a command left, in the names of `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


def command_in_processes(n: int, folder: Path, *arguments: object) -> Ran:
    """Run a command of ``monai-rwcp`` in ``n`` processes that know of each other what `torchrun` would tell them.

    Args:
        n: number of processes.
        folder: where what they print may be kept.
        arguments: the words of the command.
    """
    printed = {name: folder / f"{name}.txt" for name in ("stdout", "stderr")}
    for path in printed.values():
        path.write_text("")
    context = multiprocessing.get_context(START_METHOD)
    given = (n, _free_port(), _command, (printed, [str(argument) for argument in arguments]))
    processes = [context.Process(target=_as_torchrun_does, args=(rank, *given)) for rank in range(n)]
    for process in processes:
        process.start()
    # One that fails is waited for like the others, which notice: where torchrun would end them is left to chance.
    for process in processes:
        process.join(timeout=120)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert None not in codes, "A process waits for another one that has ended."
    return Ran(max(codes, key=abs), **{name: path.read_text() for name, path in printed.items()})


def torchrun(n: int, *words: object) -> subprocess.CompletedProcess[str]:
    """Run ``torchrun`` itself, which takes long: every process imports everything.

    Args:
        n: number of processes.
        words: script and arguments, or ``-m``, module and arguments.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={n}"]
    # The package that is tested here, whichever is installed, and what the tests share.
    folders = [str(Path(module).parents[depth]) for module, depth in ((monai_rwcp.__file__, 1), (__file__, 2))]
    path = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*command, *map(str, words)], env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _as_torchrun_does(rank: int, n: int, port: int, function: Callable[..., None], arguments: tuple) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(n)}
    function(rank, *arguments)


def _grouped(rank: int, work: Callable[..., None], arguments: tuple) -> None:
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    work(rank, *arguments)
    leave_processes()


def _command(rank: int, printed: dict[str, Path], arguments: list[str]) -> None:
    from monai_rwcp.cli import main

    os.environ["TORCHELASTIC_RUN_ID"] = "tests"
    for name, path in printed.items():
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), getattr(sys, name).fileno())
    main(arguments)
