"""Which images of patients a page may show, and the credit that stands beside them."""

from __future__ import annotations

__all__ = ["images_part", "may_be_shown"]

_HIPPOCAMPUS = (
    "Images: Medical Segmentation Decathlon, Task04 Hippocampus (Antonelli et al. 2022, Nature Communications 13, "
    "4128; Vanderbilt University Medical Center), CC BY-SA 4.0. Scores, sets and contours were drawn over them; this "
    "picture is under the same licence."
)
_ACDC = (
    "No picture of these images is shown: those of ACDC are licensed CC BY-NC-SA 4.0, which does not go with this "
    "package's licence. `benchmarks.study.report` draws it as `{name}.png` in the folder of its `--out`."
)


def may_be_shown(name: str) -> bool:
    """Whether the licence of a set's images allows a picture of them in this package's pages."""
    return name.startswith("hippocampus")


def images_part(name: str, rule: str) -> list[str]:
    """The picture of a set's images with its credit, or why there is none.

    Args:
        name: of the set.
        rule: how the images were chosen.
    """
    if may_be_shown(name):
        return [f"{rule}\n", f"![Images]({name}.png)\n", f"*{_HIPPOCAMPUS}*\n"]
    return [f"{_ACDC.format(name=name)}\n"]
