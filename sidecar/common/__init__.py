"""Code for every room: times, text, units, errors, the console, redaction. It imports no other room."""
