"""Alarms: the kinds, raising and clearing them, and the monitor that clears those whose cause has ended."""
