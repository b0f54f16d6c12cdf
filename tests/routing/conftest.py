"""Routes files in a scratch folder, loaded with the installed plugins."""

from __future__ import annotations

from tests.support.loading import evaluate, load_text, names, problems, registry

__all__ = ["evaluate", "load_text", "names", "problems", "registry"]
