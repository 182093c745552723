from .blurred import BlurredScore as BlurredScore
from .choice import Score as Score
from .choice import score_from as score_from
from .plain import PlainScore as PlainScore
from .together import make_together as make_together
from .walked import WalkedScore as WalkedScore
