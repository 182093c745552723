"""One case with and without the walk."""

from docs.gallery.patients import calibration, patient, plain_calibration
from monai_rwcp.conformal import prediction_set
from monai_rwcp.report import draw_case

image, probability, score, truth = patient["image"], patient["pred"], patient["score"], patient["label"] == 1
# fmt: off
# shown
plain = prediction_set(probability, plain_calibration)[1].numpy()
walked = prediction_set(score, calibration)[1].numpy()
draw_case(
    "case.png", image=image, probability=probability[1].numpy(), score=score[1].numpy(),
    plain_set=plain, walked_set=walked, truth=truth, title="organ, a new patient",
)
