"""The demo's patients: who trains the network, who tunes, who calibrates, and who is tested on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from monai_rwcp.demo.phantoms import write_cohort
from monai_rwcp.utils.files import written_whole

__all__ = ["Cohort", "CohortSizes", "write_groups"]

Cohort = list[dict[str, str]]
"""A MONAI data list."""


@dataclass(frozen=True)
class CohortSizes:
    """How many patients there are for what; nobody is in two groups."""

    train: int = 12
    tune: int = 20
    calibrate: int = 60
    test: int = 60


def write_groups(out: Path, sizes: CohortSizes, seed: int, progress: bool) -> dict[str, Cohort]:
    """Write the phantoms of every group, and one data list of all of them.

    Args:
        out: an existing folder; gets ``cohort/`` and ``datalist.json``.
        sizes: how many patients.
        seed: seed of the phantoms.
        progress: whether a progress bar is shown.

    Returns:
        the data list of each group.
    """
    from tqdm import tqdm

    groups: dict[str, Cohort] = {}
    first = 0
    with tqdm(total=sum(asdict(sizes).values()), desc="make the phantoms", disable=not progress) as bar:
        for name, count in asdict(sizes).items():
            groups[name] = []
            for index in range(first, first + count):
                groups[name] += write_cohort(out / "cohort", 1, seed, index)
                bar.update()
            first += count
    with written_whole(out / "datalist.json") as temporary:
        # Paths relative to this file, as MONAI's data lists have them.
        relative = {
            name: [
                {k: v if k == "patient" else str(Path(v).relative_to(out)) for k, v in case.items()} for case in cases
            ]
            for name, cases in groups.items()
        }
        temporary.write_text(json.dumps(relative, indent=1), encoding="utf-8")
    return groups
