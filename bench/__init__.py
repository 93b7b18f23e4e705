"""Measurements: each module is a command of its own, whose last line is JSON."""
