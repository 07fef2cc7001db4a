"""Tables of embeddings in files."""
