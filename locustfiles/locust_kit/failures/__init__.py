"""Failed requests: captured on the worker, classified, grouped, and reported to the master."""
