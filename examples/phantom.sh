#!/bin/sh
# Train once, harmonize one subject, as a job of an array would, and compare it with the truth.
# Usage: phantom.sh FOLDER [flags of bids-shresnet-phantom, such as --voxel-mm 8]
set -eu
folder=${1:?usage: phantom.sh FOLDER [flags of bids-shresnet-phantom]}
shift
bids-shresnet-phantom "$folder/phantom" "$@"

# Little training, to see it work; leave it out for real data. TRAINING=--sloppy: hardly any.
set -- ${TRAINING:---training.max-epochs 3 --training.voxels-per-epoch 10000}

# Once: a model folder for each pair of scanners, and group.html, which says whether it helps
# (here there are too few subjects to tell).
bids-shresnet "$folder/phantom/bids" "$folder/out" group --methods patch_linear "$@"

# One job per subject: load the models and harmonize. sub-04 was never on the target scanner.
bids-shresnet "$folder/phantom/bids" "$folder/out" participant --participant-label 04 "$@"

bids-shresnet-phantom "$folder/phantom" --score "$folder/out"
