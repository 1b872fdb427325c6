"""A scan and a model in, a harmonized scan and its maps out."""
