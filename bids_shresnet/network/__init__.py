"""The network: tensors in, tensors out; no images, no BIDS."""
