"""The host command line: one table of verbs (`verbs`), and a module where a verb is more than one call."""
