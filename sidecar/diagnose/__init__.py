"""Why it does not work: gather (I/O) → Evidence → rules (pure) → Diagnosis → render (pure)."""
