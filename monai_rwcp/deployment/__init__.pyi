from .bundle import bundle_files as bundle_files
from .check import DeploymentCheck as DeploymentCheck
from .check import check_bundle as check_bundle
from .findings import NOT_KNOWN as NOT_KNOWN
from .findings import Finding as Finding
from .findings import Status as Status
from .findings import compared_record as compared_record
from .text import check_text as check_text
