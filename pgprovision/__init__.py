"""Provision PostgreSQL on your own servers, and rerun to repair drift."""

__version__ = "0.1.0"
