"""What tuning compared."""

from dataclasses import replace

from docs.gallery.patients import WALK
from docs.gallery.patients import tuning_items as items
from monai_rwcp import tune_settings
from monai_rwcp.report import draw_tuning
from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore

walks = [replace(WALK, k=k, beta=beta) for k in (10, 20, 30, 50) for beta in (10.0, 20.0, 50.0, 100.0)]
# shown
candidates = [PlainScore(), *map(BlurredScore, (0.5, 1.0, 2.0)), *map(WalkedScore, walks)]
choice = tune_settings(items, candidates=candidates, alpha=0.1, n_calibration=60, unit_key="patient")
draw_tuning(choice, "tuning.png")
