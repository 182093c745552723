"""The cache: the same bits again, a miss for any change, and nothing wrong ever read, by several processes at once."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from monai_rwcp import CachedFeatures, FeatureExtractor, MINDFeatures
from tests.helpers.processes import START_METHOD

safetensors = pytest.importorskip("safetensors.torch")


class Counting:
    """Random-looking features of an image that count how often they were computed."""

    def __init__(self, name: str = "Counting", scale: float = 1.0) -> None:
        self.name, self.scale, self.calls = name, scale, 0

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.scale * torch.cat([image.float() * k for k in (0.1, 1 / 3, 7.7)])


IMAGE = torch.rand(1, 9, 7, generator=torch.Generator().manual_seed(0))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_second_run_computes_nothing_and_gives_the_same_bits(tmp_path: Path, dtype: Any) -> None:
    extractor = Counting()
    first = CachedFeatures(extractor, tmp_path, dtype=dtype)(IMAGE)
    other = Counting()
    again = CachedFeatures(other, tmp_path, dtype=dtype)(IMAGE)
    assert (extractor.calls, other.calls) == (1, 0)
    assert torch.equal(first, again)
    assert first.dtype == again.dtype == torch.float32
    expected = extractor(IMAGE)
    assert torch.equal(first, expected.to(getattr(torch, dtype)).float())
    assert [path.suffix for path in files(tmp_path)] == [".safetensors"]


def test_name_says_when_features_are_rounded(tmp_path: Path) -> None:
    exact, rounded = (CachedFeatures(Counting(), tmp_path, dtype=d) for d in ("float32", "float16"))
    assert isinstance(exact, FeatureExtractor)
    assert exact.name == "Counting"
    assert rounded.name == "Counting in float16"


def test_any_change_is_a_miss(tmp_path: Path) -> None:
    extractor = Counting()
    cached = CachedFeatures(extractor, tmp_path)
    changed = IMAGE.clone()
    changed[0, 3, 3] = torch.nextafter(changed[0, 3, 3], torch.tensor(2.0))
    images = [IMAGE, changed, IMAGE.reshape(1, 7, 9), IMAGE.double(), IMAGE.expand(2, -1, -1), -IMAGE]
    for image in images:
        torch.testing.assert_close(cached(image), extractor(image))
    calls = len(images) * 2
    assert extractor.calls == calls
    CachedFeatures(extractor, tmp_path, dtype="float16")(IMAGE)
    assert extractor.calls == calls + 1
    extractor.name = "Counting, otherwise"
    cached(IMAGE)
    assert extractor.calls == calls + 2
    for image in images:
        cached.extractor.name = "Counting"
        cached(image)
    assert extractor.calls == calls + 2
    assert len(files(tmp_path)) == calls // 2 + 2


def test_signs_and_layouts_of_the_image(tmp_path: Path) -> None:
    extractor = Counting()
    cached = CachedFeatures(extractor, tmp_path)
    turned = IMAGE.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(cached(IMAGE), cached(turned))
    assert extractor.calls == 1
    meta = cached(MetaTensor(IMAGE))
    assert extractor.calls == 1
    assert type(meta) is torch.Tensor


def _damage(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _foreign(path: Path) -> None:
    safetensors.save_file({"features": torch.rand(3, 9, 7)}, path)


def _another(path: Path) -> None:
    """The whole, intact file of another image under this one's name."""
    cached = CachedFeatures(Counting(), path.parent)
    cached(IMAGE + 1)
    other = next(p for p in files(path.parent) if p != path)
    path.write_bytes(other.read_bytes())
    other.unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        *[_damage(lambda b, n=n: b[:n]) for n in (0, 1, 8, 20, 200)],
        _damage(lambda b: b[:-1]),
        _damage(lambda b: b + b"x"),
        _damage(lambda b: b[:-5] + bytes([b[-5] ^ 1]) + b[-4:]),
        _damage(lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:]),
        _damage(lambda b: b[:2] + b"\xff" * 6 + b[8:]),
        _damage(lambda b: b"no safetensors at all"),
        _foreign,
        _another,
    ],
)
def test_damaged_or_foreign_file_is_a_miss_with_a_warning(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    extractor = Counting()
    cached = CachedFeatures(extractor, tmp_path)
    expected = cached(IMAGE)
    path = files(tmp_path)[0]
    spoil(path)
    with pytest.warns(UserWarning, match=rf"{path.name}' is damaged or not of this cache"):
        found = cached(IMAGE)
    assert torch.equal(found, expected)
    assert extractor.calls == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached(IMAGE)
    assert extractor.calls == 2


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    image = IMAGE[:, :2, :2]
    cached = CachedFeatures(Counting(), tmp_path)
    expected = cached(image)
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            assert torch.equal(cached(image), expected), place


def test_result_does_not_depend_on_the_file_any_more(tmp_path: Path) -> None:
    cached = CachedFeatures(Counting(), tmp_path)
    cached(IMAGE)
    found = cached(IMAGE)
    before = found.clone()
    files(tmp_path)[0].write_bytes(b"")
    assert torch.equal(found, before)
    found.zero_()


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    extractor = Counting()
    CachedFeatures(extractor, tmp_path)(IMAGE)
    size = files(tmp_path)[0].stat().st_size
    cached = CachedFeatures(extractor, tmp_path, max_gigabytes=3.5 * size / 1e9)
    foreign = tmp_path / "notes.txt"
    foreign.write_text("x" * 10 * size)
    images = [IMAGE + i for i in range(5)]
    for number, path in enumerate(files(tmp_path)):
        os.utime(path, ns=(number, number))
    paths = {}
    for i in (0, 1, 2):
        known = set(files(tmp_path))
        cached(images[i])
        new = set(files(tmp_path)) - known
        paths[i] = new.pop() if new else next(iter(known - {foreign}))
    for i, age in ((0, 300), (1, 100), (2, 200)):
        os.utime(paths[i], ns=(age, age))
    extractor.calls = 0
    cached(images[1])  # a hit makes it the latest
    assert extractor.calls == 0
    cached(images[3])  # 2 goes
    assert [paths[i].exists() for i in range(3)] == [True, True, False]
    cached(images[4])  # 0 goes
    assert [paths[i].exists() for i in range(3)] == [False, True, False]
    assert foreign.exists()
    assert sum(p.stat().st_size for p in files(tmp_path) if p != foreign) <= 3.5 * size


def test_features_larger_than_the_limit_are_given_but_not_kept(tmp_path: Path) -> None:
    cached = CachedFeatures(Counting(), tmp_path, max_gigabytes=1e-7)
    with pytest.warns(UserWarning, match=r"not kept in '.*larger than max_gigabytes"):
        found = cached(IMAGE)
    assert torch.equal(found, Counting()(IMAGE))
    assert not files(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_told_once_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    cached = CachedFeatures(Counting(), tmp_path)

    def full(self: Path, content: bytes) -> int:
        with open(self, "wb") as file:
            file.write(content[:10])
        raise OSError(code, "full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match=r"not kept in .*: the disk is full\. Free some space"):
        found = cached(IMAGE)
    assert torch.equal(found, Counting()(IMAGE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached(IMAGE + 1)
    assert not files(tmp_path)


def test_other_errors_of_the_disk_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Path, content: bytes) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises(OSError, match="broken"):
        CachedFeatures(Counting(), tmp_path)(IMAGE)


def test_float16_that_overflows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"range of float16, but they reach .*dtype=\"float32\""):
        CachedFeatures(Counting(scale=1e6), tmp_path, dtype="float16")(IMAGE)
    assert not files(tmp_path)


def test_features_that_are_no_features_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        CachedFeatures(Counting(scale=float("nan")), tmp_path)(IMAGE)

    class Whole(Counting):
        def __call__(self, image: torch.Tensor) -> torch.Tensor:
            return image.int()

    with pytest.raises(ValueError, match="float tensor, but got torch.int32"):
        CachedFeatures(Whole(), tmp_path)(IMAGE)
    assert not files(tmp_path)


def _work(folder: str, start: Any, results: Any) -> None:
    start.wait()
    cached = CachedFeatures(MINDFeatures(), folder, max_gigabytes=2e-4)
    images = [torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(s)) for s in range(6)]
    worst = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for turn in range(20):
            image = images[turn % 6]
            worst = max(worst, float((cached(image) - MINDFeatures()(image)).abs().max()))
    results.put(worst)


def test_several_processes_share_a_directory(tmp_path: Path) -> None:
    context = multiprocessing.get_context(START_METHOD)
    start, results = context.Event(), context.Queue()
    workers = [context.Process(target=_work, args=(str(tmp_path), start, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    start.set()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
    assert found == [0.0, 0.0, 0.0]
    assert all(path.suffix == ".safetensors" and not path.name.startswith(".") for path in files(tmp_path))


def test_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    CachedFeatures(Counting(), tmp_path / "a" / "b")(IMAGE)
    assert len(files(tmp_path / "a" / "b")) == 1


def test_bad_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="it is a file"):
        CachedFeatures(Counting(), tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="no permission to write there"):
        CachedFeatures(Counting(), tmp_path)


@pytest.mark.parametrize(
    ("extractor", "options", "kind", "message"),
    [
        (lambda image: image, {}, TypeError, "have a `name`"),
        ("MIND", {}, TypeError, "callable"),
        (Counting(), {"dtype": "int8"}, ValueError, "`dtype`"),
        (Counting(), {"max_gigabytes": 0}, ValueError, "`max_gigabytes`"),
    ],
)
def test_bad_arguments(tmp_path: Path, extractor: Any, options: dict, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        CachedFeatures(extractor, tmp_path, **options)


def test_missing_safetensors_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r'pip install "monai-rwcp\[cache\]"'):
        CachedFeatures(Counting(), tmp_path)


def test_pickle(tmp_path: Path) -> None:
    cached = CachedFeatures(MINDFeatures(), tmp_path, dtype="float16")
    expected = cached(IMAGE)
    again = pickle.loads(pickle.dumps(cached))
    assert again.name == cached.name
    assert torch.equal(again(IMAGE), expected)
