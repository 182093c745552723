"""Locks and files as Windows has them: simulated, since it opens, moves and locks files in other ways."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from monai_rwcp.utils import files
from monai_rwcp.utils.files import is_plain_name, remove_unfinished, written_whole
from monai_rwcp.utils.locks import FileLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="simulates Windows, which is here")


class Windows:
    """No open file is moved or taken away, and what is locked is so for each descriptor."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.open: dict[int, tuple[int, int]] = {}
        self.locked: dict[tuple[int, int, int], int] = {}
        self._system = {name: getattr(os, name) for name in ("open", "close", "replace", "unlink")}

    def opened(self, path: str, flags: int, mode: int = 0o777) -> int:
        descriptor = self._system["open"](path, flags, mode)
        self.open[descriptor] = self._place(path)
        return descriptor

    def close(self, descriptor: int) -> None:
        self.open.pop(descriptor, None)
        self.locked = {place: by for place, by in self.locked.items() if by != descriptor}
        self._system["close"](descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._refuse(source)
        self._refuse(target)
        self._system["replace"](source, target)

    def unlink(self, path: Path) -> None:
        self._refuse(path)
        self._system["unlink"](path)

    def locking(self, descriptor: int, mode: int, n_bytes: int) -> None:
        assert n_bytes == 1
        place = (*self.open[descriptor], os.lseek(descriptor, 0, os.SEEK_CUR))
        if mode == self.LK_UNLCK:
            assert self.locked.pop(place) == descriptor
        elif self.locked.setdefault(place, descriptor) != descriptor:
            raise PermissionError(errno.EACCES, "Permission denied")

    def _refuse(self, path: Path) -> None:
        if os.path.lexists(path) and self._place(path) in self.open.values():
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))

    def _place(self, path: str | Path) -> tuple[int, int]:
        status = os.lstat(path)
        return status.st_dev, status.st_ino


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    found = Windows()
    module = ModuleType("msvcrt")
    for name in ("locking", "LK_NBLCK", "LK_UNLCK"):
        setattr(module, name, getattr(found, name))
    monkeypatch.setitem(sys.modules, "msvcrt", module)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "O_BINARY", 0, raising=False)
    for name in ("O_NOFOLLOW", "pread"):
        monkeypatch.delattr(os, name)
    for name, own in (("open", "opened"), ("close", "close"), ("replace", "replace"), ("unlink", "unlink")):
        monkeypatch.setattr(os, name, getattr(found, own))
    monkeypatch.setattr(files, "_PATIENCE", 0.2)
    return found


def test_a_lock_goes_from_hand_to_hand(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(f"process 1 on 'a machine with a long name' since {'then ' * 20}\n")
    first = FileLock(path, "'here'")
    with pytest.raises(
        FileExistsError, match=f"'here' is written by process {os.getpid()} on '.*' since [^ ]*[.] Wait"
    ):
        FileLock(path, "'here'")
    first.release()
    first.release()
    assert not path.exists()
    second = FileLock(path, "'here'")
    first.release()
    with pytest.raises(FileExistsError):
        FileLock(path, "'here'")
    second.release()
    assert not windows.open
    assert not windows.locked


def test_a_lock_that_another_process_has_taken_over_stays(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = FileLock(path, "'here'")
    other = os.open(path, os.O_RDWR)
    first.release()
    assert path.exists()
    os.close(other)
    FileLock(path, "'here'").release()
    assert not path.exists()


def folder_in_the_way(path: Path) -> None:
    path.mkdir()


def link_in_the_way(path: Path) -> None:
    (path.parent / "mine").write_text("")
    path.symlink_to(path.parent / "mine")


def text_in_the_way(path: Path) -> None:
    path.write_text("mine")


@pytest.mark.parametrize("put", [folder_in_the_way, link_in_the_way, text_in_the_way])
def test_what_is_no_lock_is_left_alone(put: Callable[[Path], None], windows: Windows, tmp_path: Path) -> None:
    put(tmp_path / "lock")
    before = sorted(path.lstat().st_mtime_ns for path in tmp_path.iterdir())
    with pytest.raises(FileExistsError, match="no file of a run"):
        FileLock(tmp_path / "lock", "'here'")
    assert sorted(path.lstat().st_mtime_ns for path in tmp_path.iterdir()) == before
    assert not windows.open


def test_a_file_is_replaced_whole(windows: Windows, tmp_path: Path) -> None:
    target = tmp_path / "c.json"
    for text in ("old", "new"):
        with written_whole(target) as temporary:
            temporary.write_text(text)
            # Another run clears up: it takes away what nobody writes, and no more.
            (tmp_path / ".unfinished-abcd1_x2.json").touch()
            remove_unfinished(tmp_path)
            assert sorted(path.name for path in tmp_path.glob(".*")) == [temporary.name]
        assert target.read_text() == text
    with pytest.raises(InterruptedError), written_whole(target) as temporary:
        raise InterruptedError
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    assert not windows.open


def test_who_only_reads_the_file_is_waited_for(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "c.json"
    target.write_text("old")
    reader = os.open(target, os.O_RDONLY)
    with (
        pytest.raises(PermissionError, match=r"Cannot replace '.*c\.json': another program has it open"),
        written_whole(target) as temporary,
    ):
        temporary.write_text("new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    monkeypatch.setattr(files.time, "sleep", lambda seconds: os.close(reader))
    with written_whole(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_elsewhere_a_file_that_cannot_be_replaced_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def refuse(source: Path, target: Path) -> None:
        tried.append(target)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="not permitted"), written_whole(tmp_path / "c.json"):
        pass
    assert len(tried) == 1
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_block_is_told_also_where_something_keeps_the_file(windows: Windows, tmp_path: Path) -> None:
    kept: list[int] = []

    def fail() -> None:
        with written_whole(tmp_path / "c.json") as temporary:
            kept.append(os.open(temporary, os.O_RDWR))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    os.close(kept[0])
    remove_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["c:anna", "anna:hidden", "..", "a\\b"])
def test_a_name_leads_to_no_other_drive(name: str, windows: Windows) -> None:
    assert not is_plain_name(name)
    assert is_plain_name("anna 3")


def test_elsewhere_a_colon_is_a_letter_as_any_other() -> None:
    assert is_plain_name("anna:1")
