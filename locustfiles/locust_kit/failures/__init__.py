"""Failed requests: captured where they happen, classified, grouped, and brought to the master."""
