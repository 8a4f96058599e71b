"""`python -m saliency_bench`, which launchers of several processes start."""

import sys

from saliency_bench.cli import main

sys.exit(main())
