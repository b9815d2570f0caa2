"""The one client of Docker, on its SDK; the kernel's counters; and the pure reading of what both answer."""
