from .anatomy import Anatomy as Anatomy
from .segmentation import Segment as Segment
from .segmentation import write_scores as write_scores
from .segmentation import write_sets as write_sets
from .series import Series as Series
from .series import read_series as read_series
