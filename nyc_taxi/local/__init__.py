"""Embedded servers and generated months, for machines without a network or servers of their own."""
