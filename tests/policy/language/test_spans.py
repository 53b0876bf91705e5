"""Where a statement stands in its policy's text."""

from moorage.policy import Kind, Position, Span, parse, statement_span

ONE = '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}}'
TWO = """{
  "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "ecr:*"}, {
      "Effect": "Deny",
      "Principal": "*", "Action": "ecr:*"
    }
  ]
}"""


def test_a_lone_statement() -> None:
    assert statement_span(parse(ONE, Kind.REPOSITORY), 0) == Span(Position(1, 15), Position(1, len(ONE)))


def test_after_an_empty_line() -> None:
    assert statement_span(parse(f"\n{ONE}", Kind.REPOSITORY), 0) == Span(Position(2, 15), Position(2, len(ONE)))


def test_statements_of_a_list() -> None:
    document = parse(TWO, Kind.REPOSITORY)
    assert statement_span(document, 0) == Span(Position(3, 5), Position(3, 61))
    assert statement_span(document, 1) == Span(Position(3, 63), Position(6, 6))
