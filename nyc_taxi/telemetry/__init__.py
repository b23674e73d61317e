"""What the outside is told of runs: events, metrics and lineage."""
