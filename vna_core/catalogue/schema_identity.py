"""Tables of the catalogue: cross-references of patients and corrections."""
