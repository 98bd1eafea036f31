"""The sign-off page and its Markdown twin tell all, and their content does nothing."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hwval.errors import UsageError
from hwval.host import Host
from hwval.pictures import Gallery
from hwval.pictures import draw_pictures
from hwval.result import Journal
from hwval.signoff import SIGNS
from hwval.signoff import format_number
from hwval.signoff import format_start
from hwval.signoff import render_html
from hwval.signoff import render_markdown
from hwval.signoff import write_signoff
from hwval.summary import NOT_DECIDED
from hwval.summary import summarise
from hwval.threshold import Limit
from hwval.threshold import judge
from hwval.verdict import Outcome
from tests.fakes.sample_run import HOSTILE
from tests.fakes.sample_run import all_outcomes
from tests.fakes.sample_run import large_run
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_engine
from tests.fakes.sample_run import make_run
from tests.fakes.sample_run import make_verdict
from tests.fakes.sample_run import measured_run
from tests.fakes.sample_run import passing


class Page(HTMLParser):
    """A parsed page: its text, its elements with their attributes, and whether they nest."""

    VOID = frozenset({"meta", "br", "img", "link", "input"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.feed(source.replace("<wbr>", ""))  # a place where a name may break, and no space

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """The page of the run with every outcome."""
    return Page(render_html(summarise(all_outcomes(tmp_path))))


def test_the_page_is_well_formed(page: Page) -> None:
    """Every element that opens closes, in order."""
    assert (page.open, page.crossed) == ([], [])


def test_each_outcome_has_a_word_and_a_sign(page: Page) -> None:
    """Nobody needs to see colours; every sign is another one."""
    for outcome in Outcome:
        assert f"{SIGNS[outcome]} {outcome}" in page.text
    assert len(set(SIGNS.values())) == len(Outcome)


def test_the_page_runs_and_fetches_nothing(page: Page) -> None:
    """No element that runs, no attribute that runs, no address outside but the ledger's link."""
    active = {"script", "img", "iframe", "object", "embed", "link", "svg", "base", "form"}

    assert not {tag for tag, _ in page.elements} & active
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    outside = [href for href in page.attributes("href") if not re.match(r"#cell-|logs/", href)]
    assert set(outside) == {"https://example.org/issues/7", "https://docs.example.org/len"}


def test_hostile_text_is_shown_as_it_is(page: Page) -> None:
    """What a model wrote stands on the page as text, its control characters as escapes."""
    assert "<script>alert(1)</script>" in page.text
    assert "\\x1b[31m\\x00\\u202egnp\\ud800{{ 7*7 }}" in page.text
    assert "javascript:alert(4)" in page.text


def test_links_lead_to_cells_that_are_on_the_page(page: Page) -> None:
    """Each cause leads to its cells."""
    targets = {href[1:] for href in page.attributes("href") if href.startswith("#")}

    assert targets
    assert targets <= set(page.attributes("id"))
    assert len(page.attributes("id")) == len(set(page.attributes("id")))


def test_cause_evidence_remedy_and_command_are_on_the_page(page: Page) -> None:
    """A failed start is explained and can be repeated by hand."""
    for text in (
        "context-length-exceeds-model",
        "User-specified max_model_len (9999)",
        ".log:118",
        "Lower max-model-len to 2048",
        "context longer than the model allows",
        "context-length-exceeds-model:c0ffee1234",
        "ipc-socket-failure",
        "vllm serve synthetic/llama",
        "131,072 tokens",
        "17.0 MiB",
        "No engine start was recorded for this cell.",
    ):
        assert text in page.text


def test_code_in_a_remedy_is_code(tmp_path: Path) -> None:
    """And the address behind it a link; the text around both stays as it is."""
    run = all_outcomes(tmp_path)
    remedy = "Lower `--max-model-len`, not <b>. See https://docs.example.org/len"
    engines = tuple(
        replace(one, diagnosis={**one.diagnosis, "remedy": remedy}) if one.diagnosis else one
        for one in run.engines
    )
    html = render_html(summarise(replace(run, engines=engines)))

    assert "Lower <code>--max-model-len</code>, not &lt;b&gt;. See <a " in html


def test_cells_that_were_not_asked_are_listed_with_their_reason(page: Page) -> None:
    """The matrix does not shrink in silence."""
    assert "○ NOT RUN 1 cell: no gfx942-mi300x on this host" in page.text
    assert "∅ IMPOSSIBLE 1 cell: 141 GB do not fit in 16 GB" in page.text


def test_a_log_outside_the_folder_is_not_linked(tmp_path: Path) -> None:
    """The page links into its own folder only, and says so where it does not."""
    run = all_outcomes(tmp_path)
    object.__setattr__(run.engines[0], "log", "../../etc/passwd")
    page = Page(render_html(summarise(run)))

    assert "../../etc/passwd (outside this run's folder)" in page.text
    assert not [href for href in page.attributes("href") if "passwd" in href]


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_a_run_that_was_cut_short_is_told_first(tmp_path: Path, render: object) -> None:
    """Page and Markdown say it in the head."""
    assert callable(render)
    text = render(summarise(all_outcomes(tmp_path, complete=False)))

    assert "This run was cut short." in text
    assert "✗ CUT SHORT" in text


def test_an_empty_run_holds_no_evidence(tmp_path: Path) -> None:
    """No cell, no green."""
    page = Page(render_html(summarise(make_run(tmp_path, [], [], []))))

    assert "No cell was asked anything: there is no evidence here." in page.text


def test_markdown_rows_keep_their_columns(tmp_path: Path) -> None:
    """Hostile text in a table neither ends the row nor adds a column."""
    cell = make_cell(f"m|{HOSTILE}", variant="a|b")
    lines = render_markdown(summarise(make_run(tmp_path, [cell], [], []))).splitlines()
    rows = [line for line in lines if line.startswith("| ○ NOT RUN | m")]

    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 8


def test_markdown_tells_what_did_not_pass(tmp_path: Path) -> None:
    """Causes with evidence and remedy stand in the Markdown too, the blocked in one line."""
    text = render_markdown(summarise(all_outcomes(tmp_path)))

    assert "What to do: Lower max-model-len to 2048" in text
    assert "User-specified max_model_len (9999)" in text
    assert "| ◆ KNOWN | 1 | context-length-exceeds-model | The context length asked" in text
    assert "Fingerprint: context-length-exceeds-model:c0ffee1234" in text
    assert text.count("■ BLOCKED **load/identity, generate/completion") == 1
    assert "<script>" not in text


def test_a_large_page_stays_small(tmp_path: Path) -> None:
    """A passed cell costs a few kilobytes, details stay closed, and many causes are one row."""
    source = render_html(summarise(large_run(tmp_path, 500)))

    assert len(source) < 500 * 3000
    assert "<details open" not in source
    assert "and 11 more" in source


def test_write_signoff_leaves_two_whole_files(tmp_path: Path) -> None:
    """The pages lie beside the journal, and nothing else does."""
    run = all_outcomes(tmp_path)
    with Journal(tmp_path) as journal:
        journal.append(run.head, *run.cells, *run.engines, *run.verdicts)

    first, second = write_signoff(tmp_path)

    assert (first, second) == (tmp_path / "signoff.html", tmp_path / "signoff.md")
    assert first.read_text("utf-8").endswith("</html>\n")
    assert "This run was cut short." in second.read_text("utf-8")
    assert {file.name for file in tmp_path.iterdir()} == {
        "records.jsonl",
        "signoff.html",
        "signoff.md",
    }


def test_write_signoff_needs_a_journal(tmp_path: Path) -> None:
    """A folder that is no run is told, and nothing is written."""
    with pytest.raises(UsageError, match="name the folder of a run"):
        write_signoff(tmp_path)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ttft_s", 0.031, ("ttft", "31 ms")),
        ("drift_s", -2, ("drift", "-2 s")),
        ("weights_bytes", 2**30, ("weights", "1.00 GiB")),
        ("kv_cache_tokens", 131072.0, ("kv cache", "131,072 tokens")),
        ("decode_tokens_per_s", 41.72, ("decode", "41.72 tokens/s")),
        ("ttft_p99_s (concurrency 8)", 0.0312, ("ttft p99 (concurrency 8)", "31.2 ms")),
        ("knee_concurrency", 32.0, ("knee concurrency", "32 streams")),
        ("tokens_per_s", 4, ("tokens", "4 tokens/s")),
        ("requests", 3, ("requests", "3")),
        ("hit_ratio", 0.5, ("hit", "50.0%")),
        ("tiny", 0.000123, ("tiny", "0.000123")),
    ],
)
def test_numbers_take_their_unit_from_their_name(
    name: str, value: float, expected: tuple[str, str]
) -> None:
    """People read units; records keep base units."""
    assert format_number(name, value) == expected


def test_a_start_without_a_number_says_why(tmp_path: Path) -> None:
    """Not ready, never started and not timed are three things."""
    run = all_outcomes(tmp_path)
    object.__setattr__(run.engines[1], "numbers", {})
    starts = [format_start(cell) for cell in summarise(run).cells[:5]]

    assert starts == ["32.5 s", "not timed", "not ready", "32.5 s", "no start"]


def test_planner_is_held_against_what_was_measured(tmp_path: Path) -> None:
    """Both pages say what was planned, what was measured, and whether that agrees."""
    cell = make_cell()
    numbers = {
        "weights_bytes": 2.0**30,
        "planned_weights_bytes": 2.0**30,
        "planned_weights_least_bytes": 0.9 * 2**30,
        "planned_weights_most_bytes": 1.1 * 2**30,
        "kv_cache_tokens": 5000.0,
        "planned_kv_cache_least_tokens": 1000.0,
        "planned_kv_cache_most_tokens": 4000.0,
    }
    engine = replace(make_engine(cell), numbers=numbers)
    summary = summarise(make_run(tmp_path, [cell], [engine], passing(cell)))
    html, markdown = Page(render_html(summary)).text, render_markdown(summary)

    assert "weights 922 MiB 1.10 GiB 1.00 GiB as planned" in html
    assert "kv cache 1,000 tokens 4,000 tokens 5,000 tokens not as planned" in html
    assert "planned weights" not in html
    assert "## Planned against measured" in markdown
    assert "| kv cache | 1,000 tokens | 4,000 tokens | 5,000 tokens | not as planned |" in markdown


def test_a_run_that_nobody_planned_has_no_such_table(tmp_path: Path) -> None:
    """Journals from before there was a planner."""
    summary = summarise(all_outcomes(tmp_path))

    assert "Planned against measured" not in render_html(summary)
    assert "Planned against measured" not in render_markdown(summary)


def test_impossible_cells_are_named_in_the_text_too(tmp_path: Path) -> None:
    """Markdown has no folded lists."""
    summary = summarise(all_outcomes(tmp_path))
    [cell] = [cell for cell in summary.cells if cell.outcome is Outcome.IMPOSSIBLE]

    assert f"  - {cell.record.cell.replace('_', chr(92) + '_')}" in render_markdown(summary)


def test_scores_without_a_promise_have_their_interval(tmp_path: Path) -> None:
    """On both pages, with a space between numbers and no heading above nothing."""
    cell = make_cell(questions=("accuracy/answered",))
    numbers = {
        "biology_accuracy_ratio": 0.0,
        "biology_questions": 12.0,
        "biology_right_questions": 0.0,
        "biology_asking_s": 0.55,
    }
    answer = replace(passing(cell)[0], numbers=numbers)
    summary = summarise(make_run(tmp_path, [cell], [], [answer]))
    page, markdown = Page(render_html(summary)), render_markdown(summary)

    interval = "exact 90% interval 0.00% to 22.09%"
    assert f"biology: score 0.00% ({interval}, 0 of 12 right)" in page.text
    assert "12 right), biology: time that asking took 550 ms |" in markdown
    assert "In words:" not in markdown


def test_points_without_a_table_have_units_too(tmp_path: Path) -> None:
    """A run whose files are gone shows the numbers of its journal."""
    cell = make_cell(questions=("performance/concurrency_sweep",))
    numbers = {"ttft_p50_s (concurrency 1)": 0.0161, "queue_mean_s (concurrency 1)": 2.21e-05}
    answer = replace(passing(cell)[0], numbers=numbers)
    text = Page(render_html(summarise(make_run(tmp_path, [cell], [], [answer])))).text

    assert "ttft p50 (concurrency 1) 16.1 ms queue mean (concurrency 1) 22.1 µs" in text


def test_what_blocks_is_told_once(tmp_path: Path) -> None:
    """A reason that names the question needs no second name."""
    cell = make_cell(questions=("load/version", "load/memory"))
    answers = [
        make_verdict(cell, name, Outcome.BLOCKED, reason, blocked_by="load/healthy")
        for name, reason in zip(cell.questions, ("blocked by load/healthy: x", "y"), strict=True)
    ]
    summary = summarise(make_run(tmp_path, [cell], [], answers))

    text = Page(render_html(summary)).text

    assert "x blocked by load/healthy" not in text
    assert "y blocked by load/healthy" in text
    assert render_markdown(summary).count("(blocked by load/healthy)") == 1


def test_measurements_that_are_not_decided_are_one_row(tmp_path: Path) -> None:
    """With their cells, and what is open of each below."""
    cells = [make_cell(f"m{number}", questions=("performance/x",)) for number in range(3)]
    answers = [
        make_verdict(cell, "performance/x", Outcome.INCONCLUSIVE, f"{number} rounds")
        for number, cell in enumerate(cells)
    ]
    summary = summarise(make_run(tmp_path, cells, [], answers))
    page, markdown = Page(render_html(summary)), render_markdown(summary)

    assert page.text.count(NOT_DECIDED) == markdown.count(NOT_DECIDED) == 1
    assert "performance/x 2 rounds" in page.text
    assert (page.open, page.crossed) == ([], [])


def test_host_is_told_in_words(tmp_path: Path) -> None:
    """Of each run, where several came to one."""
    host = Host("lab-7", "6.8", "x86_64", "3.11.7", "EPYC", ("avx2",), (0, 1), 2**34).to_json()
    run = make_run(tmp_path, [], [], [])
    run = replace(run, head=replace(run.head, host={"hostname": "x", "run a": host}))
    markdown = render_markdown(summarise(run))

    assert (
        "a hostname lab-7 (x86_64, kernel 6.8) processor EPYC, 2 threads, avx2"
        in Page(render_html(summarise(run))).text
    )
    assert "| Host of a: memory | 16.0 GiB |" in markdown
    assert "null" not in markdown


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    """Page and Markdown of a run that measured speed, accuracy and capabilities."""
    run = measured_run(tmp_path_factory.mktemp("run"), name="org/model $x_1$")
    summary, gallery = summarise(run), draw_pictures(run)
    return Page(render_html(summary, gallery)), render_markdown(summary, gallery)


RATE = "output_tokens_per_s"


class TestMeasured:
    """What was measured, on both pages."""

    def test_speed_is_told_with_limit_ceiling_band_and_source(
        self, pages: tuple[Page, str]
    ) -> None:
        """And what a measurement that decides nothing could have decided."""
        page, markdown = pages

        assert "54 tokens/s 51.73 tokens/s to 56.27 tokens/s, 5 rounds" in page.text
        assert "floor 42 tokens/s lab note 2026-05; ceiling 130 (2026-05-04) in words" in page.text
        assert "keeps floor 42 tokens/s 42% good ✓ PASS" in page.text
        assert "? INCONCLUSIVE smallest detectable: 1.974 tokens/s" in page.text
        assert "knee concurrency 32 streams" in page.text
        assert "concurrency 64 does not count 1,889 tokens/s 62.67 ms 87.73 ms" in page.text
        assert "Performance: one measurement against another" in page.text
        assert "| single\\_stream | decode\\_tokens\\_per\\_s | 54 tokens/s (51.73" in markdown
        assert "? INCONCLUSIVE, smallest detectable: 1.974 tokens/s" in markdown

    def test_checks_of_several_points_are_told_apart(self, tmp_path: Path) -> None:
        """Each by its point, those that pass too."""
        limits = {"1": 100.0, "4": 900.0}
        checks = tuple(
            replace(judge(RATE, Limit(floor=floor), [2000.0] * 5)[0], point=f"concurrency {at}")
            for at, floor in limits.items()
        )
        cell = make_cell(questions=("performance/concurrency_sweep",))
        paired = replace(checks[0], partner="other", kind="relative_to", unit="times")
        told = [check.to_json() for check in (*checks, paired)]
        answer = make_verdict(cell, "performance/concurrency_sweep", checks=tuple(told))
        summary = summarise(make_run(tmp_path, [cell], [], [answer]))
        source = render_html(summary)
        page, markdown = Page(source), render_markdown(summary)

        assert '<code class="quiet">output_<wbr>tokens_<wbr>per_<wbr>s</code>' in source
        assert page.text.count("output of all requests concurrency 4 output_tokens_per_s") == 2
        assert page.text.count("output of all requests concurrency 1 output_tokens_per_s") == 4
        assert "| output\\_tokens\\_per\\_s (concurrency 4) | 2,000 tokens/s" in markdown
        assert markdown.count("| output\\_tokens\\_per\\_s (concurrency 1) |") == 2

    def test_what_does_not_count_is_told_with_its_reason(self, pages: tuple[Page, str]) -> None:
        """Throttling and preemptions among it."""
        page, markdown = pages

        assert (
            "concurrency 64 does not count 12 preemptions: the KV cache was too small" in page.text
        )
        assert "concurrency 64 does not count | 12 preemptions" in markdown
        assert "the device slowed itself down in 1 of 21 rounds" in page.text

    def test_accuracy_and_capabilities_have_their_tables(self, pages: tuple[Page, str]) -> None:
        """Scores, pairs, what is refused."""
        page, markdown = pages

        assert "62.76% 59.76% to 65.76%, 717 questions" in page.text
        assert "-0.14 points" in page.text
        assert "in words mmlu_pro_biology: 0.6276 of 717 questions" in page.text
        assert ": mmlu\\_pro\\_biology: 0.6276 of 717 questions\n" in markdown
        assert "vision: status 400: the model takes no pictures" in page.text
        assert "## Accuracy" in markdown
        assert "## Capabilities" in markdown

    def test_pictures_are_in_the_page_and_beside_it(self, pages: tuple[Page, str]) -> None:
        """As pictures, which run nothing; each has a text and links to its files."""
        page, markdown = pages
        pictures = [attrs for tag, attrs in page.elements if tag == "img"]

        assert len(pictures) == 10
        for attrs in pictures:
            source = str(attrs["src"])
            assert source.startswith("data:image/svg+xml;base64,")
            assert base64.b64decode(source.partition(",")[2]).endswith(b"</svg>\n")
            assert attrs["alt"]
        assert "pictures/throughput_vs_concurrency_rocm.png" in page.attributes("href")
        assert "](pictures/throughput_vs_concurrency_rocm.png)" in markdown

    def test_files_are_linked(self, pages: tuple[Page, str]) -> None:
        """Below the run's folder."""
        page, _ = pages

        assert any(href.endswith("performance.json") for href in page.attributes("href"))

    def test_page_is_well_formed_and_links_within(self, pages: tuple[Page, str]) -> None:
        """With tables in tables too."""
        page, _ = pages

        assert (page.open, page.crossed) == ([], [])
        targets = {href[1:] for href in page.attributes("href") if href.startswith("#")}
        assert targets <= set(page.attributes("id"))

    def test_rows_of_tables_have_as_many_cells_as_their_heads(
        self, pages: tuple[Page, str]
    ) -> None:
        """In Markdown, where a bar too many would shift them."""
        _, markdown = pages
        widths = [
            {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
        ]

        assert len(widths) >= 7
        assert all(len(counts) == 1 for counts in widths)


def test_file_outside_the_folder_is_named_and_not_linked(tmp_path: Path) -> None:
    """A journal may name any path."""
    cell = make_cell(questions=("load/ready",))
    answer = replace(passing(cell)[0], files={"a <b>": "../../etc/passwd"})
    page = Page(render_html(summarise(make_run(tmp_path, [cell], [], [answer]))))

    assert "a <b> (outside this run's folder)" in page.text
    assert not [href for href in page.attributes("href") if "passwd" in href]


def test_picture_that_could_not_be_drawn_is_told(tmp_path: Path) -> None:
    """The numbers are there all the same."""
    summary = summarise(measured_run(tmp_path))
    gallery = Gallery(failed=("pictures/x: ImportError: No module named 'matplotlib'",), left_out=3)

    assert "Not drawn: pictures/x: ImportError" in Page(render_html(summary, gallery)).text
    assert "3 more pictures would be too many" in Page(render_html(summary, gallery)).text
    assert "Not drawn: pictures/x: ImportError" in render_markdown(summary, gallery)
