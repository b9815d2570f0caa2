"""Pictures of a run: what they show (plots), as shapes (shapes), written as SVG or PNG."""
