"""Authoring of services: YAML to compiled definitions, lint, scenarios. Never run by validators."""
