"""What happens to finished runs: measured, embedded, published, exported; and plans of many runs."""
