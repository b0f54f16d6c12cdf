"""The store: the database in which the gateway keeps what happened and what is due."""
