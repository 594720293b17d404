"""Do the vectors that `cargo test` holds the Rust protocols to say what the Python protocols do now?"""

from vectors import FILE, text


def test_the_stored_vectors_are_those_of_python() -> None:
    assert FILE.read_text() == text(), "protocols have changed: run `python tests/protocols/vectors.py`, then cargo test"
