"""The promise about the average, over many draws of calibration patients."""

import numpy as np

from docs.gallery.drawing import histogram
from docs.gallery.patients import all_table as table
from monai_rwcp import calibrate
from monai_rwcp.monitoring import realised_losses

random, observed = np.random.default_rng(0), []
# shown
for _ in range(300):
    drawn = random.permutation(table.units).tolist()
    calibration = calibrate(table.only(drawn[:60]), alpha=0.1)
    losses = realised_losses(table.only(drawn[60:]), calibration)
    observed.append(np.mean(list(losses[1].values())))
# to here
rates = 100 * np.array(observed)
title = f"on average {rates.mean():.1f} %, above 10 % in {100 * np.mean(rates > 10):.0f} % of the draws"
histogram("expectation.png", {title: rates}, "missed share of the organ in the new patients, in %", "draws")
