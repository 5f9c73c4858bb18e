"""Tables of the catalogue: departments, policy and the audit trail."""
