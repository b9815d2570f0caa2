"""What every room uses: times, text, units, errors, the console, redaction. It imports no other room."""
