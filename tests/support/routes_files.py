"""Routes files for tests: a head that is right, and routes to put below it."""

from __future__ import annotations

ENVIRON = {"WEBHOOK_KEY": "open-sesame", "SITE_PASSWORD": "hidden-word"}
"""What the head refers to."""

HEAD = """
[webhook]
headers = { X-Webhook-Key = ["env:WEBHOOK_KEY"] }
[webservices.site]
id = "acme$$1$$Published$$2"
password = "env:SITE_PASSWORD"
form = "Site inspection"
project = "Safety"
[destinations.table]
plugin = "database"
url = "sqlite:///table.db"
[destinations.service]
plugin = "rest"
url = "https://service.example.com/api"
"""


def route(*delivers: str, name: str = "one", more: str = "") -> str:
    """Write a route; without deliveries it gets one that inserts the record's key."""
    delivers = delivers or ('to = "table"\ntable = "records"\ncolumns = { id = "{{ record.key }}" }',)
    body = "\n".join(f"[[routes.deliver]]\n{deliver}" for deliver in delivers)
    return f'\n[[routes]]\nname = "{name}"\n{more}\n{body}\n'
