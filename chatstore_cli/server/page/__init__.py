"""The page for people without a shell: what the other routes answer, drawn as HTML."""
