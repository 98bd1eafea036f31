"""What is promised of a measurement, and whether it was kept."""

from __future__ import annotations

from hwval.threshold.check import Check
from hwval.threshold.check import invalid
from hwval.threshold.check import judge
from hwval.threshold.check import needs_more_rounds
from hwval.threshold.limit import Baseline
from hwval.threshold.limit import Limit
from hwval.threshold.limit import Limits
from hwval.threshold.limit import Relation
from hwval.threshold.limit import is_duration
from hwval.threshold.metric import METRICS
from hwval.threshold.metric import Metric
from hwval.threshold.metric import metric_of
from hwval.threshold.partner import find_partner
from hwval.threshold.relation import Partner
from hwval.threshold.relation import judge_ratio
from hwval.threshold.relation import relate

__all__ = [
    "METRICS",
    "Baseline",
    "Check",
    "Limit",
    "Limits",
    "Metric",
    "Partner",
    "Relation",
    "find_partner",
    "invalid",
    "is_duration",
    "judge",
    "judge_ratio",
    "metric_of",
    "needs_more_rounds",
    "relate",
]
