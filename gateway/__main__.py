"""Entry point of ``gateway`` and ``python -m gateway``: handles signals before the slow imports begin."""

import os
import sys

from gateway import first_signals


def main() -> None:
    """Run the command line; see `gateway.cli.main`."""
    if sys.argv[1:2] == ["serve"]:
        first_signals.remember()
    _fill_standard_streams()
    from gateway.cli import main as command_line

    command_line()


def _fill_standard_streams() -> None:
    """Keep the numbers of standard streams that were closed: a socket with one would get what is meant for a terminal.

    libuv ends a process that closes such a socket.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


if __name__ == "__main__":
    main()
