"""Storage backend."""
