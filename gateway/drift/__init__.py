"""Drift: questions of a form and routes that do not fit each other any more."""
