"""The package that all MRI super-resolution bundles share; CONTRIBUTING.md lists its rooms, and which imports which."""

__version__ = "0.1.0"
