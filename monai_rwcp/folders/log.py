"""The log of a folder of prediction sets: how they were made, and which are there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed

from monai_rwcp.conformal.sets.set_sizes import curve_thresholds
from monai_rwcp.folders.sets import LOG_NAME, read_log
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.processes import done_by_first, from_all, n_processes

__all__ = ["SetLog"]


class SetLog:
    """What is known of the sets in a folder, kept in ``run.json`` while they are made.

    Processes that share the folder keep a hidden part each, which the next run picks up when this one is killed; at
    the end the first process joins them.

    Args:
        out: the folder, which is made.
        made_with: how the sets are made: what must not differ when a run goes on.
        promise: what they keep, in words.
        overwrite: whether what is there is made anew.

    Attributes:
        cases: of the sets that were there already, what is kept of each, by name.

    Raises:
        FileExistsError: when the folder holds something else than an unfinished run of this kind.
        OSError: when it cannot be written.
        RuntimeError: in the other processes, when the first could not begin.
    """

    def __init__(self, out: Path, made_with: Mapping[str, Any], promise: str, overwrite: bool) -> None:
        self.out = out
        self.head = {"made_with": dict(made_with), "promise": promise, "thresholds": curve_thresholds().tolist()}
        self.cases: dict[str, Any] = {}
        self._own: dict[str, Any] = {}
        done_by_first(lambda: self._begin(overwrite))
        self.cases = from_all(self.cases)[0]

    def add(self, name: str, entry: Mapping[str, Any]) -> None:
        """Keep what is known of a set that this process has written."""
        self._own[name] = dict(entry)
        if n_processes() == 1:
            self._write(LOG_NAME, self.cases | self._own)
        else:
            self._write(f".run-{torch.distributed.get_rank()}.json", self._own)

    def finish(self) -> dict[str, Any]:
        """Join what all processes have kept, write it, and give it; every process has to call it."""
        for own in from_all(self._own):
            self.cases |= own
        self.cases = dict(sorted(self.cases.items()))
        done_by_first(self._settle)
        return {**self.head, "cases": self.cases}

    def _begin(self, overwrite: bool) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        if overwrite:
            # Sets of an earlier calibration must not stand beside those of this one.
            for path in self._logs():
                for name in read_log(path)["cases"]:
                    (self.out / f"{name}.nii.gz").unlink(missing_ok=True)
        else:
            self.cases = self._found()
        self._settle()

    def _settle(self) -> None:
        self._write(LOG_NAME, self.cases)
        for part in self._parts():
            part.unlink()

    def _logs(self) -> list[Path]:
        return [*self.out.glob(LOG_NAME), *self._parts()]

    def _parts(self) -> list[Path]:
        return sorted(self.out.glob(".run-*.json"))

    def _write(self, name: str, cases: Mapping[str, Any]) -> None:
        with written_whole(self.out / name) as temporary:
            temporary.write_text(json.dumps({**self.head, "cases": cases}, indent=1), encoding="utf-8")

    def _found(self) -> dict[str, Any]:
        others = sorted(path.name for path in self.out.iterdir() if not path.name.startswith("."))
        if others and LOG_NAME not in others:
            raise FileExistsError(
                f"'{self.out}' is not empty ({others[:3]} ...), and nothing there is overwritten. Name an empty or a "
                "new folder, or ask for overwriting."
            )
        found: dict[str, Any] = {}
        for path in self._logs():
            log = read_log(path)
            if log["made_with"] != self.head["made_with"]:
                raise FileExistsError(
                    f"'{self.out}' holds sets that were made another way: {log['made_with']} instead of "
                    f"{self.head['made_with']}. Name another folder, or ask for overwriting."
                )
            found |= log["cases"]
        return {name: entry for name, entry in found.items() if (self.out / f"{name}.nii.gz").exists()}
