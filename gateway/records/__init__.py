"""The record behind a notification: fetched, found by other ways where its key does not work, given up."""
