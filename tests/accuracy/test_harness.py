"""lm-evaluation-harness against a live engine that plays stored answers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from typing import NamedTuple

import httpx
import pytest

from hwval.accuracy.job import PARTIAL_FILE
from hwval.accuracy.job import RESULTS_FILE
from hwval.accuracy.job import SAMPLES_FILE
from hwval.accuracy.job import TABLE_FILE
from hwval.accuracy.job import News
from hwval.accuracy.job import Score
from hwval.accuracy.process import LOG_FILE
from hwval.accuracy.process import run_task
from hwval.accuracy.samples import read_samples
from hwval.errors import EngineUnreachable
from hwval.errors import HwvalError
from hwval.errors import LabError
from hwval.errors import UsageError
from tests.accuracy import served
from tests.fakes import text
from tests.fakes.process import FakeEngineProcess
from tests.fakes.replay import read_rows
from tests.fakes.replay import stored_outputs


def ask(engine: FakeEngineProcess, out_dir: Path, **fields: Any) -> tuple[Score, list[News]]:
    """Run a job and return its score and everything that was told on the way."""
    told: list[News] = []
    job = served.job_for(engine, out_dir, **fields)
    return run_task(job, api_key=served.KEY, tell=told.append), told


class Result(NamedTuple):
    """A job that is done."""

    score: Score
    told: list[News]
    folder: Path


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEngineProcess]:
    """An engine that knows the answers of nobody to the dozen questions."""
    with served.serving(served.own_answers(tmp_path_factory.mktemp("own"))) as engine:
        yield engine


@pytest.fixture(scope="module")
def results(
    engine: FakeEngineProcess, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """The dozen questions by completions and by chat."""
    made = {}
    for api in ("completions", "chat"):
        folder = tmp_path_factory.mktemp(api)
        made[api] = Result(*ask(engine, folder / "out", api=api), folder / "out")
    return made


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_stored_answers_give_their_exact_score(results: dict[str, Result], api: str) -> None:
    """Prompts, extraction and score are those of MMLU-Pro, by completions and by chat."""
    score, told, _ = results[api]

    assert (score.right, score.unparsed, score.cut_off) == (served.RIGHT, served.UNPARSED, 0)
    assert (score.questions, score.of_questions) == (served.QUESTIONS, served.QUESTIONS)
    assert score.value == served.RIGHT / served.QUESTIONS
    expected = math.sqrt(score.value * (1 - score.value) / (served.QUESTIONS - 1))
    assert score.stderr == pytest.approx(expected, abs=1e-12)
    assert (score.task_version, score.harness_version, score.shots) == ("3.1", "0.4.13", 5)
    assert (score.metric, score.max_tokens) == ("exact_match,custom-extract", 2048)
    assert told[-1] == News(served.QUESTIONS, served.QUESTIONS, served.RIGHT, 0)
    assert [news.answered for news in told] == list(range(1, served.QUESTIONS + 1))


def test_every_answer_is_kept_with_what_was_made_of_it(results: dict[str, Result]) -> None:
    """Question, prompt, expected and extracted answer, text, end and time stand side by side."""
    samples = read_samples(results["completions"].folder / SAMPLES_FILE)
    outputs = stored_outputs(served.OUTPUTS)

    assert [one.answer for one in samples] == [outputs[one.question_id] for one in samples]
    assert [one.index for one in samples] == list(range(served.QUESTIONS))
    assert [one.question_id for one in samples if one.unparsed] == ["own-10", "own-12"]
    assert [one.question_id for one in samples if not one.correct and not one.unparsed] == [
        "own-8",
        "own-9",
    ]
    assert len({one.question_hash for one in samples}) == served.QUESTIONS
    assert len({one.prompt_hash for one in samples}) == served.QUESTIONS
    assert {one.finish_reason for one in samples} == {"stop"}
    assert all(one.latency_s and one.output_tokens for one in samples)


def test_the_table_is_the_harness_s_own(results: dict[str, Result]) -> None:
    """It is kept as lm-evaluation-harness prints it, beside its results."""
    folder = results["completions"].folder
    table = (folder / TABLE_FILE).read_text("utf-8")
    told = served.read_json(folder / RESULTS_FILE)

    assert "|biology|    3.1|custom-extract|     5|exact_match|↑  |0.6667|±  |0.1421|" in table
    assert told["results"]["mmlu_pro_biology"]["exact_match,custom-extract"] == 8 / 12


def test_hashes_tell_questions_from_prompts(results: dict[str, Result]) -> None:
    """The data are the same by chat, the prompts are not."""
    plain, chat = results["completions"].score, results["chat"].score

    assert plain.samples_sha256 == chat.samples_sha256
    assert plain.prompts_sha256 != chat.prompts_sha256
    assert plain.task_hash != chat.task_hash


def test_the_key_stands_in_no_file(results: dict[str, Result]) -> None:
    """It travels by the environment alone."""
    files = [path for result in results.values() for path in result.folder.iterdir()]

    assert len(files) == 2 * 4
    assert not [path for path in files if served.KEY.encode() in path.read_bytes()]


def test_the_first_questions_alone_say_so(
    engine: FakeEngineProcess, results: dict[str, Result], tmp_path: Path
) -> None:
    """The score knows how many there are, and a part of the data is other data."""
    score, _ = ask(engine, tmp_path / "out", limit=5)

    assert (score.questions, score.of_questions, score.right) == (5, served.QUESTIONS, 5)
    assert score.samples_sha256 != results["completions"].score.samples_sha256


def test_chosen_questions_of_files_by_split(engine: FakeEngineProcess, tmp_path: Path) -> None:
    """Files may be called anything; samples keep the positions of the whole task."""
    files = {}
    for split in ("test", "validation"):
        files[split] = str(tmp_path / f"my_{split}_rows.jsonl")
        Path(files[split]).write_text((served.SHIPPED / f"{split}.jsonl").read_text("utf-8"))
    score, _ = ask(engine, tmp_path / "out", dataset=files, subset=(11, 7, 2))
    samples = read_samples(tmp_path / "out" / SAMPLES_FILE)

    assert (score.questions, score.right) == (3, 1)
    assert {one.index: one.question_id for one in samples} == {11: "own-12", 7: "own-8", 2: "own-3"}
    assert score.dataset == ", ".join(sorted(files.values()))


def test_shots_and_length_may_be_set(tmp_path: Path) -> None:
    """An answer that is longer than allowed is cut off, which its end tells."""
    answers = served.own_answers(tmp_path, shots=1)
    long = [row | {"output_tokens": 40} for row in read_rows(answers)]
    answers.write_text("".join(json.dumps(row) + "\n" for row in long), "utf-8")
    with served.serving(answers) as engine:
        score, _ = ask(engine, tmp_path / "out", shots=1, max_tokens=10)
    whole = stored_outputs(served.OUTPUTS)["own-1"]

    assert (score.shots, score.max_tokens, score.right) == (1, 10, 0)
    assert (score.cut_off, score.unparsed) == (served.QUESTIONS, served.QUESTIONS)
    assert read_samples(tmp_path / "out" / SAMPLES_FILE)[0].answer == whole[: len(whole) // 4]


def test_an_interrupted_task_asks_only_what_is_missing(tmp_path: Path) -> None:
    """The server dies half way; the next one is asked the rest, and the score tells of it."""
    answers, kept = served.own_answers(tmp_path), tmp_path / "kept" / "answers.jsonl"
    fields = {"answers_file": str(kept), "concurrency": 1}
    with (
        served.serving(answers, die_after_requests=7) as engine,
        pytest.raises(EngineUnreachable, match=r"question 7: .* \(7 of 12 questions answered; "),
    ):
        ask(engine, tmp_path / "first", **fields)
    with served.serving(answers) as engine:
        score, told = ask(engine, tmp_path / "second", **fields)
        asked = len(httpx.get(f"{engine.base_url}/fake/requests").json())

    assert len(read_samples(tmp_path / "first" / PARTIAL_FILE)) == 7
    assert not (tmp_path / "first" / SAMPLES_FILE).exists()
    assert (score.reused, score.right, score.questions) == (7, served.RIGHT, served.QUESTIONS)
    assert told[-1].reused == 7
    assert asked == served.QUESTIONS - 7
    samples = read_samples(tmp_path / "second" / SAMPLES_FILE)
    assert [one.reused for one in samples] == [True] * 7 + [False] * 5


def compared(folder: Path) -> tuple[dict[str, Any], list[list[float]]]:
    """Write six questions with choices, and tell how likely each choice is; the last one is long.

    That is worked out from the engine's own numbers, by the words of the task.
    """
    rows, likelihoods = [], []
    for number in range(6):
        choices = [f" {' '.join(words)}" for words in (["ba"], ["be", "bi"], ["bo"], ["du", "ga"])]
        question = f"Which is it, {number}?" + " ba" * 3000 * (number == 5)
        lead = f"Question: {question}\nAnswer:"
        start = len(text.encode(lead))
        sums = [
            sum(
                text.logprob(token, place)
                for place, token in enumerate(text.encode(f"{lead} {choice}"))
                if place >= start
            )
            for choice in choices
        ]
        likelihoods.append(sums)
        key = "ABCD"[number % 4]
        labelled = {"text": choices, "label": list("ABCD")}
        rows.append(
            {"id": f"q{number}", "question": question, "choices": labelled} | {"answerKey": key}
        )
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text(lines, "utf-8")
    return {"task": "arc_easy", "dataset": str(folder), "concurrency": 1}, likelihoods


def test_compared_choices_are_kept_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server dies half way; what it told of whole questions and of single choices counts.

    A prompt of any length is asked whole, and no proxy of the lab is asked.
    """
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    data, kept = tmp_path / "data", tmp_path / "kept.jsonl"
    data.mkdir()
    fields, likelihoods = compared(data)
    right = [one.index(max(one)) == number % 4 for number, one in enumerate(likelihoods)]
    fields["answers_file"] = str(kept)
    flags = ["--enable-tokenizer-info-endpoint"]
    answers = served.own_answers(tmp_path)
    with (
        served.serving(answers, arguments=flags, die_after_requests=10) as engine,
        pytest.raises(EngineUnreachable, match=r"question 2: .* \(2 of 6 questions answered; "),
    ):
        ask(engine, tmp_path / "first", **fields)
    with served.serving(answers, arguments=flags) as engine:
        score, told = ask(engine, tmp_path / "second", **fields)
        asked = len(httpx.get(f"{engine.base_url}/fake/requests", trust_env=False).json())
    samples = read_samples(tmp_path / "second" / SAMPLES_FILE)

    assert len(read_samples(tmp_path / "first" / PARTIAL_FILE)) == 2
    assert asked == 4 * 6 - 10
    assert [json.loads(one.answer) for one in samples] == [
        pytest.approx(one, abs=1e-9) for one in likelihoods
    ]
    assert [one.correct for one in samples] == right
    assert (score.right, score.questions, score.metric) == (sum(right), 6, "acc,none")
    assert (score.unparsed, score.cut_off, score.reused) == (0, 0, 3)
    assert score.max_tokens is None
    assert told[-1] == News(6, 6, sum(right), 3)
    assert not kept.exists()
    assert samples[0].settings is not None
    assert samples[0].settings["echo"] is True


def test_choices_need_the_server_s_tokenizer(engine: FakeEngineProcess, tmp_path: Path) -> None:
    """The remedy is told."""
    fields, _ = compared(tmp_path)
    with pytest.raises(UsageError, match="enable-tokenizer-info-endpoint: true"):
        ask(engine, tmp_path / "out", **fields)


@pytest.mark.parametrize(
    ("fields", "kind", "problem"),
    [
        ({"dataset": str(served.OUTPUTS.parent)}, LabError, "cannot be had"),
        ({"samples_sha256": "0" * 64}, LabError, "not those that were meant"),
        ({"metric": "acc,none"}, UsageError, "no metric 'acc,none', but exact_match,custom-extr"),
        ({"task": "mmlu_pro_biolgy"}, UsageError, "did you mean 'mmlu_pro_biology'"),
    ],
    ids=["content", "hash", "metric", "task"],
)
def test_bad_input_is_told_before_a_question_is_asked(
    engine: FakeEngineProcess,
    tmp_path: Path,
    fields: dict[str, Any],
    kind: type[HwvalError],
    problem: str,
) -> None:
    """One line with the task and the remedy; the server hears nothing of it."""
    with pytest.raises(kind) as caught:
        ask(engine, tmp_path / "out", **fields)

    assert type(caught.value) is kind
    assert problem in str(caught.value)
    assert "questions answered" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOG_FILE]


def test_data_of_another_commit_are_refused(
    engine: FakeEngineProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the Hub the datasets library takes what it has, whatever was asked for."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ask(engine, tmp_path / "first", limit=1)
    (kept,) = (tmp_path / "datasets").glob("biology/default/*/*/")
    commit = tmp_path / "datasets" / "TIGER-Lab___mmlu-pro" / "default" / "0.0.0" / ("a" * 40)
    commit.parent.mkdir(parents=True)
    kept.rename(commit)
    for path in commit.glob("biology-*"):
        path.rename(commit / path.name.replace("biology", "mmlu-pro"))
    ask(engine, tmp_path / "same", dataset=None, revision=commit.name, limit=1)
    score, _ = ask(engine, tmp_path / "any", dataset=None)

    assert (score.right, score.dataset) == (served.RIGHT, f"TIGER-Lab/MMLU-Pro@{commit.name}")
    with pytest.raises(LabError, match=f"are of commit {commit.name}, and the matrix pins bbb"):
        ask(engine, tmp_path / "other", dataset=None, revision="b" * 40)
