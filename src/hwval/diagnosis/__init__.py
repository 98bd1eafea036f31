"""Root causes: from a log and what is known around it to the cause, its evidence and a remedy."""

from __future__ import annotations

from hwval.diagnosis.diagnose import Circumstances
from hwval.diagnosis.diagnose import diagnose
from hwval.diagnosis.finding import Diagnosis
from hwval.diagnosis.finding import Evidence

__all__ = ["Circumstances", "Diagnosis", "Evidence", "diagnose"]
