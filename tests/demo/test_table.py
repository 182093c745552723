"""The demo's table and words are computed from the figures, and so is the patient it shows."""

from __future__ import annotations

import math

from monai_rwcp.demo.measuring import Measured, no_figures
from monai_rwcp.demo.picture import patient_in_the_middle
from monai_rwcp.demo.table import demo_table, in_words
from monai_rwcp.metrics import SetMetrics
from monai_rwcp.metrics.summary import ImageFigures


def figures(tuned_sizes: dict[int, tuple[int, int, int]], tuned_pieces: int = 1) -> Measured:
    """Three patients; the plain sets have 200 voxels in 3 pieces, the own masks miss a quarter."""
    measured = no_figures()
    for key, of_classes in measured.items():
        for c, images in of_classes.items():
            for number, patient in enumerate(("anna", "ben", "carl")):
                size = {"mask": 80, "plain_set": 200, "tuned_set": tuned_sizes[c][number]}[key]
                pieces = {"mask": 2, "plain_set": 3, "tuned_set": tuned_pieces}[key]
                missed = 25 if key == "mask" else 10
                distance = 1.5 if key == "tuned_set" and c == 3 else 2.0
                found = SetMetrics(missed, 100, size, 0.5, pieces if size else 0, 1.0, distance if size else math.nan)
                images.append(ImageFigures(found, patient))
    return measured


MIXED = {1: (150, 152, 148), 2: (250, 252, 248), 3: (100, 200, 310)}


def test_words_follow_the_figures() -> None:
    assert in_words(figures(MIXED)) == (
        "The network's own mask misses 25% of the organ, 25% of the wall and 25% of the nodule, and nothing is "
        "promised for it.\n"
        "CRC is conformal risk control, the method behind the promise; plain: of the network's own probabilities.\n"
        "Stretch is the size of the set over the size of the structure.\n"
        "Beside plain CRC, at the same promise, the sets of the tuned score are smaller for organ, larger for wall, of "
        "about the same size for nodule.\n"
        "They come in fewer pieces for organ, wall and nodule.\n"
        "Their borders (HD95) lie nearer to the truth for nodule, about as near for organ and wall."
    )
    other = in_words(figures(dict.fromkeys(MIXED, (200, 200, 200)), tuned_pieces=3))
    assert "of about the same size for organ, wall and nodule." in other
    assert "lie nearer to the truth for nodule, about" in other
    assert "about as many pieces for organ, wall and nodule." in other


def test_one_that_is_empty_has_no_border_to_compare() -> None:
    assert "about as near for organ, wall and nodule." in in_words(figures({**MIXED, 3: (0, 0, 310)}))


def test_table_has_three_lines_a_structure_and_fits_a_terminal() -> None:
    lines = demo_table(figures({**MIXED, 3: (100, 0, 310)}), 0.1).splitlines()
    assert len(lines) == 2 + 9
    assert max(map(len, lines)) <= 120
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2] == ["organ", "network's mask", "nothing", "0.250 (0.000)", "0.80", "0.500", "2.0", "2.0", "0"]
    assert cells[4] == ["organ", "tuned + CRC", "0.100", "0.100 (0.000)", "1.50", "0.500", "2.0", "1.0", "0"]
    assert [line[-1] for line in cells[8:]] == ["0", "0", "1"]


def test_the_patient_in_the_middle_is_neither_the_best_nor_the_worst() -> None:
    assert patient_in_the_middle(figures({1: (50, 100, 190), 2: (200, 200, 200), 3: (200, 200, 200)})) == "ben"
    assert patient_in_the_middle(figures({1: (190, 50, 100), 2: (200, 200, 200), 3: (200, 200, 200)})) == "carl"
