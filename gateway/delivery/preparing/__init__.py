"""What a delivery needs before it is sent: record, questions, attachments, and what is rendered from them."""
