"""Does requiring modalities and answers keep exactly the patients who have them?"""

import pandas as pd
import pytest

from fusiondx.data.cohort import Cohort
from fusiondx.errors import ConfigError, DataError


@pytest.fixture
def cohort(tmp_path):
    (tmp_path / "omics.csv").write_text("patient_id,g\nB,1\nC,2\nD,3\n")
    frame = pd.DataFrame({"patient_id": list("ABCDE"), "age": [1, 2, 3, 4, 5], "label": ["x", "y", "", "x", "y"]})
    return Cohort.from_frame(
        frame,
        modalities={
            "clinical": {"kind": "table", "numeric": ["age"]},
            "omics": {"kind": "genomics", "file": "omics.csv"},
        },
        targets={"label": {"kind": "classes", "column": "label"}},
        data=tmp_path,
    )


@pytest.mark.parametrize(
    ("names", "ids"),
    [((), "ABCDE"), (["omics"], "BCD"), (["label"], "ABDE"), (["omics", "label"], "BD"), (["clinical"], "ABCDE")],
)
def test_those_who_have_all_stay_in_order(cohort, names, ids):
    kept = cohort.having(names)
    assert "".join(kept.ids) == ids
    assert list(kept.modalities) == list(cohort.modalities)


def test_a_name_that_is_neither_is_refused(cohort):
    with pytest.raises(ConfigError, match=r"no modality or target 'omic'\. Did you mean 'omics'\?"):
        cohort.having(["omic"])


def test_nobody_left_is_an_error(cohort):
    with pytest.raises(DataError, match="No patient has all of: omics"):
        cohort[[0, 4]].having(["omics"])
