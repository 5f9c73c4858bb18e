"""Tables of the catalogue: durable jobs."""
