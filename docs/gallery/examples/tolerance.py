"""The promise about how many patients lose more than a given share."""

import numpy as np

from docs.gallery.drawing import histogram
from docs.gallery.patients import new_table, table
from monai_rwcp import calibrate
from monai_rwcp.monitoring import realised_losses

rates = {}
# shown
for method, tau in (("crc", None), ("tolerance", 0.9)):
    calibration = calibrate(table, alpha=0.1, method=method, tau=tau)
    rates[method] = np.array(list(realised_losses(new_table, calibration)[1].values()))
# to here
histogram(
    "tolerance.png",
    {f"{name}: {100 * np.mean(of > 0.1):.0f} % lose more than 10 %": 100 * of for name, of in rates.items()},
    "missed share of the organ in a new patient, in %",
    "new patients",
)
