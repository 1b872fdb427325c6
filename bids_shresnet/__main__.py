"""`python -m bids_shresnet` is the command `bids-shresnet`."""

from __future__ import annotations

import sys

from bids_shresnet.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
