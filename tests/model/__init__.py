"""The model: what the loop is driven over, and what it is judged by."""
