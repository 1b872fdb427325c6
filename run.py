#!/usr/bin/env python3
"""The BIDS App's entry point: runs from a clone, without installing the package."""

from __future__ import annotations

import sys

from bids_shresnet.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
