"""The I/O of a diagnosis: each file asks one source and returns facts; what could not be asked becomes a Gap."""
