"""Answers to test vectors: facts that are given as JSON, and what klorpy says to them."""

from klorpy.testing.contract_vectors import answer_contract, explain_contract
from klorpy.testing.conversation_vectors import run_conversation
from klorpy.testing.protocol_vectors import answer_protocol

__all__ = ["answer_contract", "answer_protocol", "explain_contract", "run_conversation"]
