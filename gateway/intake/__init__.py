"""Intake: from a notification to its deliveries, lanes and mode, if there is room for it."""
