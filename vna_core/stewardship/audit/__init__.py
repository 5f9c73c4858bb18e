"""The audit trail: records by PS3.15 A.5 in a hash-chained log that several processes append to.

`trail` takes events, `chain` writes and reads the log, `verification` finds what was altered, removed or reordered, `records` and
`xml` bring events into the form of the standard.
"""
