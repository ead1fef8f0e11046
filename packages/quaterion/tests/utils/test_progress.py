from quaterion.utils.progress import progress_bar


def test_a_bar_shows_how_much_is_done_on_standard_error(capsys):
    with progress_bar("Working", 5) as advance:
        advance(2)
        advance(3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Working" in err and "5/5" in err


def test_a_bar_of_unknown_length_shows_what_is_done(capsys):
    with progress_bar("Working", None) as advance:
        advance(7)
    assert "7/?" in capsys.readouterr().err


def test_a_bar_that_is_not_wanted_shows_nothing(capsys):
    with progress_bar("Working", 5, enabled=False) as advance:
        advance(5)
    assert capsys.readouterr() == ("", "")
