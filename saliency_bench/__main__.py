"""The door of the command line: `saliency-bench`, and `python -m saliency_bench`, which launchers start.

It does nothing but see to it that Ctrl-C ends in a line and exit code 130 also while the rest is still being imported.
"""

import os
import signal
import sys
from typing import NoReturn


def _end(*signalled: object) -> NoReturn:
    """End at once: an exception from the middle of an import comes out as whatever that import makes of it."""
    os.write(2, b"Interrupted before anything began.\n")
    os._exit(130)


def main() -> NoReturn:
    """Import the command line and run it."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # a launcher may have it ignored
        signal.signal(signal.SIGINT, _end)
    from saliency_bench.cli import main as run

    signal.signal(signal.SIGINT, usual)
    try:
        run()
    except KeyboardInterrupt:  # before a verb began, or after it ended
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
