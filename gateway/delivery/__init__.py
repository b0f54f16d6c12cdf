"""Delivery: from a kept notification to receipts, an outcome and a report."""
