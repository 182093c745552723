from .inferers import inferer_record as inferer_record
from .score_maps import provenance_key as provenance_key
from .score_maps import score_provenance as score_provenance
from .weights import weights_hash as weights_hash
