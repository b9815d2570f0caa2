"""What is known, as frozen data: raw observations, and the Snapshot made of them. Pure; no input or output."""
