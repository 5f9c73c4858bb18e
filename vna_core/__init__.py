"""A vendor-neutral archive for medical imaging."""

__version__ = "0.1.0"
