"""Answers of the federation, kept for a while so that their pages fit together."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, insert, select

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.schema_federation import federated_answers

MOST: Final = 500
"""Answers that are kept; the oldest goes first."""


class FederatedAnswers:
    """Keeps answers by a token that only whoever got it knows, and by the question for whoever pages without one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, token: str, question: str, content: bytes, seconds: float) -> None:
        """Keep an answer; those older than `seconds` are forgotten."""
        at = now()
        columns = federated_answers.c
        with self._database.transaction() as session:
            session.run(delete(federated_answers).where(columns.created_at < at - round(seconds * 1e6)))
            kept = session.run(
                select(columns.token).order_by(columns.created_at.desc()).offset(MOST - 1).limit(10_000)
            ).fetchall()
            if kept:
                session.run(delete(federated_answers).where(columns.token.in_([row[0] for row in kept])))
            session.run(insert(federated_answers).values(token=token, question=question, created_at=at, content=content))

    def find(self, question: str, seconds: float, token: str = "") -> tuple[str, bytes] | None:
        """Token and content of an answer to a question, given at most `seconds` ago: that of a token, else the newest."""
        columns = federated_answers.c
        since = now() - round(seconds * 1e6)
        wanted = (columns.question == question) & (columns.created_at >= since)
        if token:
            wanted &= columns.token == token
        statement = select(columns.token, columns.content).where(wanted).order_by(columns.created_at.desc()).limit(1)
        with self._database.session() as session:
            row = session.run(statement).fetchone()
        return None if row is None else (row[0], bytes(row[1]))
