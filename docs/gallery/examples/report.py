"""The report of labelled patients who were not calibrated on."""

from ignite.engine import Engine

from docs.gallery.patients import calibration, new_items
from monai_rwcp import ReportHandler
from monai_rwcp.conformal import prediction_set


def _with_set(engine, item):
    return [{**item, "pred_set": prediction_set(item["score"].as_tensor(), calibration)}]


evaluator = Engine(_with_set)  # in the place of a SupervisedEvaluator
# shown
handler = ReportHandler(calibration, "report.html", unit_key="patient", image_key="image", score_key="score")
handler.attach(evaluator)
evaluator.run(new_items)
