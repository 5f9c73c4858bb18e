"""Backends around backends: each does one thing and hands the rest to the store it wraps."""
