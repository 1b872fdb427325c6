"""From a dataset to a plan: what there is, what will be done, and what is wrong with it."""
