"""The routes file: read, merged, checked against its schema, and loaded."""
