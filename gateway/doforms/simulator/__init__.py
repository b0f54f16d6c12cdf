"""A doForms to try the gateway against: a real HTTP server with records, notifications and the REST API.

It imports nothing of the gateway, so that one mistake in reading or writing cannot hide in both.
"""

from gateway.doforms.simulator.faults import Fault, Faults
from gateway.doforms.simulator.sending import Answer, Seen
from gateway.doforms.simulator.simulator import Simulator
from gateway.doforms.simulator.world import Request, Webservice, World, field

__all__ = ["Answer", "Fault", "Faults", "Request", "Seen", "Simulator", "Webservice", "World", "field"]
