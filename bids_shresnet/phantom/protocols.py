"""The two simulated scanners: an older GE (the source) and a newer Siemens (the target)."""

from __future__ import annotations

from bids_shresnet.phantom.scanner import PhantomScanner

SOURCE_SESSION = "ge"  # session labels, as if named after sites
TARGET_SESSION = "prisma"
SCANNERS = {
    SOURCE_SESSION: PhantomScanner(
        sidecar={
            "Manufacturer": "GE",
            "ManufacturersModelName": "SIGNA EXCITE",
            "DeviceSerialNumber": "000000PHANTMR1",
            "MagneticFieldStrength": 3,
            "PhaseEncodingDirection": "j",
            "TotalReadoutTime": 0.06,
            "RepetitionTime": 12.0,
        },
        directions=30,
        table_seed=1,
        b0_count=2,
        te_ms=92.0,
        psf_mm=3.5,
        snr=20.0,
        b_gain=1.01,
        nonlinearity=0.03,
        radial_gain=1.04,
        grey_gain=1.10,
        receive_rise=0.2,
        distortion_mm=1.0,
    ),
    TARGET_SESSION: PhantomScanner(
        sidecar={
            "Manufacturer": "Siemens",
            "ManufacturersModelName": "Prisma",
            "DeviceSerialNumber": "99001",
            "MagneticFieldStrength": 3,
            "PhaseEncodingDirection": "j-",
            "TotalReadoutTime": 0.04,
            "RepetitionTime": 8.4,
        },
        directions=30,
        table_seed=2,
        b0_count=4,
        b0_bvalue=5.0,
        tilt_degrees=(8.0, 3.0, -4.0),
        te_ms=80.0,
        psf_mm=3.0,
        snr=30.0,
        receive_rise=0.1,
        distortion_mm=0.5,
    ),
}
T1W_SIDECAR = {"EchoTime": 0.003, "RepetitionTime": 2.3, "InversionTime": 0.9, "FlipAngle": 9}
