"""rnnkit: a reproduction kit for Collins, Sohl-Dickstein & Sussillo (2017)."""

__version__ = "0.1.0"
