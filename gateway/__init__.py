"""The doForms gateway: from a doForms notification to your own systems, and back to doForms with the outcome."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("doforms-gateway")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
