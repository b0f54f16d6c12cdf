"""``gateway simulate``: a doForms on this machine to try a routes file against."""

from gateway.cli.simulate.command import EPILOG, simulate

__all__ = ["EPILOG", "simulate"]
