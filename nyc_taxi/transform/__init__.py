"""Transform: read a raw file, apply the rules to every row, write refined Parquet."""
