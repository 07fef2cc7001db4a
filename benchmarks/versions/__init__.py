"""What changes between two versions of a graph, and of its embeddings."""
