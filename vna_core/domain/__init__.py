"""Values and rules of the archive: frozen types, identifiers, the exception tree. Imports nothing of the house."""
