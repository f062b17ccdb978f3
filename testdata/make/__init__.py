"""The made fixtures: one function a model, grouped by what they are about."""
