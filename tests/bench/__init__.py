"""What `make bench` measures: ratios within one run on one machine."""
