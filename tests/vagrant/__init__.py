"""Rows that need machines with a kernel and a boot of their own; `make vagrant` brings them up."""
