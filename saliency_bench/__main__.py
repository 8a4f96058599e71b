"""The door of the command line: `saliency-bench`, and `python -m saliency_bench`, which launchers start.

It does nothing but see to it that Ctrl-C ends in a line and exit code 130 also while the rest is still being imported.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def _end(signalled: int, frame: FrameType | None) -> None:
    """End at once in the midst of an import: an exception comes out of that as whatever the import makes of it."""
    above = frame
    while above is not None:
        if above.f_code.co_filename.startswith("<frozen importlib"):
            os.write(2, b"Interrupted.\n")
            os._exit(130)
        above = above.f_back
    signal.default_int_handler(signalled, frame)


def main() -> NoReturn:
    """Import the command line and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a launcher may have it ignored
        signal.signal(signal.SIGINT, _end)
    try:
        from saliency_bench.cli import main as run

        run()
    except KeyboardInterrupt:  # before a verb began, or after it ended
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
