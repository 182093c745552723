"""The log of a folder of prediction sets: how they were made, and which are there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch.distributed

from monai_rwcp.conformal.sets.set_sizes import curve_thresholds
from monai_rwcp.folders.sets import LOG_NAME, check_as_logged, read_log
from monai_rwcp.utils.file_names import check_told_apart
from monai_rwcp.utils.files import remove_unfinished, written_whole
from monai_rwcp.utils.locks import FileLock
from monai_rwcp.utils.processes import done_by_first, from_all, n_processes

__all__ = ["SetLog"]

_PART = re.compile(r"\.run-\d+\.json")


class SetLog:
    """What is known of the sets in a folder, kept in ``run.json`` while they are made.

    Nothing is replaced or taken away but sets that it knows and that are as they were written.
    Processes that share the folder keep a hidden part each, which the next run picks up when this one is killed; at
    the end the first process joins them. As a context, the folder is locked until it ends.

    Args:
        out: the folder, which is made.
        made_with: how the sets are made: what must not differ when a run goes on.
        promise: what they keep, in words.
        names: of the cases whose sets are to be there.
        overwrite: whether the sets that are there are made anew.

    Attributes:
        cases: of the sets that were there already, what is kept of each, by name.

    Raises:
        FileExistsError: when the folder holds something else than a run of this kind, or another run writes there.
        OSError: when it cannot be written.
        RuntimeError: in the other processes, when the first could not begin.
        ValueError: when a log there is damaged, its sets are no more what was written, or two names would be one file.
    """

    def __init__(
        self, out: Path, made_with: Mapping[str, Any], promise: str, names: Collection[str], overwrite: bool
    ) -> None:
        self.out = out
        self.head = {"made_with": dict(made_with), "promise": promise, "thresholds": curve_thresholds().tolist()}
        self.cases: dict[str, Any] = {}
        self._own: dict[str, Any] = {}
        self._dropped: set[str] = set()
        self._lock: FileLock | None = None
        done_by_first(lambda: self._begin(names, overwrite))
        self.cases = from_all(self.cases)[0]

    def __enter__(self) -> SetLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def path_of(self, name: str) -> Path:
        """The file of a set."""
        return self.out / f"{name}.nii.gz"

    def drop(self, name: str) -> None:
        """Take away the set of a case that is to be made anew, if there is one."""
        if name in self.cases:
            self.path_of(name).unlink(missing_ok=True)
            del self.cases[name]
            self._dropped.add(name)

    def add(self, name: str, entry: Mapping[str, Any], file_hash: str) -> None:
        """Keep what is known of a set that this process is about to put there."""
        self._own[name] = {**entry, "hash": file_hash}
        if n_processes() == 1:
            self._write(LOG_NAME, self.cases | self._own)
        else:
            self._write(f".run-{torch.distributed.get_rank()}.json", self._own)

    def finish(self) -> dict[str, Any]:
        """Join what all processes have kept, write it, and give it; every process has to call it."""
        for own, dropped in from_all((self._own, self._dropped)):
            self.cases = {name: entry for name, entry in self.cases.items() if name not in dropped} | own
        self.cases = dict(sorted(self.cases.items()))
        done_by_first(self._settle)
        return {**self.head, "cases": self.cases}

    def _begin(self, names: Collection[str], overwrite: bool) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.out / ".run.lock", f"'{self.out}'")
        try:
            check_told_apart(names, self._lock.path)
            self._begin_alone(names, overwrite)
        except BaseException:
            self._lock.release()
            raise

    def _begin_alone(self, names: Collection[str], overwrite: bool) -> None:
        self.cases = self._found(overwrite)
        # Before any is taken away, so that a folder that is refused stays as it is.
        self._check_unknown(names)
        if overwrite:
            # Sets of an earlier calibration must not stand beside those of this one.
            for name in self.cases:
                self.path_of(name).unlink()
            self.cases = {}
        remove_unfinished(self.out)
        self._settle()

    def _settle(self) -> None:
        self._write(LOG_NAME, self.cases)
        for part in self._parts():
            part.unlink()

    def _parts(self) -> list[Path]:
        return sorted(path for path in self.out.iterdir() if _PART.fullmatch(path.name))

    def _write(self, name: str, cases: Mapping[str, Any]) -> None:
        with written_whole(self.out / name) as temporary:
            temporary.write_text(json.dumps({**self.head, "cases": cases}, indent=1), encoding="utf-8")

    def _found(self, overwrite: bool) -> dict[str, Any]:
        others = sorted(path.name for path in self.out.iterdir() if not path.name.startswith("."))
        if others and LOG_NAME not in others:
            raise FileExistsError(
                f"'{self.out}' is not empty (it holds {others[0]}), and predict did not make it: there is no "
                f"'{LOG_NAME}'. Nothing there is overwritten. Name an empty or a new folder."
            )
        found: dict[str, Any] = {}
        for path in (*self.out.glob(LOG_NAME), *self._parts()):
            log = read_log(path)
            before, now = log["made_with"], self.head["made_with"]
            if before != now and not overwrite:
                differs = (name for name in {**now, **before} if before.get(name) != now.get(name))
                told = [f"{name} {_shown(before.get(name))}, now {_shown(now.get(name))}" for name in differs]
                raise FileExistsError(
                    f"'{self.out}' holds sets that were made another way: {'; '.join(told)}. Name another folder, or "
                    "make them anew (`overwrite=True`)."
                )
            found |= log["cases"]
        found = {name: entry for name, entry in found.items() if os.path.lexists(self.path_of(name))}
        for name, entry in found.items():
            check_as_logged(self.path_of(name), entry)
        return found

    def _check_unknown(self, names: Collection[str]) -> None:
        unknown = [name for name in names if name not in self.cases and os.path.lexists(self.path_of(name))]
        if unknown:
            raise FileExistsError(
                f"'{self.path_of(unknown[0])}' is there, but by '{LOG_NAME}' beside it predict did not make it, and "
                f"does not replace it ({len(unknown)} such files). Take it away, or name another folder."
            )


def _shown(value: Any) -> str:
    # The first digits of a hash tell it apart.
    return "none" if value is None else f"{value:.15}" if str(value).startswith("sha256:") else str(value)
