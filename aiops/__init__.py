"""The engine and its wiring: builds the road of a sample and keeps it running."""

__version__ = "0.1.0"
