"""What the work reads and writes: keeping, the queue, fetches, reports, leases."""
