"""Root causes: from a log and what is known around it to the cause, its evidence and a remedy."""

from __future__ import annotations

from hwval.diagnosis.circumstances import Circumstances
from hwval.diagnosis.diagnose import diagnose
from hwval.diagnosis.diagnose import diagnose_file
from hwval.diagnosis.diagnose import diagnose_stream
from hwval.diagnosis.finding import Diagnosis
from hwval.diagnosis.finding import Evidence

__all__ = ["Circumstances", "Diagnosis", "Evidence", "diagnose", "diagnose_file", "diagnose_stream"]
