"""The doForms side: reading notifications and records, the API client, and a simulator of doForms."""
