"""The doForms gateway: from a doForms notification to your own systems, and back to doForms with the outcome."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name):
        """Look the version up when it is asked for: the service is to hear signals before anything takes time."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("doforms-gateway")
        except PackageNotFoundError:  # run from a source tree that was never installed
            return "0+unknown"
