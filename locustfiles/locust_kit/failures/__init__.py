"""Failed requests: captured where they happen, told apart, grouped, and brought to the master."""
