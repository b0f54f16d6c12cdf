"""The record behind a notification: fetched, searched for, pinned, or given up."""
