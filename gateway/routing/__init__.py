"""Routing: the routes file, what matches a notification, which mode it takes, and the templates of what is sent."""
