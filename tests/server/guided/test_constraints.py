"""Answers of a given form: whatever a model prefers, what comes out is what was asked for."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from edgevlm_server.guided.compiler import GrammarCompiler
from edgevlm_server.guided.constraint import Constraint, ConstraintFailed
from edgevlm_server.guided.grammar import any_object, one_of, that_matches, valid_json
from edgevlm_server.request import Structure
from edgevlm_server.runtime.sampling import SamplingParams, sample_batch
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.text.detokenizer import Detokenizer
from edgevlm_server.text.tokenizer import Tokenizer
from jsonschema import Draft202012Validator, FormatChecker

from tests.conftest import GOLDEN
from tests.server.guided.schemas import random_schema

TOKENIZER = Tokenizer(GOLDEN / "v2" / "checkpoint" / "tokenizer.model")
END = 2
SCHEMAS = 500
MAX_TOKENS = 1500


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(TOKENIZER, bos_id=1, end_ids={END})


def begun(compiler: GrammarCompiler, grammar: str) -> Constraint:
    # the grammars are the tests' own: none needs a process of its own to be tried in
    return compiler.constraint(Structure(grammar, "test", risky=False))


def written(constraint: Constraint, seed: int, max_tokens: int = MAX_TOKENS, **params: Any) -> tuple[str, str | None]:
    """What a model that knows nothing writes: text and finish reason."""
    sequence = Sequence(
        np.array([1, 5], np.int64),
        np.zeros((0, 4), np.float32),
        max_tokens,
        frozenset([END]),
        SamplingParams(temperature=1.0, seed=seed, **params),
        constraint=constraint,
    )
    noise, stream, text = np.random.default_rng(seed), Detokenizer(TOKENIZER), ""
    while sequence.finish_reason is None:
        logits = (2 * noise.standard_normal((1, TOKENIZER.vocab_size))).astype(np.float32)
        [token] = sample_batch([sequence.sampler], logits)
        assert token is not None
        sequence.generated.append(token)
        text += stream.push(token)
    return text + stream.finish(), sequence.finish_reason


@pytest.mark.slow
def test_every_schema_gives_json_that_it_allows(compiler: GrammarCompiler) -> None:
    for seed in range(SCHEMAS):
        schema = random_schema(Random(seed))
        text, reason = written(begun(compiler, valid_json(schema)), seed)
        assert reason == "stop", (seed, schema)
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(text))


@pytest.mark.slow
def test_limits_and_penalties_do_not_lead_out_of_the_form(compiler: GrammarCompiler) -> None:
    for seed in range(100):
        schema = random_schema(Random(seed))
        limits: dict[str, Any] = {
            "top_p": 0.3,
            "top_k": 7,
            "min_p": 0.2,
            "frequency_penalty": 2.0,
            "repetition_penalty": 5.0,
        }
        limits = dict(Random(seed).sample(list(limits.items()), 3))
        text, reason = written(begun(compiler, valid_json(schema)), seed, **limits)
        if reason == "stop":
            Draft202012Validator(schema).validate(json.loads(text))


def test_one_of_the_texts_comes_out(compiler: GrammarCompiler) -> None:
    texts = ["yes", "yes, but", "non", 'a "quoted" one', "line\nbreak", "größer", "😀", "a\\b", "/", "\x7f\x00"]
    constraint = begun(compiler, one_of(texts))
    found = {written(constraint.fresh(), seed) for seed in range(300)}
    assert found == {(text, "stop") for text in texts}


@pytest.mark.parametrize("regex", ["[0-9]{2}:[0-9]{2}", "a/b|c", "\\d+(mm|cm)", "^(ok|nok)$", '"[^"]{3}"', "\\\\/x"])
def test_the_text_matches_the_expression(compiler: GrammarCompiler, regex: str) -> None:
    constraint = begun(compiler, that_matches(regex))
    for seed in range(20):
        text, reason = written(constraint.fresh(), seed)
        assert reason == "stop"
        assert re.fullmatch(regex, text), text


def test_an_object_of_any_kind(compiler: GrammarCompiler) -> None:
    bias = tuple((TOKENIZER.encode(text, space_prefix=False)[0], 6.0) for text in ('"', "}"))
    for seed in range(20):
        text, reason = written(begun(compiler, any_object()), seed, logit_bias=bias)
        assert reason == "stop"
        assert isinstance(json.loads(text), dict)


def test_an_answer_that_is_cut_ends_with_length(compiler: GrammarCompiler) -> None:
    schema = {"type": "array", "items": {"const": "x"}, "minItems": 30}
    text, reason = written(begun(compiler, valid_json(schema)), 1, max_tokens=20)
    assert reason == "length"
    assert text.startswith('["x", "x"')


def test_a_whole_answer_needs_no_end_token(compiler: GrammarCompiler) -> None:
    constraint = begun(compiler, one_of(["5"]))
    text, reason = written(constraint, 0)
    assert (text, reason, constraint.complete) == ("5", "stop", True)


def test_json_is_on_one_line_without_white_space_to_get_lost_in(compiler: GrammarCompiler) -> None:
    schema = {"type": "object", "properties": {"a": {"const": [1, 2]}, "b": {"const": {}}}, "required": ["a", "b"]}
    text, _ = written(begun(compiler, valid_json({**schema, "additionalProperties": False})), 3)
    assert text == '{"a": [1, 2], "b": {}}'


@pytest.mark.parametrize(
    "grammar",
    [
        that_matches("(a"),
        valid_json({"type": "nothing"}),
        valid_json({"type": "integer", "minimum": 5, "maximum": 3}),
        valid_json({"type": "object", "properties": {"a": False}, "required": ["a"]}),
        valid_json({"$ref": "#/$defs/missing"}),
        valid_json({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
    ],
)
def test_what_cannot_be_followed_is_found_before_the_answer_begins(compiler: GrammarCompiler, grammar: str) -> None:
    with pytest.raises(ConstraintFailed):
        begun(compiler, grammar)


def test_control_tokens_and_the_unknown_token_are_never_allowed(compiler: GrammarCompiler) -> None:
    constraint = begun(compiler, that_matches("(.|\n)*"))
    allowed = constraint.allowed()
    assert [token for token in range(3) if allowed[token]] == [END]
    assert allowed[3:].sum() > 100


def test_characters_outside_the_vocabulary_are_written_as_bytes(compiler: GrammarCompiler) -> None:
    text = "漢字"
    ids = TOKENIZER.encode(text, space_prefix=False)
    assert len(ids) == len(text.encode()), "the vocabulary of the test knows them"
    constraint = begun(compiler, one_of([text]))
    for token in ids:
        assert constraint.allowed()[token]
        constraint.take(token)
    assert constraint.complete


def test_a_vocabulary_of_llamas_size(tmp_path: Path) -> None:
    from benchmarks.random_tokenizer import tokenizer_model

    (tmp_path / "tokenizer.model").write_bytes(tokenizer_model(32_000))
    tokenizer = Tokenizer(tmp_path / "tokenizer.model")
    constraint = begun(GrammarCompiler(tokenizer, 1, {END}), one_of(["abc"]))
    allowed = {tokenizer.bytes_of(token) for token in constraint.allowed().nonzero()[0].tolist()}
    assert allowed == {b" ", b"a", b"ab", b"abc"}
