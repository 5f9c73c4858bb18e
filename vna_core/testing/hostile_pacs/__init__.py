"""A source archive that misbehaves on purpose, the same way for the same seed, and keeps a log of what it did to whom.

It holds thousands of phantom instances as numbers and makes their octets when they are asked for.

Its parts: `faults` (what can be wrong, and with whom), `population` (what it holds), `server` (its DIMSE face), `web_server` (its
DICOMweb face), `injection_log`.
"""
