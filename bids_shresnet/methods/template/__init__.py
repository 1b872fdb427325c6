"""Methods in a template: linear RISH and voxel-wise ComBat."""
