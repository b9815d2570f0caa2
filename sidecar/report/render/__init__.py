"""One run document in many forms: HTML, Markdown, JUnit XML, charts. Pure."""
