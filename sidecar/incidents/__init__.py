"""From what the streams say to incidents: OOM kills counted and placed, deaths explained, blind spans told. Pure."""
