"""Embedded servers and generated months, for machines without network access or servers."""
