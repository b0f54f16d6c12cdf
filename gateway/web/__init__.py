"""The web side: receiving notifications from doForms, health and metrics."""
