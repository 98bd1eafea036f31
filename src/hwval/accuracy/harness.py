"""The one door to lm-evaluation-harness, in a process of its own: ``python -m`` this module.

Its imports take seconds and hundreds of megabytes, which no test run shall pay for. The job comes
as a file of JSON, the key of the server in the environment, news go to standard output as
`hwval.accuracy.job` says, everything else to standard error. The end of standard input is the end
of whoever wants to know, and of this process.

The harness makes the prompts, cuts the answers out, scores and prints the table; the asking is
`hwval.accuracy.asking`. Told to look at the data alone,
it asks nothing, and any number of jobs may be in the file, one a line.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final
from urllib.parse import urlsplit

from hwval.accuracy.answers import AnswerFile
from hwval.accuracy.asking import Asking
from hwval.accuracy.grading import Grader
from hwval.accuracy.grading import check_answerable
from hwval.accuracy.grading import digest
from hwval.accuracy.grading import question_hash
from hwval.accuracy.grading import sha256
from hwval.accuracy.job import DATA_ONLY
from hwval.accuracy.job import KEY_VARIABLE
from hwval.accuracy.job import PARTIAL_FILE
from hwval.accuracy.job import RESULTS_FILE
from hwval.accuracy.job import SAMPLES_FILE
from hwval.accuracy.job import TABLE_FILE
from hwval.accuracy.job import WORK_PREFIX
from hwval.accuracy.job import Data
from hwval.accuracy.job import Job
from hwval.accuracy.job import News
from hwval.accuracy.job import Score
from hwval.accuracy.job import Setback
from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.accuracy.job import write_message
from hwval.accuracy.localdata import local_data
from hwval.accuracy.samples import dump_samples
from hwval.accuracy.taskfile import GENERATION
from hwval.accuracy.taskfile import find_task
from hwval.accuracy.taskfile import refuse_own_data
from hwval.accuracy.taskfile import why_not_asked
from hwval.inert import one_line

__all__ = ["main"]

_PATHS: Final = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}
_SHOWN_CHARACTERS: Final = 300
_REMEDY: Final = "install it with pip install 'vllm-hwval[accuracy]'"


def main() -> None:
    """Do the job of the file that is named, or look at its data, while the caller lives."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no news

    def tell(message: News | Data | Score | Setback) -> None:
        out.write(write_message(message) + "\n")
        out.flush()

    threading.Thread(target=_end_with_caller, daemon=True).start()
    logging.basicConfig(level=logging.WARNING)
    jobs = [Job.from_json(line) for line in Path(sys.argv[1]).read_text("utf-8").splitlines()]
    if DATA_ONLY in sys.argv[2:]:
        for one in jobs:
            tell(_look(one))
        return
    (job,) = jobs
    with AnswerFile(Path(job.answers_file) if job.answers_file else None) as answers:
        end = _do(job, answers, tell)
        tell(end)
        if isinstance(end, Score):
            answers.forget()


def _end_with_caller() -> None:
    """End this process once standard input ends, which the caller holds open while it lives.

    A caller that was killed left the job's folder behind, with answers in it.
    """
    while os.read(sys.stdin.fileno(), 1):
        pass
    folder = Path(sys.argv[1]).parent
    if folder.name.startswith(WORK_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _do(job: Job, answers: AnswerFile, tell: Callable[[News], None]) -> Score | Setback:
    """Return how the job ended; what was answered is in files either way."""
    asking = None
    partial = Path(job.out_dir) / PARTIAL_FILE
    try:
        task = _load_task(job)
        model = _model(job, task)
        with partial.open("a", encoding="utf-8", buffering=1) as so_far:
            asking = Asking(
                *(model, task, job, answers, tell),
                keep=lambda sample: so_far.write(dump_samples([sample])),
            )
            model.generate_until = asking.generate_until
            model.loglikelihood = asking.loglikelihood
            results = _evaluate(job, task, model)
        score = _finish(job, task, asking, results)
    except Exception as error:
        logging.getLogger(__name__).exception("the job failed")
        if not isinstance(error, SetbackError):
            error = SetbackError(Trouble.HARNESS, _one_line(error))
        done = asking.answered if asking is not None else []
        total = len(asking.questions) if asking is not None else 0
        if not done:
            partial.unlink(missing_ok=True)
        return Setback(error.trouble, str(error), len(done), total)
    partial.unlink()
    return score


def _look(job: Job) -> Data | Setback:
    """Return what is known of the questions of a job, none of which is asked."""
    try:
        task = _load_task(job)
        subset = sorted(job.subset) if job.subset is not None else None
        chosen = [document for _, document in task.doc_iterator(limit=job.limit, samples=subset)]
        check_answerable(task, chosen)
        Grader(task, job.metric)  # is there such a metric?
        task.fewshot_context(chosen[0], _shots(job, task))  # are there as many examples?
        hashes = [question_hash(task, document) for document in chosen]
    except Exception as error:
        logging.getLogger(__name__).exception("the look at the data failed")
        if not isinstance(error, SetbackError):
            error = SetbackError(Trouble.DATASET, f"its data: {_one_line(error)}")
        return Setback(error.trouble, str(error))
    return Data(len(hashes), digest(hashes))


def _load_task(job: Job) -> Any:
    """Return the task, which the harness makes and whose data it loads.

    Raises:
        SetbackError: No harness, no such task, or no data.
    """
    try:
        from lm_eval.tasks import TaskManager

        config = _task_config(job)
    except ModuleNotFoundError as error:
        missing = f"lm-evaluation-harness is not here ({error.name}); {_REMEDY}"
        if str(error.name).partition(".")[0] != "lm_eval":
            missing = f"it needs the package {error.name}, which is not here; install it"
        raise SetbackError(Trouble.MISSING, missing) from error
    try:
        (task,) = TaskManager(include_defaults=False).load([config])["tasks"].values()
    except SetbackError:
        raise
    except Exception as error:
        raise SetbackError(
            Trouble.DATASET,
            f"its data, {_dataset(job, config, job.revision)}, cannot be had: {_one_line(error)}; "
            "data on this host are named by 'dataset'",
        ) from error
    if job.dataset is None and job.revision not in {None, found := _commit(task.dataset)}:
        raise SetbackError(
            Trouble.DATASET,
            f"its data are of commit {found}, and the matrix pins {job.revision}; is the Hub out "
            "of reach?",
        )
    if problem := why_not_asked(task.OUTPUT_TYPE, job.api):
        raise SetbackError(Trouble.TASK, problem)
    if task.config.repeats > 1:
        raise SetbackError(
            Trouble.TASK, f"it asks every question {task.config.repeats} times, which is not judged"
        )
    _check_positions(job, len(task.eval_docs))
    if _shots(job, task) and task.config.num_fewshot == 0:  # the harness would not give any
        raise SetbackError(
            Trouble.TASK, f"it takes no solved examples, and 'shots' wants {job.shots} of them"
        )
    return task


def _shots(job: Job, task: Any) -> int:
    return int((task.config.num_fewshot or 0) if job.shots is None else job.shots)


def _check_positions(job: Job, questions: int) -> None:
    """Refuse data without questions, and positions of questions that are not there."""
    if not questions:
        raise SetbackError(Trouble.DATASET, "its data hold no questions")
    if job.subset is not None and max(job.subset) >= questions:
        raise SetbackError(
            Trouble.TASK,
            f"'subset' names position {max(job.subset)}, and its {questions} questions are at 0 to "
            f"{questions - 1}",
        )


def _commit(splits: Mapping[str, Any]) -> str:
    """Return which commit of the Hub the data are of.

    Where the Hub cannot be reached, the datasets library takes the latest data that this host has,
    whatever commit was asked for; the folder that it keeps them in has the commit's name.
    """
    files = [file for split in splits.values() for file in getattr(split, "cache_files", ())]
    return ", ".join(sorted({Path(file["filename"]).parent.name for file in files})) or "unknown"


def _task_config(job: Job) -> dict[str, Any]:
    """Return the harness's own description of a task, with the data that the job names."""
    import lm_eval.tasks
    from lm_eval.tasks._yaml_loader import load_yaml

    (folder,) = lm_eval.tasks.__path__
    config = {**load_yaml(find_task(job.task, Path(folder)), resolve_func=True)}
    refuse_own_data(config, {"dataset": job.dataset, "revision": job.revision})
    for key in ("tag", "group", "task_list"):  # of the harness's index, no part of a task
        config.pop(key, None)
    if job.dataset is not None:
        config |= local_data(job.dataset)
    elif job.revision is not None:
        options = config.get("dataset_kwargs") or {}
        config["dataset_kwargs"] = {**options, "revision": job.revision}
    return config


def _dataset(job: Job, config: Mapping[str, Any], commit: str | None) -> str:
    if job.dataset is not None:
        if isinstance(job.dataset, str):
            return job.dataset
        return ", ".join(sorted(job.dataset.values()))
    name = ":".join(str(config[key]) for key in ("dataset_path", "dataset_name") if config.get(key))
    return f"{name or 'what its own code names'}@{commit or 'main'}"


def _model(job: Job, task: Any) -> Any:
    """Return the harness's own model of the server."""
    from lm_eval.models.openai_completions import LocalChatCompletion
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    url = job.base_url + _PATHS[job.api]
    options: dict[str, Any] = {"tokenizer_backend": None, "tokenized_requests": False}
    if task.OUTPUT_TYPE != GENERATION:
        options = _tokenizer_options(url)
    kind = LocalChatCompletion if job.api == "chat" else LocalCompletionsAPI
    return kind(
        model=job.model,
        base_url=url,
        num_concurrent=job.concurrency,
        timeout=max(1, round(job.answer_s)),
        max_retries=1,
        **options,
    )


def _tokenizer_options(url: str) -> dict[str, Any]:
    """Return how log-likelihoods are asked for, which need the server's tokenizer."""
    from lm_eval.utils import check_remote_tokenizer_support

    # The tokenizer is asked as the questions are: not by way of a proxy.
    direct = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), urlsplit(url).hostname)
    os.environ["no_proxy"] = ",".join(filter(None, direct))
    key = os.environ.get(KEY_VARIABLE)
    if not check_remote_tokenizer_support(url, auth_token=key):
        raise SetbackError(
            Trouble.TASK,
            "it compares log-likelihoods, for which the server must offer its tokenizer; set "
            "engine: {enable-tokenizer-info-endpoint: true}",
        )
    # The harness would cut prompts to 2047 tokens; what is too long the server shall refuse.
    return {"tokenizer_backend": "remote", "auth_token": key, "max_length": sys.maxsize}


def _evaluate(job: Job, task: Any, model: Any) -> dict[str, Any]:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    results = simple_evaluate(
        model=model,
        tasks=[task],
        num_fewshot=job.shots,
        limit=job.limit,
        samples={task.task_name: sorted(job.subset)} if job.subset is not None else None,
        apply_chat_template=job.api == "chat",
        gen_kwargs={"max_gen_toks": job.max_tokens} if job.max_tokens is not None else None,
        task_manager=TaskManager(include_defaults=False),
        log_samples=True,
    )
    assert isinstance(results, dict)  # noqa: S101 - None is for helpers of a distributed run
    return results


def _finish(job: Job, task: Any, asking: Asking, results: dict[str, Any]) -> Score:
    """Write the files of a whole result and return its score."""
    from lm_eval.utils import handle_non_serializable
    from lm_eval.utils import make_table

    out, name, metric = Path(job.out_dir), task.task_name, asking.grader.metric
    logged = [row for row in results["samples"][name] if row["filter"] == metric.partition(",")[2]]
    samples = [asking.sample(one) for one in asking.answered]
    values = results["results"][name]
    value = float(values[metric])
    right = sum(sample.correct for sample in samples)
    if not samples or len(samples) != len(logged) or round(value * len(samples)) != right:
        raise SetbackError(
            Trouble.HARNESS,
            f"lm-evaluation-harness counts {value:.4f} of {len(logged)} questions and hwval "
            f"{right} of {len(samples)}",
        )
    generates = task.OUTPUT_TYPE == GENERATION
    stderr = values.get(f"{metric.replace(',', '_stderr,', 1)}")
    (out / SAMPLES_FILE).write_text(dump_samples(samples), "utf-8")
    (out / TABLE_FILE).write_text(make_table(results) + "\n", "utf-8")
    kept = {key: item for key, item in results.items() if key not in {"samples", "pretty_env_info"}}
    text = json.dumps(kept, indent=2, default=handle_non_serializable)
    (out / RESULTS_FILE).write_text(text, "utf-8")
    return Score(
        task=job.task,
        task_version=str(results["versions"][name]),
        harness_version=str(results["lm_eval_version"]),
        api=job.api,
        metric=metric,
        shots=int(results["n-shot"][name]),
        dataset=_dataset(
            job,
            {"dataset_path": task.DATASET_PATH, "dataset_name": task.DATASET_NAME},
            _commit(task.dataset),
        ),
        questions=len(samples),
        of_questions=len(task.eval_docs),
        right=right,
        value=value,
        stderr=float(stderr) if isinstance(stderr, int | float) else None,
        unparsed=sum(sample.unparsed for sample in samples)
        if asking.grader.tells_unparsed or not generates
        else None,
        cut_off=sum(sample.is_cut_off for sample in samples),
        reused=sum(sample.reused for sample in samples),
        samples_sha256=digest(sample.question_hash for sample in samples),
        prompts_sha256=digest(sample.prompt_hash for sample in samples),
        task_hash=sha256(
            "".join(row["prompt_hash"] + row["doc_hash"] + row["target_hash"] for row in logged)
        ),
        max_tokens=(samples[0].settings or {}).get("max_tokens") if generates else None,
        duration_s=asking.duration_s,
        repeated=len(samples) - len({sample.question_hash for sample in samples}),
        thinking=sum(sample.has_thoughts for sample in samples),
    )


def _one_line(error: BaseException) -> str:
    first = next((line for line in str(error).splitlines() if line.strip()), "no detail")
    return f"{type(error).__name__}: {one_line(first)[:_SHOWN_CHARACTERS]}"


if __name__ == "__main__":
    main()
