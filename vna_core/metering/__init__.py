"""What the processes of one run count, in memory that they share."""

from vna_core.metering.meter import Meter, Meters, Reading

__all__ = ["Meter", "Meters", "Reading"]
