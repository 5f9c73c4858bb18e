"""HL7 v2 over MLLP: the feed of patient administration. It translates and decides nothing."""
