from __future__ import annotations

from datetime import datetime

from bids_shresnet.inputs.acquisition_times import find_acquisition_time, read_acquisition_times

NAME = "sub-01_ses-ge_dwi.nii.gz"
SESSION = ("sub-01_ses-ge", {"acq_time": "1925-03-02T10:00:00"})
SCAN = (NAME, {"acq_time": "1925-03-02T10:30:00Z"})
SIDECAR = {"AcquisitionDateTime": "2020-03-02T11:00:00.000000"}


def test_the_sidecar_comes_before_the_row_of_the_scan_and_that_of_the_session() -> None:
    times = read_acquisition_times([SESSION, SCAN])
    assert find_acquisition_time(NAME, SIDECAR, times) == datetime(2020, 3, 2, 11)
    assert find_acquisition_time(NAME, {}, times) == datetime(1925, 3, 2, 10, 30)
    other = "sub-01_ses-ge_run-2_dwi.nii.gz"
    assert find_acquisition_time(other, {}, times) == datetime(1925, 3, 2, 10)
    assert find_acquisition_time("sub-02_ses-ge_dwi.nii.gz", {}, times) is None


def test_what_is_no_time_is_not_used() -> None:
    times = read_acquisition_times([("sub-01", {"acq_time": "morning"}), ("sub-02", {})])
    assert times == {}
    assert find_acquisition_time(NAME, {"AcquisitionDateTime": 7}, times) is None
