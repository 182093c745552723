"""The monitor: verdicts, life over many runs, and its file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from monai_rwcp.monitoring import CaseSummaries, ExchangeabilityMartingale, ExchangeabilityMonitor, ImageSummary
from monai_rwcp.provenance import ScoreRecord
from monai_rwcp.utils.json_documents import digest

NAMES = ("share of class 1 at 0.5", "uncertainty", "image mean")


def summary(random: np.random.Generator, shift: float = 0.0) -> dict[str, float]:
    values = random.normal([0, 0, shift])
    return dict(zip(NAMES, (float(v) for v in values), strict=True))


def reference(n: int = 40, seed: int = 0) -> CaseSummaries:
    random = np.random.default_rng(seed)
    images = {f"scan {i}": ImageSummary(f"old {i}", summary(random)) for i in range(n)}
    return CaseSummaries(images, unit_name="patient", with_image=True, provenance=ScoreRecord("abc"))


def stream(n: int, shift: float = 0.0, seed: int = 1) -> list[tuple[str, dict[str, float]]]:
    random = np.random.default_rng(seed)
    return [(f"new {seed} {i}", summary(random, shift)) for i in range(n)]


def test_each_summary_has_its_own_martingale() -> None:
    monitor = ExchangeabilityMonitor(reference(), seed=7)
    alone = {name: ExchangeabilityMartingale([u[name] for u in reference().units.values()]) for name in NAMES}
    for i, (case, values) in enumerate(stream(20)):
        assert monitor.observe(case, values)
        ties = (np.random.default_rng([7, i]).integers(2**32, size=3) + 0.5) / 2**32
        for (name, martingale), tie in zip(alone.items(), ties, strict=True):
            assert monitor.cases[case].p_values[name] == martingale.observe(values[name], tie)
        assert monitor.martingale == max(m.capital for m in alone.values()) / 3
        assert monitor.cases[case].martingale == monitor.martingale


def test_verdicts() -> None:
    monitor = ExchangeabilityMonitor(reference())
    for case, values in stream(3):
        monitor.observe(case, values)
    assert monitor.verdict == "too few cases"
    assert "3 patients so far; before 5 no change could be told from the 40 patients" in monitor.in_words
    for case, values in stream(30, seed=2):
        monitor.observe(case, values)
    assert monitor.verdict == "no evidence of change"
    assert "33 patients so far, with no evidence" in monitor.in_words
    for case, values in stream(20, shift=-4.0, seed=3):
        monitor.observe(case, values)
    assert monitor.verdict == "the cases have changed"
    assert monitor.causes == {"image mean": "lower"}
    assert 33 < (monitor.alarmed_after or 0) < 50
    assert "(image mean is lower)" in monitor.in_words
    # The alarm stays, whatever comes after.
    for case, values in stream(100, seed=4):
        monitor.observe(case, values)
    assert monitor.verdict == "the cases have changed"


def test_cases_count_once_and_calibration_cases_not_at_all() -> None:
    monitor = ExchangeabilityMonitor(reference(), tolerated={"liver": 0.2})
    (case, values), *_ = stream(1)
    assert monitor.observe(case, values)
    assert not monitor.observe(case, values)
    assert not monitor.observe("old 3", values)
    assert not monitor.observe("old 3", values)
    assert (len(monitor.cases), monitor.left_out) == (1, ["old 3"])
    assert monitor.observe_loss("new", {"liver": 0.5})
    assert not monitor.observe_loss("new", {"liver": 0.9})
    assert not monitor.observe_loss("old 3", {"liver": 0.9})
    assert monitor.loss_monitors["liver"].losses == [0.5]


def test_realised_losses_share_the_rate() -> None:
    monitor = ExchangeabilityMonitor(reference(), false_alarm_rate=0.02, tolerated={"liver": 0.2, "spleen": 0.3})
    assert {m.false_alarm_rate for m in monitor.loss_monitors.values()} == {0.01}
    for i in range(20):
        monitor.observe_loss(f"case {i}", {"liver": 0.6} if i % 2 else {"liver": 0.7, "spleen": 0.1})
    assert list(monitor.loss_alarms) == ["liver"]
    assert (
        f"liver: after {monitor.loss_alarms['liver']} labelled patients the mean loss is above 0.2" in monitor.in_words
    )
    assert len(monitor.loss_monitors["spleen"].losses) == 10


def test_many_runs_equal_one(tmp_path: Path) -> None:
    path, options = tmp_path / "verdict.json", {"false_alarm_rate": 0.05, "seed": 3, "tolerated": {"liver": 0.2}}
    cases = stream(12) + stream(12, shift=3.0, seed=2)
    whole = ExchangeabilityMonitor(reference(), **options)  # type: ignore[arg-type]
    whole.save(path)
    for i, (case, values) in enumerate(cases):
        part = ExchangeabilityMonitor.load(path, reference(), **options)  # type: ignore[arg-type]
        for monitor in (whole, part):
            monitor.observe("old 1", values)
            monitor.observe(case, values, date=f"2026-01-{i + 1:02d}T00:00:00+00:00")
            monitor.observe_loss(case, {"liver": i / 24}, date="2026-03-01T00:00:00+00:00")
        part.save(path)
    assert part.cases == whole.cases
    assert (part.alarmed_after, part.causes) == (whole.alarmed_after, whole.causes)
    assert part.alarmed_after is not None
    whole.save(tmp_path / "whole.json")
    assert path.read_text() == (tmp_path / "whole.json").read_text()


def test_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    monitor = ExchangeabilityMonitor(reference(), tolerated={"liver": 0.2})
    for case, values in stream(15, shift=5.0):
        monitor.observe(case, values)
    monitor.observe_loss("new 1 0", {"liver": 0.25})
    monitor.save(path)
    document = json.loads(path.read_text())
    assert document["verdict"] == "the cases have changed"
    assert document["in_words"] == monitor.in_words
    assert (document["n_cases"], document["false_alarm_rate"], document["alarm_at"]) == (15, 0.01, 100)
    assert document["martingale"] == monitor.martingale >= 100
    assert document["date"].endswith("+00:00")
    alarm = document["alarm"]
    assert alarm["case"] == f"new 1 {monitor.alarmed_after - 1}"  # type: ignore[operator]
    assert (alarm["after"], alarm["causes"]) == (monitor.alarmed_after, {"image mean": "higher"})
    assert [c["case"] for c in document["cases"]] == [f"new 1 {i}" for i in range(15)]
    assert all(0 < p < 1 for c in document["cases"] for p in c["p_values"].values())
    assert document["realised_loss"]["liver"] == {
        "n": 1, "mean": 0.25, "lower_bound": monitor.loss_monitors["liver"].lower_bound(),
        "martingale": monitor.loss_monitors["liver"].capital, "above_tolerated_after": None,
    }  # fmt: skip


def test_a_file_of_another_monitor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    ExchangeabilityMonitor(reference()).save(path)
    with pytest.raises(ValueError, match=r"belongs to another monitor: its reference is \{'digest'"):
        ExchangeabilityMonitor.load(path, reference(seed=5))
    with pytest.raises(ValueError, match="its false_alarm_rate is 0.01, but 0.1 was given"):
        ExchangeabilityMonitor.load(path, reference(), false_alarm_rate=0.1)
    with pytest.raises(ValueError, match="its seed is 0, but 1 was given"):
        ExchangeabilityMonitor.load(path, reference(), seed=1)
    with pytest.raises(ValueError, match=r"its tolerated is \{\}"):
        ExchangeabilityMonitor.load(path, reference(), tolerated={"liver": 0.2})


@pytest.mark.parametrize("which", ["monitor", "summaries"])
def test_files_that_are_not_what_was_written(which: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    if which == "monitor":
        monitor = ExchangeabilityMonitor(reference())
        monitor.observe(*stream(1)[0])
        monitor.save(path)
    else:
        reference().save(path)
    good = json.loads(path.read_text())

    def load() -> object:
        return ExchangeabilityMonitor.load(path, reference()) if which == "monitor" else CaseSummaries.load(path)

    def refused(message: str, kind: type = ValueError) -> None:
        with pytest.raises(kind, match=message):
            load()

    def write(sign: bool, **changes: object) -> None:
        document = {**good, **changes}
        document = {name: value for name, value in document.items() if value is not None}
        path.write_text(json.dumps({**document, "digest": digest(document)} if sign else document))

    entries = "cases" if which == "monitor" else "images"
    write(False, **{entries: []})
    refused("was changed after it was written")
    write(True, version=9)
    refused("of version 9")
    write(True, version=1)
    refused(
        r"that monai_rwcp 0\.1 wrote \(version 1\), .*: make it anew with (ExchangeabilityMonitor|CaseSummary)Handler"
    )
    write(True, format="other")
    refused("something else")
    write(True, **{entries: [{"wrong": 1}]})
    refused("lacks? a field or ha(s|ve) one of the wrong kind")
    path.write_text("{")
    refused("is damaged: it is not JSON")
    path.write_text("[]")
    refused("something else")
    path.unlink()
    refused("There is no (monitor|summary of the calibration cases) at", FileNotFoundError)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "verdict.json"
    monitor = ExchangeabilityMonitor(reference())
    monitor.save(path)
    old = path.read_text()
    monitor.observe(*stream(1)[0])

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        monitor.save(path)
    assert path.read_text() == old
    assert list(tmp_path.iterdir()) == [path]


def test_summaries_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    reference().save(path)
    assert CaseSummaries.load(path) == reference()
    assert CaseSummaries.load(path).digest == reference().digest != reference(seed=3).digest


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="`false_alarm_rate`"):
        ExchangeabilityMonitor(reference(), false_alarm_rate=0)
    for seed in (-1, 1.5, True):
        with pytest.raises(ValueError, match="`seed`"):
            ExchangeabilityMonitor(reference(), seed=seed)  # type: ignore[arg-type]
    monitor = ExchangeabilityMonitor(reference(), tolerated={"liver": 0.2})
    with pytest.raises(ValueError, match="case 'x', but uncertainty is inf"):
        monitor.observe("x", {**stream(1)[0][1], "uncertainty": float("inf")})
    with pytest.raises(ValueError, match="the summary of case 'x' to hold"):
        monitor.observe("x", {"uncertainty": 1.0})
    with pytest.raises(ValueError, match=r"losses of \['liver'\].* got one of 'spleen'"):
        monitor.observe_loss("x", {"spleen": 0.1})
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        monitor.observe_loss("x", {"liver": float("nan")})
    assert not monitor.cases
    assert not monitor.losses
