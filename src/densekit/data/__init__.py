"""From what users hand in to columns and batches: adapters, feeds, splits, `PyDataset`."""
