"""`python -m monai_rwcp` is the same program as `monai-rwcp`."""

from __future__ import annotations

from monai_rwcp.cli import main

if __name__ == "__main__":
    main()
