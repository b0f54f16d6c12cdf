"""Calls to doForms: in whose name, how many at once and a minute, and what waits for its turn."""
