"""Alarms: raised and cleared, and the watch that clears those whose cause has ended."""
