"""Nouns that two or more rooms share: roles and types, spans and diagnostics, definitions, endpoint trees, events."""
