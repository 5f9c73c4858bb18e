"""Egress profiles: what a receiver cannot digest is adapted on the way out; the stored object stays as it is.

A profile changes the attributes around the pixels (`attributes`), the identifiers, the SOP class, and the ends of JPEG
codestreams. The header is read from the store and written anew in memory; pixels pass through as ranges (`adaptation`).
"""
