"""Sends questions concurrently; repeats what failed; stops where repeating cannot help."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import httpx2

from tgframe import ModelError, TgframeError
from tgframe_judge.answer import Answer, Trouble, read, retry_after
from tgframe_judge.refusals import described, refusal

if TYPE_CHECKING:
    from tgframe_judge.counts import Counts
    from tgframe_judge.key import Key
    from tgframe_judge.options import Judge
    from tgframe_judge.parsing import Verdict
    from tgframe_judge.question import Question

LONGEST_WAIT = 60.0
"""Seconds between two tries at most, whatever the server asks for."""
REPEATED = frozenset({408, 409, 429})
"""Statuses below 500 that another try may mend."""

Store = Callable[[str, "Verdict"], None]


class Client:
    """Asks the judge. What it counts goes to ``counts``, what it learns goes to ``store`` at once."""

    def __init__(self, options: Judge, key: Key, counts: Counts) -> None:
        self.options = options
        self.key = key
        self.counts = counts
        self.url = f"{options.base_url.rstrip('/')}/chat/completions"
        self._failed_in_a_row = 0

    async def ask(self, questions: Sequence[Question], store: Store) -> dict[str, Verdict]:
        """Return the verdicts by key; a question that stays without one is left out.

        Raises :class:`~tgframe.ModelError` when the endpoint refuses, when too many requests in a row fail, or, where
        the options say so, when a question stays unanswered. All other requests are cancelled then.
        """
        found: dict[str, Verdict] = {}
        queue = iter(questions)
        with self.key.kept_out_of_logs():
            try:
                async with self._http() as http, asyncio.TaskGroup() as workers:
                    for _ in range(min(self.options.concurrency, len(questions))):
                        workers.create_task(self._work(http, queue, found, store))
            except BaseExceptionGroup as several:
                raise _first(several) from None
        return found

    def _http(self) -> httpx2.AsyncClient:
        most = self.options.concurrency
        return httpx2.AsyncClient(
            headers={**self.key.headers, "Content-Type": "application/json"},
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            timeout=None,  # a request is timed as a whole, below
            verify=_certificates(),
        )

    async def _work(
        self, http: httpx2.AsyncClient, queue: Iterator[Question], found: dict[str, Verdict], store: Store
    ) -> None:
        for question in queue:
            verdict = await self._answered(http, question)
            if verdict is not None:
                store(question.key, verdict)
                found[question.key] = verdict

    async def _answered(self, http: httpx2.AsyncClient, question: Question) -> Verdict | None:
        """Ask until there is a verdict, or all retries are used up."""
        problem = ""
        for tries in range(1 + self.options.retries):
            self.counts.retries += tries > 0
            wait = 0.0
            try:
                answer = await self._send(http, question)
            except Trouble as trouble:
                self.counts.failures += 1
                problem, wait = str(trouble), self._wait(tries, trouble)
            else:
                verdict = question.read(answer.text)
                if verdict is not None:
                    self._failed_in_a_row = 0
                    return verdict
                self.counts.unparsed += 1
                problem = self._unparsed(answer)
            self._bear(problem)
            if tries < self.options.retries:
                await asyncio.sleep(wait)
        self._leave(question, problem)
        return None

    async def _send(self, http: httpx2.AsyncClient, question: Question) -> Answer:
        """Make one request. Raises Trouble for what another try may mend, ModelError for what it cannot."""
        self.counts.requests += 1
        try:
            async with asyncio.timeout(self.options.timeout):
                response = await http.post(self.url, content=question.body)
        except TimeoutError:
            raise Trouble(f"no answer within {self.options.timeout:g} s") from None
        except (httpx2.RequestError, httpx2.InvalidURL, UnicodeError) as error:  # the last for odd names of hosts
            raise Trouble(self.key.hide(f"{type(error).__name__}: {error}")) from None
        status = response.status_code
        if status >= 500 or status in REPEATED:
            raise Trouble(f"status {status}: {self._excerpt(response.text)}", retry_after(response.headers))
        if not response.is_success:
            raise refusal(self.options, self.url, status, self._excerpt(response.text))
        answer = read(response.content)
        self.counts.calls += 1
        self.counts.prompt_tokens += answer.prompt_tokens
        self.counts.completion_tokens += answer.completion_tokens
        return answer

    def _wait(self, tries: int, trouble: Trouble) -> float:
        return min(LONGEST_WAIT, max(trouble.wait, self.options.backoff * 2.0**tries))

    def _bear(self, problem: str) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self.options.give_up_after:
            raise ModelError(
                f"{described(self.url)} gave no usable answer to {self._failed_in_a_row} requests in a row; the last "
                f"one: {problem}. See that the endpoint is up and that `model` can judge; `preference.give_up_after` "
                "says how many are borne."
            )

    def _leave(self, question: Question, problem: str) -> None:
        self.counts.unanswered += 1
        if self.options.on_error == "stop":
            raise ModelError(
                f"{described(self.url)} gave no usable answer on {question.about} in {1 + self.options.retries} tries; "
                f"the last one: {problem}. Raise `preference.retries`, or set `preference.on_error` to 'missing'."
            )

    def _unparsed(self, answer: Answer) -> str:
        if not answer.text:
            return "a reply that is empty, or was cut off by `max_tokens`"
        last = answer.text.strip().splitlines()[-1:]
        return f"a reply without a legal verdict, whose last line is {self._excerpt(''.join(last))}"

    def _excerpt(self, text: str) -> str:
        return repr(" ".join(self.key.hide(text).split())[:200])


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Return the trusted certificates: reading them takes as long as a request or two."""
    return httpx2.create_ssl_context()


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what to raise of what several workers raised: what a person can mend, if there is one."""
    told = several.subgroup(TgframeError) or several
    error: BaseException = told
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
