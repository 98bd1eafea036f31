"""What samples come to."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.load.failure import Failure
from hwval.load.failure import FailureKind
from hwval.load.health import Health
from hwval.load.run import LoadRun
from hwval.load.sample import Sample
from hwval.load.summary import Goals
from hwval.load.summary import summarise

S = 10**9
CUT = Failure(FailureKind.DEADLINE, "the run had 5 s")
BUSY = Failure(FailureKind.STATUS, "busy", 503)
QUIET = Health(wall_s=10, cpu_s=1, starved_s=0.1, lags_ns=array("q", [1_000_000] * 100))


def sample(
    index: int = 0,
    sent_s: float = 1.0,
    tokens_s: tuple[float, ...] = (1.5, 2.0, 3.0),
    failure: Failure | None = None,
    *,
    due_s: float | None = None,
    is_held: bool = False,
) -> Sample:
    times = array("q", [round(one * S) for one in tokens_s])
    return Sample(
        index=index,
        due_ns=None if due_s is None else round(due_s * S),
        sent_ns=round(sent_s * S),
        ended_ns=times[-1] if times else round(sent_s * S),
        token_ns=times,
        output_tokens=len(times),
        is_counted=True,
        input_tokens=10,
        finish_reason="length",
        failure=failure,
        is_held=is_held,
    )


def run(*samples: Sample, healths: tuple[Health, ...] = (QUIET,)) -> LoadRun:
    return LoadRun(samples, (), healths, "uvloop")


def test_numbers_are_those_of_good_answers() -> None:
    """Tokens and times of an answer that failed are in no number."""
    summary = summarise(
        run(
            sample(0),
            sample(1, 2.0, (3.0, 4.0, 5.0)),
            sample(2, 2.0, (2.0, 2.0, 2.0, 9.0), BUSY),
        )
    )

    assert (summary.requests, summary.failed) == (3, 1)
    assert summary.duration_s == 8.0
    assert (summary.output_tokens, summary.output_tokens_per_s) == (6, 0.75)
    assert (summary.input_tokens, summary.request_per_s) == (20, 0.25)
    assert summary.ttft_s is not None
    assert (summary.ttft_s.mean, summary.ttft_s.p50) == (0.75, 0.75)
    assert summary.itl_s is not None
    assert (summary.itl_s.mean, summary.itl_s.p50) == (0.875, 1.0)
    assert summary.tpot_s is not None
    assert summary.tpot_s.p50 == 0.875
    assert summary.e2el_s is not None
    assert summary.e2el_s.p50 == 2.5
    assert summary.failures == {"status 503": 1}
    assert summary.failure_examples == {"status 503": "busy"}


@given(ttfts=st.lists(st.floats(0.001, 100), min_size=1, max_size=60))
def test_percentiles_are_numpys(ttfts: list[float]) -> None:
    """Linear interpolation, as other tools have it."""
    found = summarise(run(*(sample(n, 1.0, (1.0 + ttft,)) for n, ttft in enumerate(ttfts)))).ttft_s

    assert found is not None
    assert (found.p50, found.p90, found.p99) == pytest.approx(
        tuple(np.percentile(ttfts, (50, 90, 99))), rel=1e-6, abs=2e-9
    )


def test_json_has_the_promised_keys_and_no_nan() -> None:
    """What was not measured is null, never 0."""
    nothing = summarise(run(sample(0, 0.0, (), BUSY))).to_json()
    text = json.dumps(nothing, allow_nan=False)
    good = summarise(run(sample())).to_json()

    assert json.loads(text)["ttft_s"] is None
    assert nothing["request_per_s"] is None
    assert set(good["itl_s"]) == {"mean", "p50", "p90", "p99"}
    assert {
        *("requests", "failed", "duration_s", "output_tokens", "output_tokens_per_s"),
        *("request_per_s", "ttft_s", "itl_s", "tpot_s", "e2el_s", "client_bound"),
    } <= set(good)


def test_what_the_end_cut_is_no_failure() -> None:
    """Counted by itself, and in no number."""
    unsent = sample(3, 0.0, (), Failure(FailureKind.UNSENT, "the run had 5 s"))
    summary = summarise(run(sample(0), sample(1, failure=BUSY), sample(2, failure=CUT), unsent))

    assert (summary.requests, summary.answered, summary.failed) == (4, 1, 1)
    assert (summary.unfinished, summary.unsent) == (1, 1)
    assert summary.ended_by == "the run had 5 s"
    assert summary.failures == {"status 503": 1}
    assert summary.output_tokens == 3
    assert any("1 request ran when the run ended" in note for note in summary.notes)
    assert summarise(run(sample())).ended_by is None


class TestGoals:
    def test_goodput_counts_what_keeps_all_goals(self) -> None:
        """A request that failed keeps none."""
        samples = [sample(0), sample(1, 1.0, (1.2, 2.9)), sample(2, failure=BUSY)]
        summary = summarise(run(*samples), Goals(ttft_s=0.3, e2el_s=2.0))

        assert summary.good_share == pytest.approx(1 / 3)
        assert summary.goodput_request_per_s == 0.5
        assert summary.missed_goals
        assert not summarise(run(*samples), Goals(ttft_s=0.3, share=0.3)).missed_goals

    def test_time_per_token_of_one_token_keeps_any_goal(self) -> None:
        """There is none to be too long."""
        assert Goals(tpot_s=0.1).are_met(sample(0, 1.0, (5.0,)))
        assert not Goals(tpot_s=0.1).are_met(sample(0))

    def test_what_the_end_left_open_is_no_miss(self) -> None:
        """A request that was cut has missed a goal only if it was already beyond it."""
        unsent = sample(1, 0.0, (), CUT._replace(kind=FailureKind.UNSENT))
        early = replace(sample(2, 1.0, (), CUT), ended_ns=round(1.2 * S))
        late = replace(sample(3, 1.0, (), CUT), ended_ns=round(1.7 * S))
        slow = replace(sample(4, 1.0, (1.1,), CUT), ended_ns=9 * S)
        goals = Goals(ttft_s=0.5, e2el_s=3.0)

        assert [goals.are_open(one) for one in (unsent, early, late, slow)] == [
            *(True, True),
            *(False, False),
        ]
        assert not goals.are_open(sample(0))
        assert summarise(run(sample(0), unsent, early), goals).good_share == 1
        assert summarise(run(sample(0), late), goals).good_share == 0.5
        assert summarise(run(unsent), goals).good_share is None

    def test_without_goals_there_is_no_goodput(self) -> None:
        """None, not all."""
        summary = summarise(run(sample()))

        assert (summary.goodput_request_per_s, summary.good_share) == (None, None)
        assert not summary.missed_goals


class TestClientBound:
    @pytest.mark.parametrize(
        ("health", "reason"),
        [
            (replace(QUIET, cpu_s=9.5), "used 95% of its core"),
            (replace(QUIET, lags_ns=array("q", [60_000_000] * 9)), "60.0 ms late"),
            (
                replace(QUIET, lags_ns=array("q", [25_020_000] * 9)),
                "up to 25.02 ms late (p95), more than 25.00 ms",
            ),
            (replace(QUIET, starved_s=2.0), "waited for a core in 20%"),
        ],
        ids=["cpu", "lag", "barely", "starved"],
    )
    def test_generator_that_was_the_limit_says_so(self, health: Health, reason: str) -> None:
        """Naming the process and the sign."""
        summary = summarise(run(sample(), healths=(QUIET, health)))

        assert summary.client_bound
        (found,) = summary.client_bound_reasons
        assert found.startswith("process 2 of 2")
        assert reason in found

    def test_requests_that_were_sent_late_say_so(self) -> None:
        """In an open loop the times of sending are part of the question."""
        late = summarise(run(*(sample(n, 1.0, (1.1,), due_s=0.9) for n in range(5))))
        right = summarise(run(*(sample(n, 1.0, (1.1,), due_s=0.9995) for n in range(5))))

        assert late.client_bound
        assert late.send_lag_p99_s == pytest.approx(0.1)
        assert not right.client_bound

    def test_requests_that_the_concurrency_held_back_are_its_own(self) -> None:
        """The server was slower than the rate; the generator did as it was told."""
        samples = [sample(n, 1.0, (1.1,), due_s=0.5, is_held=True) for n in range(5)]
        summary = summarise(LoadRun(tuple(samples), (), (QUIET,), "uvloop", concurrency=4))

        assert not summary.client_bound
        assert summary.concurrency_bound
        assert summary.concurrency_bound_reason == (
            "5 of 5 requests were sent up to 500.0 ms late (p99), since 4 were in flight already "
            "(--concurrency)"
        )

    def test_generator_without_connections_left_is_the_limit(self) -> None:
        """Where nobody asked for one."""
        summary = summarise(
            run(*(sample(n, 1.0, (1.1,), due_s=0.5, is_held=True) for n in range(2)))
        )

        assert not summary.concurrency_bound
        (reason,) = summary.client_bound_reasons
        assert "all connections of the generator were in use" in reason

    def test_quiet_generator_is_believed(self) -> None:
        """Also where the kernel tells nothing, or the run was too short for a timer."""
        quiet = replace(QUIET, starved_s=None, lags_ns=array("q"))
        summary = summarise(run(sample(), healths=(QUIET, quiet)))

        assert not summary.client_bound
        assert summary.clients[1].loop_lag_p95_s is None


def test_notes_tell_what_numbers_cannot() -> None:
    """Few requests, events for tokens, several tokens an event, early ends, failed warm-ups."""
    odd = replace(sample(), is_counted=False, output_tokens=6, finish_reason="stop")
    summary = summarise(LoadRun((odd,), (sample(failure=BUSY),), (QUIET,), "uvloop"))
    text = " ".join(summary.notes)

    assert "p99 of 1 request " in text
    assert "no usage" in text
    assert "2.00 tokens on average" in text
    assert "1 answer ended before" in text
    assert "1 of 1 warm-up request failed" in text
    assert summary.output_tokens_from == "events"
    assert summarise(run(odd, sample(1))).output_tokens_from == "mixed"
    assert summarise(run(*(sample(n) for n in range(100)))).notes == ()
