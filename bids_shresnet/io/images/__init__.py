"""NIfTI images in canonical voxel order: headers, reading and writing."""
