"""Photos and files of a record: downloaded into the spool, and what a delivery has of them."""
