"""Destinations: the contract that plugins fill in, the hook that finds them, and the registry that holds them."""
