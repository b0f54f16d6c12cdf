"""The references in `docs/`, written from the code: the routes file, and what plugins may use."""
