"""Calls to doForms: the gate, the client, and the limits of each account."""
