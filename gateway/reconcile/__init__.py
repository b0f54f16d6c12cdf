"""Reconciliation: compares what doForms received with what is kept, and admits what is missing."""
