"""Answers judged by another model, as the paper does it, behind any OpenAI-compatible endpoint.

Here: `Judge`, one question to the endpoint; `judge_answers`, which keeps its verdicts; `read_judged`.
Not here: what a judge is asked about each benchmark (`rubrics`), scoring without one (`scorers`).
A judge that cannot be reached or understood is a failure: it is counted, and the next run asks again.
Source: OpenAI's chat completions API; Gan et al. 2026, section 5 (gpt-4o-mini, gpt-4o).
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile, read_back
from blendin_local.jobs.evaluation.run.answers import KeptAnswer
from blendin_local.jobs.evaluation.run.rubrics import Rubric
from blendin_local.jobs.scoring.items import Item

KEY_VARIABLE = "BLENDIN_JUDGE_KEY"
AT_ONCE = 4
TIMEOUT_S = 120.0
MAX_TOKENS = 300
MAX_REPLY_CHARS = 4000  # the rest of a reply is not stored


class JudgeError(Exception):
    """No verdict, and why."""


@dataclass(frozen=True)
class Judge:
    """An endpoint that judges.

    Attributes:
        url: Its address: with or without `/v1`, with or without `/chat/completions`.
        model: The name it knows its model by.
    """

    url: str
    model: str

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in {"http", "https"} or not urlsplit(self.url).netloc:
            raise UsageError(f"--judge is {self.url!r}", "give an address such as http://localhost:8080/v1")
        if not self.model:
            raise UsageError("the judge has no model", "name it with --judge-model")

    @property
    def endpoint(self) -> str:
        """The address of chat completions."""
        url = self.url.rstrip("/")
        if url.endswith("/chat/completions"):
            return url
        return f"{url}/chat/completions" if urlsplit(url).path else f"{url}/v1/chat/completions"

    def ask(self, prompt: str) -> str:
        """One reply.

        Raises:
            JudgeError: There is none.
        """
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
        }
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.endpoint, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                content = json.load(response)["choices"][0]["message"]["content"]
        except urllib.error.HTTPError as error:
            raise JudgeError(f"HTTP {error.code} {error.reason}") from error
        except (OSError, urllib.error.URLError) as error:
            raise JudgeError(f"no answer: {getattr(error, 'reason', error)}") from error
        except (ValueError, LookupError, TypeError) as error:
            raise JudgeError("its response is not a chat completion") from error
        if not isinstance(content, str):
            raise JudgeError("its response has no text")
        return content


def fingerprint(text: str) -> str:
    """What ties a verdict to the answer it is about."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def judge_answers(
    judge: Judge,
    rubric: Rubric,
    items: Sequence[Item],
    answers: Mapping[str, KeptAnswer],
    path: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Ask for a verdict on every answer that has none yet; each is written as a line.

    Args:
        judge: The endpoint.
        rubric: What it is asked, and how its reply is read.
        items: The questions.
        answers: By item.
        path: The file of verdicts.
        should_stop: Polled between verdicts.

    Returns:
        Whether all of them were asked.
    """
    judged = {key for key, score in read_judged(path, answers).items() if score is not None}
    pending = [item for item in items if item.key in answers and item.key not in judged]
    with AppendOnlyFile.locked(path) as file:
        file.read(lambda line: line["custom_id"])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            waiting: Iterator[Item] = iter(pending)
            while batch := list(islice(waiting, AT_ONCE)):
                if should_stop():
                    return False
                for line in pool.map(lambda item: _verdict(judge, rubric, item, answers[item.key]), batch):
                    file.append(line)
        file.verify()
    return True


def _verdict(judge: Judge, rubric: Rubric, item: Item, answer: KeptAnswer) -> dict[str, Any]:
    line = {"custom_id": item.key, "judge": judge.model, "answer": fingerprint(answer.text)}
    try:
        reply = judge.ask(rubric.prompt(item, answer.text))
    except JudgeError as error:
        return {**line, "score": None, "error": str(error)}
    score = rubric.read(reply)
    why = "" if score is not None else "its reply holds no verdict"
    return {**line, "score": score, "error": why, "reply": reply[:MAX_REPLY_CHARS]}


def read_judged(path: Path, answers: Mapping[str, KeptAnswer]) -> dict[str, float | None]:
    """The kept verdicts on these answers: a score, or None if the judge failed; the last one counts."""
    found: dict[str, float | None] = {}

    def take(line: Mapping[str, Any]) -> None:
        key = line["custom_id"]
        if key in answers and fingerprint(answers[key].text) == line["answer"]:
            found[key] = line["score"]

    read_back(path, take)
    return found
