"""Turns stored outputs of a model into answers that the fault-injecting engine plays.

The engine knows an answer by its whole prompt, since questions repeat their text with other
options. So the prompts are written here, by the protocol of MMLU-Pro and not by the harness that
is under test: a prompt that is off by one byte gets words without meaning for an answer.

Source: TIGER-Lab/MMLU-Pro, and lm-evaluation-harness 0.4.13, task ``mmlu_pro`` version 3.1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final

from tests.fakes.text import render_chat

LETTERS: Final = "ABCDEFGHIJ"
# Characters a token, so that no stored answer is longer than the harness allows.
TOKEN_CHARACTERS: Final = 4
MOST_TOKENS: Final = 2000
_LEAD: Final = "A: Let's think step by step. "


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read JSONL, whose texts may hold what Python takes for the end of a line."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]


def write_answers(
    path: Path,
    questions: Iterable[Mapping[str, Any]],
    shots: Sequence[Mapping[str, Any]],
    outputs: Mapping[Any, str],
    *,
    chat: bool = False,
) -> Path:
    """Write the engine's ``answers_file``.

    Args:
        path: the file.
        questions: rows of the dataset.
        shots: solved rows that stand before each question, in order.
        outputs: stored text by ``question_id``; a question without one gets no answer.
        chat: whether the questions come as turns.
    """
    write = chat_prompt if chat else completions_prompt
    rows = [
        _row(write(question, shots), outputs[question["question_id"]])
        for question in questions
        if question["question_id"] in outputs
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def stored_outputs(path: Path) -> dict[Any, str]:
    """Read a model's stored outputs, in either of the forms that MMLU-Pro's authors publish.

    Where a provider gave no text there is none, and lm-evaluation-harness reads nothing from it.
    """
    return {
        row["question_id"]: str(row.get("generated_text", row.get("model_outputs")) or "")
        for row in read_rows(path)
    }


def completions_prompt(question: Mapping[str, Any], shots: Sequence[Mapping[str, Any]]) -> str:
    """Write the prompt of one question as one text."""
    solved = [f"{_ask(shot)} {_solution(shot)}" for shot in shots]
    return _description(question) + "\n\n".join([*solved, _ask(question)])


def chat_prompt(question: Mapping[str, Any], shots: Sequence[Mapping[str, Any]]) -> str:
    """Write the prompt of one question as the engine sees its turns."""
    turns = [{"role": "system", "content": _description(question)}]
    for shot in shots:
        turns.append({"role": "user", "content": _ask(shot)})
        turns.append({"role": "assistant", "content": _solution(shot)})
    return render_chat([*turns, {"role": "user", "content": _ask(question)}])


def _description(row: Mapping[str, Any]) -> str:
    subject = row["category"]
    return (
        f"The following are multiple choice questions (with answers) about {subject}. Think step "
        'by step and then finish your answer with "the answer is (X)" where X is the correct '
        "letter choice.\n"
    )


def _ask(row: Mapping[str, Any]) -> str:
    options = zip(LETTERS, row["options"], strict=False)
    lines = [f"{letter}. {option.strip()}" for letter, option in options]
    return "\n".join(
        [
            "Question:",
            row["question"],
            "Options:",
            *lines,
            "Answer: Let's think step by step.",
        ]
    )


def _solution(row: Mapping[str, Any]) -> str:
    return str(row["cot_content"]).replace(_LEAD, "")


def _row(prompt: str, text: str) -> dict[str, Any]:
    return {
        "prompt_sha256": hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest(),
        "text": text,
        "output_tokens": min(MOST_TOKENS, len(text) // TOKEN_CHARACTERS + 1),
    }
