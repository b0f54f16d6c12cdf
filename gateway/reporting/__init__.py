"""Telling doForms the outcome of a notification."""
