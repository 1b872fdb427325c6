#!/bin/bash
# Submits the stages; each one begins when the one before has succeeded.
set -euo pipefail
prepare=$(sbatch --parsable /study/slurm/prepare.sbatch)
echo "prepare: job $prepare"
train=$(sbatch --parsable --kill-on-invalid-dep=yes --dependency=afterok:"$prepare" /study/slurm/train.sbatch)
echo "train: job $train"
evaluate=$(sbatch --parsable --kill-on-invalid-dep=yes --dependency=afterok:"$train" /study/slurm/evaluate.sbatch)
echo "evaluate: job $evaluate"
participant=$(sbatch --parsable --kill-on-invalid-dep=yes --dependency=afterok:"$evaluate" /study/slurm/participant.sbatch)
echo "participant: job $participant"
