"""Texts from outside: masked, made visible, read as JSON, checked as addresses."""
