"""Load: the destinations, each of which replaces a month atomically and keeps a ledger."""
