"""What a load test asks."""

import json

from edgevlm.bench.bodies import chat_bodies, drawn_pictures


def test_pictures_and_questions_go_in_turn_and_drawings_differ() -> None:
    bodies = chat_bodies("m", ["data:a", "data:b"], ["x", "y", "z"], 5)
    assert len(bodies) == len(set(bodies)) == 6
    assert json.loads(bodies[0])["stream_options"] == {"include_usage": True}
    assert len(chat_bodies("m", ["data:a", "data:b"], ["x"], 5, count=2)) == 2
    assert len(set(drawn_pictures(range(10)))) == 10
