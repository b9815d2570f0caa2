"""The checks, one file a subject. Each is a pure function of the evidence."""
