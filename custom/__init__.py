"""What the MRI super-resolution bundles share: physics, networks, data, evaluation.

Imports go downwards only: handlers, engines > inferers, transforms > losses, metrics, networks, data >
degradations > kspace. `custom.errors` stands below all of them.
"""

__version__ = "0.1.0"
