"""What a source of features knows."""

from docs.gallery.patients import tuning_items
from monai_rwcp.report import draw_features

item = tuning_items[0]
truth = item["label"].as_tensor()[0] == 1
z = int(truth.sum(dim=(0, 1)).argmax())
image, point = item["image"][0, ..., z].numpy(), [int(where.float().median()) for where in truth[..., z].nonzero().T]
# fmt: off
# shown
draw_features(
    "features.png", image=image, features=item["features"], slice_index=z,
    point=point, center=True, title="Two layers of the segmentation network",
)
