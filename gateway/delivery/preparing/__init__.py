"""Prepares deliveries: fetches record, questions and attachments, and renders what is sent."""
