"""Models drawn as diagrams: boxes, their places, and files of them."""
