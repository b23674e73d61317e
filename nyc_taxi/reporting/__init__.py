"""Reporting: what people read about months, runs and settings."""
