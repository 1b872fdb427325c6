#!/bin/sh
# Train once, then harmonize one subject, as a job of an array would. Usage: phantom.sh FOLDER
set -eu
out=${1:?usage: phantom.sh FOLDER}
set -- --training.max-epochs 3 --training.voxels-per-epoch 10000 # to see it work; leave it out for real data

bids-shresnet-phantom "$out/phantom"

# once: a model folder for each pair of scanners, and group.html, which says whether it helps (here: too few subjects)
bids-shresnet "$out/phantom/bids" "$out" group --methods patch_linear "$@"

# a job for each subject: loads the models and harmonizes; sub-05 was never on the target scanner
bids-shresnet "$out/phantom/bids" "$out" participant --participant-label 05 "$@"

find "$out/derivatives/shresnet/sub-05" -name "*desc-harmonized*"
