"""A doForms to try the gateway against: a real HTTP server with records, notifications and the REST API.

It imports nothing of the gateway, so that one mistake in reading or writing cannot hide in both.
"""

from gateway.doforms.simulator.conditions import AccountLimit, Conditions, Quota
from gateway.doforms.simulator.control import control_routes
from gateway.doforms.simulator.faults import Fault, Faults, Instead
from gateway.doforms.simulator.fields import field
from gateway.doforms.simulator.forms import FORMS, Form
from gateway.doforms.simulator.notifications import Answer, Report, Seen
from gateway.doforms.simulator.page import page_routes
from gateway.doforms.simulator.player import Player
from gateway.doforms.simulator.scenarios import SCENARIOS, Scenario
from gateway.doforms.simulator.simulator import Simulator
from gateway.doforms.simulator.world import Request, Webservice, World

__all__ = [
    "FORMS",
    "SCENARIOS",
    "AccountLimit",
    "Answer",
    "Conditions",
    "Fault",
    "Faults",
    "Form",
    "Instead",
    "Player",
    "Quota",
    "Report",
    "Request",
    "Scenario",
    "Seen",
    "Simulator",
    "Webservice",
    "World",
    "control_routes",
    "field",
    "page_routes",
]
