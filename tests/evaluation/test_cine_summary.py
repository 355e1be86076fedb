from __future__ import annotations

from custom.evaluation.cine_summary import cine_markdown, cine_rows, summarise_cine
from custom.metrics import ejection

ROW = {"subject": "a", "key": "1", "slice": 0, "method": "truth", "frames": 2, "unit": "mm2", "flicker": 0.0}


def test_a_scan_that_came_twice_counts_once_and_two_scans_of_a_subject_both():
    rows = cine_rows(
        [ROW | {"key": key, "areas": areas} for key, areas in (("1", [8.0, 2.0]), ("1", [8.0, 2.0]), ("2", [4.0, 1.0]))]
    )
    assert [r["change"] for r in rows] == [0.75, 0.75]
    assert summarise_cine(rows)["slices"] == 2
    assert rows[0]["change"] == ejection([8.0, 2.0])


def test_agreement_is_in_percent_of_the_largest_area_of_the_truth():
    areas = {("truth", 0): [200.0, 50.0], ("truth", 1): [100.0, 40.0], ("m", 0): [210.0, 70.0], ("m", 1): [110.0, 30.0]}
    rows = [ROW | {"slice": k, "method": method, "areas": found} for (method, k), found in areas.items()]
    summary = summarise_cine(cine_rows(rows))
    found = summary["agreement_with_truth"]["m"]
    assert found["largest_area_percent"]["bias"] == (5 + 10) / 2
    assert found["smallest_area_percent"]["bias"] == (10 - 10) / 2
    assert summary["methods"]["m"]["change"]["mean"] == 1 - 100 / 320
    assert "| m | 0.00000 | 0.688 |" in cine_markdown(summary)
