"""The registry engine: services as data (docs/spec/registry.md). Pure and deterministic."""
