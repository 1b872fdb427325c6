"""Means of tissues and regions over held-out subjects, as group studies compare them."""
