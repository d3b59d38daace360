"""The page for people without a shell: what the other routes answer, drawn as HTML. It is read in a browser at `/`."""
