"""A doForms to try the gateway against: a real HTTP server with records, notifications and the REST API.

It imports nothing of the gateway, so that one mistake in reading or writing cannot hide in both.
"""

from gateway.doforms.simulator.control import control_routes
from gateway.doforms.simulator.faults import Fault, Faults
from gateway.doforms.simulator.fields import field
from gateway.doforms.simulator.notifications import Answer, Report, Seen
from gateway.doforms.simulator.simulator import Simulator
from gateway.doforms.simulator.world import Request, Webservice, World

__all__ = [
    "Answer",
    "Fault",
    "Faults",
    "Report",
    "Request",
    "Seen",
    "Simulator",
    "Webservice",
    "World",
    "control_routes",
    "field",
]
