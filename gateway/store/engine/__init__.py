"""The databases behind the store, transactions, locks, ids and migrations."""
