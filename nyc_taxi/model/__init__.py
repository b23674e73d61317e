"""Values that every layer shares: services, months and references. No I/O."""
