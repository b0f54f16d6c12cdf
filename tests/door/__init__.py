"""Attacks on the door of a real gateway, with correct notifications beside them."""
