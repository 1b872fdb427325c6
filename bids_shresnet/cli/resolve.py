"""From flags as they were typed to settings that can run: clean, expand and check them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bids_shresnet.config import (
    ANALYSIS_LEVELS,
    Config,
    InputSettings,
    ModelSettings,
    ResourceSettings,
    RunSettings,
    ScannerSettings,
)
from bids_shresnet.errors import UnknownLevel, UsageError
from bids_shresnet.settings import PAPER_NETWORK, PAPER_TRAINING, SH_ORDERS, SLOPPY_TRAINING

LABEL_PATTERN = re.compile(r"[0-9A-Za-z+]+")
ALIAS_PATTERN = re.compile("[^=]+=[0-9A-Za-z]+")
PAIR_PATTERN = re.compile("[^:]+:[^:]+")
DEVICE_PATTERN = re.compile(r"auto|cpu|cuda(:\d+)?")
MEMORY_PATTERN = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
BYTES_PER_UNIT = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MIN_MEMORY_MB = 256  # less is a number of GB without its unit
LONG_DASHES = ("\N{EN DASH}", "\N{EM DASH}")
DEBUG_VERBOSITY = 2


def resolve_config(config: Config) -> Config:
    """Clean the labels, expand the flags that stand for others, and check all of them.

    Resolved settings stay as they are when they are resolved again.

    Raises
    ------
    UnknownLevel
        If the analysis level is neither participant nor group.
    UsageError
        If flags contradict each other or a value is not possible.
    """
    resolved = replace(
        _expand_presets(config),
        input=_clean_input(config.input),
        run=_resolve_run(config.run),
    )
    resolved = replace(resolved, model=_compare_applied_method(resolved.model))
    _check_folders(resolved)
    _check_contradictions(resolved)
    _check_pairs(resolved.scanner)
    _check_aliases(resolved.scanner)
    _check_sh_order(resolved.model.sh_order)
    _check_stage(resolved)
    _check_resources(resolved.resource)
    return resolved


def _clean_input(settings: InputSettings) -> InputSettings:
    return replace(
        settings,
        participant_label=_clean_labels(settings.participant_label, "sub-"),
        exclude_participant_label=_clean_labels(settings.exclude_participant_label, "sub-"),
        session_label=_clean_labels(settings.session_label, "ses-"),
    )


def _clean_labels(labels: Iterable[str], prefix: str) -> tuple[str, ...]:
    """Remove the prefix of labels and repeated labels."""
    bare = tuple(dict.fromkeys(label.removeprefix(prefix) for label in labels))
    invalid = [label for label in bare if not LABEL_PATTERN.fullmatch(label)]
    if invalid:
        advice = "separate several by spaces; ranges and * are not expanded"
        if any(label.startswith(LONG_DASHES) for label in invalid):
            advice = "is it a flag with a long dash?"
        msg = f"not BIDS labels: {' '.join(invalid)}. They are letters and digits; {advice}"
        raise UsageError(msg)
    return bare


def _resolve_run(settings: RunSettings) -> RunSettings:
    """Use our name of the analysis level, and the verbosity that --debug stands for."""
    level = ANALYSIS_LEVELS.get(settings.analysis_level)
    if level is None:
        msg = f"unknown analysis level {settings.analysis_level}; it is participant or group"
        raise UnknownLevel(msg)
    verbose = max(settings.verbose, DEBUG_VERBOSITY) if settings.debug else settings.verbose
    return replace(settings, analysis_level=level, verbose=verbose)


def _expand_presets(config: Config) -> Config:
    """Set the network and the training that --paper and --sloppy stand for."""
    if config.model.paper:
        config = replace(
            config,
            network=replace(PAPER_NETWORK, resblocks=config.network.resblocks),
            training=replace(PAPER_TRAINING, folds=config.training.folds),
            model=replace(config.model, method="shresnet_projected"),
        )
    if config.run.sloppy:
        training = replace(SLOPPY_TRAINING, folds=config.training.folds)
        config = replace(config, training=training)
    return config


def _compare_applied_method(settings: ModelSettings) -> ModelSettings:
    """Add the method to apply to those that are compared."""
    if settings.method in settings.methods:
        return settings
    return replace(settings, methods=(settings.method, *settings.methods))


def _check_folders(config: Config) -> None:
    """Refuse to write into the dataset."""
    dataset = config.input.bids_dir.resolve()
    output = config.output.output_dir.resolve()
    if output.is_relative_to(dataset) and not output.is_relative_to(dataset / "derivatives"):
        place = "the dataset itself" if output == dataset else "inside the dataset"
        msg = (
            f"the output folder {config.output.output_dir} is {place}, which is only read; name "
            f"another one, or {config.input.bids_dir}/derivatives"
        )
        raise UsageError(msg)
    for flag, folder in (
        ("--bids-database-dir", config.input.bids_database_dir),
        ("--work-dir", config.output.work_dir),
    ):
        if folder is not None and folder.resolve().is_relative_to(dataset):
            msg = f"{flag} {folder} is inside the dataset, which is only read; name another one"
            raise UsageError(msg)


def _check_contradictions(config: Config) -> None:
    """Refuse flags that do not go together."""
    if config.run.json and not config.run.dry_run:
        msg = "--json says how --dry-run prints; give both"
        raise UsageError(msg)
    if config.input.validate_bids and config.input.skip_bids_validation:
        msg = "--validate-bids and --skip-bids-validation contradict each other; give one"
        raise UsageError(msg)
    if config.model.retrain and (config.model.models or config.run.stage != "all"):
        msg = (
            "--retrain trains every model of the output: it goes with neither --models nor --stage"
        )
        raise UsageError(msg)
    if config.harmonization.abstain and config.harmonization.output_directions == "target":
        msg = (
            "--abstain keeps measured voxels in their own directions, which "
            "--output-directions target cannot; give one"
        )
        raise UsageError(msg)


def _check_pairs(settings: ScannerSettings) -> None:
    """Refuse pairs that do not name two scanners, or that come with another target."""
    if settings.pair and settings.target:
        msg = "--pair names its target itself; leave --target out"
        raise UsageError(msg)
    for pair in settings.pair:
        if not PAIR_PATTERN.fullmatch(pair):
            msg = f"--pair {pair}: write SOURCE:TARGET, two scanners with a colon between them"
            raise UsageError(msg)


def _check_aliases(settings: ScannerSettings) -> None:
    """Refuse aliases that are no labels, or that make two scanners one."""
    for alias in settings.alias:
        if not ALIAS_PATTERN.fullmatch(alias):
            msg = f"--alias {alias}: write LABEL=NAME, with letters and digits as the name"
            raise UsageError(msg)
    names = [alias.partition("=")[2] for alias in settings.alias]
    if len(set(names)) < len(names):
        msg = f"--alias: {' '.join(names)} must be different names"
        raise UsageError(msg)


def _check_sh_order(order: int | None) -> None:
    if order is not None and order not in SH_ORDERS:
        msg = f"--sh-order {order}: only the even orders from 2 to 8 are supported"
        raise UsageError(msg)


def _check_stage(config: Config) -> None:
    """Refuse stages of a group run that do not go with the other flags."""
    stage = config.run.stage
    if stage != "all" and (config.run.analysis_level != "group" or config.model.models):
        msg = (
            f"--stage {stage} is a part of training models: it goes with `group`, "
            f"and without --models"
        )
        raise UsageError(msg)
    if config.run.fold and stage != "train":
        msg = "--fold says which folds --stage train fits; give both"
        raise UsageError(msg)
    if config.output.clean_workdir and stage != "all":
        msg = (
            f"--clean-workdir removes what other jobs need now; "
            f"remove the work folder before --stage {stage}"
        )
        raise UsageError(msg)


def _check_resources(settings: ResourceSettings) -> None:
    """Refuse a device that does not exist, and amounts below one."""
    if not DEVICE_PATTERN.fullmatch(settings.device):
        msg = f"--device {settings.device}: it is cpu, cuda, cuda:N or auto"
        raise UsageError(msg)
    for flag, count in (
        ("--nprocs", settings.nprocs),
        ("--omp-nthreads", settings.omp_nthreads),
        ("--mem", memory_limit(settings)),
    ):
        if count is not None and count < 1:
            msg = f"{flag} must be 1 or more"
            raise UsageError(msg)


def memory_limit(settings: ResourceSettings) -> int | None:
    """Return the bytes that --mem or --mem-gb allow; None without a limit.

    Raises
    ------
    UsageError
        If --mem is not an amount, or --mem-gb is given as well.
    """
    if settings.mem is None:
        return None if settings.mem_gb is None else int(settings.mem_gb * BYTES_PER_UNIT["G"])
    amount = MEMORY_PATTERN.fullmatch(settings.mem)
    if settings.mem_gb is not None or amount is None:
        msg = (
            f"--mem {settings.mem}: give one amount, in MB or with a unit (K, M, G or T), "
            f"or --mem-gb"
        )
        raise UsageError(msg)
    if not amount[2] and float(amount[1]) < MIN_MEMORY_MB:
        msg = f"--mem {settings.mem} is in MB, which is too little; write {settings.mem}G for GB"
        raise UsageError(msg)
    return int(float(amount[1]) * BYTES_PER_UNIT[amount[2].upper() or "M"])
