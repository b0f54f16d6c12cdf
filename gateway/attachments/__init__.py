"""Photos and files of a record: download, spool, and what a delivery gets of them."""
