"""Stored outputs of every kind give exactly what lm-evaluation-harness's documented filter gives.

The score is worked out here from the stored texts alone: the first match of the task's regular
expression, held against the right letter.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from typing import Final

import pytest

from hwval.accuracy.job import SAMPLES_FILE
from hwval.accuracy.process import run_task
from hwval.accuracy.samples import read_samples
from tests.accuracy import served
from tests.fakes.replay import read_rows
from tests.fakes.replay import stored_outputs
from tests.fakes.replay import write_answers

_EXTRACT: Final = re.compile(r"answer is \(?([ABCDEFGHIJ])\)?")
_SUBJECT: Final = "computer science"
# Right letter, and what a model wrote.
_OUTPUTS: Final = [
    ("A", " The answer is (A). No, wait: the answer is (B)."),
    ("B", " The answer is (A). No, wait: the answer is (B)."),
    ("C", " the answer is (c)."),
    ("C", " The Answer is: C"),
    ("C", " **Answer: C**"),
    ("D", " The answer is D"),
    ("E", " The answer is (E"),
    ("A", " The answer is Apple."),
    ("J", " The answer is (J).\n\n"),
    ("K", " The answer is (K)."),
    ("B", ""),
    ("B", None),
    ("F", " Überlegt …\u2028\x85 答え\n\tThe answer is (F). \U0001f642 \u202eabc"),
    ("G", " The answer\nis (G)."),
    ("H", ' "The answer is (H)" \\n {"a": [1]}'),
    ("I", " I do not know.\n\nQuestion:\nWhat else?\nThe answer is (I)."),
    ("A", " step " * 3000 + "The answer is (A)."),
    ("A", " The answer is (A)."),
    ("B", " The answer is (A)."),
]


def questions() -> list[dict[str, Any]]:
    """Return questions whose texts repeat with other options, of other scripts and many options."""
    rows = []
    for number, (letter, _) in enumerate(_OUTPUTS):
        options = [f"  option {number}.{place} é世 \n" for place in range(10)]
        rows.append(
            {
                "question_id": 1000 + number,
                "question": f"Which one?\u2028 “{number // 3}” \\frac{{1}}{{2}}\nReally? ",
                "options": [*options, "N/A", "one too many"][: 3 + number % 10],
                "answer": letter,
                "answer_index": ord(letter) - ord("A"),
                "cot_content": "",
                "category": _SUBJECT,
                "src": "synthetic",
            }
        )
    return rows


def write_set(folder: Path) -> dict[str, str]:
    """Write questions with some of another subject, solved examples, and outputs."""
    rows = questions()
    others = [row | {"question_id": 5000 + n, "category": "law"} for n, row in enumerate(rows)]
    mixed = [row for pair in zip(others, rows, strict=True) for row in pair]
    shots = [
        row | {"cot_content": f"A: Let's think step by step. It is. The answer is ({letter})."}
        for row, letter in zip(rows[:7], "ABCABCA", strict=True)
    ]
    outputs = [
        {"question_id": row["question_id"], "generated_text": text}
        for row, (_, text) in zip(rows, _OUTPUTS, strict=True)
    ]
    paths = {}
    for name, content in (("test", mixed), ("validation", shots), ("outputs", outputs)):
        paths[name] = str(folder / f"{name}.jsonl")
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        Path(paths[name]).write_text(lines, "utf-8")
    return paths


@pytest.mark.parametrize(("api", "limit"), [("completions", None), ("chat", 13)])
def test_any_stored_outputs_give_their_exact_score(
    tmp_path: Path, api: str, limit: int | None
) -> None:
    """Another subject than biology, by completions and by chat, whole and limited."""
    paths = write_set(tmp_path)
    texts = stored_outputs(Path(paths.pop("outputs")))
    asked = [row for row in read_rows(Path(paths["test"])) if row["category"] == _SUBJECT][:limit]
    shots = read_rows(Path(paths["validation"]))[:5]
    answers = tmp_path / "answers.jsonl"
    write_answers(answers, asked, shots, texts, chat=api == "chat")
    with served.serving(answers, ignore_stop=True) as engine:
        job = served.job_for(
            *(engine, tmp_path / "out"),
            task="mmlu_pro_computer_science",
            api=api,
            dataset=paths,
            limit=limit,
        )
        score = run_task(job, api_key=served.KEY, tell=lambda _: None)
    samples = read_samples(tmp_path / "out" / SAMPLES_FILE)
    found = [_EXTRACT.findall(texts[row["question_id"]])[:1] for row in asked]
    right = [one == [row["answer"]] for one, row in zip(found, asked, strict=True)]

    assert [one.answer for one in samples] == [texts[row["question_id"]] for row in asked]
    assert [one.correct for one in samples] == right
    assert [one.unparsed for one in samples] == [not one for one in found]
    assert (score.right, score.questions) == (sum(right), len(asked))
    assert (score.unparsed, score.of_questions) == (found.count([]), len(_OUTPUTS))
    assert score.cut_off == 0
