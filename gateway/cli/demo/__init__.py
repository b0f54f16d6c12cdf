"""``gateway demo``: plays the main job on this machine against a simulated doForms."""

from gateway.cli.demo.command import demo

__all__ = ["demo"]
