from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from bids_shresnet.files.power import power_figure
from bids_shresnet.scans import Shell


def test_there_is_a_panel_for_every_shell_and_region_and_a_mark_for_every_scan() -> None:
    powers = 10.0 ** -np.arange(5)[None] * np.ones((20, 1))  # orders 0, 2, 4 of one shell and 0, 2 of the other
    shells = (Shell(1000.0, 4), Shell(2000.0, 2))
    scans = {"before": powers, "after": powers, "target": powers}
    drawing = power_figure({"White matter": scans, "Grey matter": scans}, shells, "Caption.")
    texts = ["".join(e.itertext()) for e in ET.fromstring(drawing.svg).iter() if e.tag.endswith("text")]
    for region in ("White matter", "Grey matter"):
        for bvalue in (1000, 2000):
            assert f"{region}, source b = {bvalue} s/mm²" in texts
    assert texts.count("order l") == texts.count("RISH of S/S0 (no unit)") == 4
    assert [text for text in texts if text in scans] == ["before", "after", "target"]
    assert drawing == power_figure({"White matter": scans, "Grey matter": scans}, shells, "Caption.")
