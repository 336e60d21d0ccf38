"""Blocks on a page: tiles, facts, verdicts and grids."""

from src.reporting.blocks import Facts, Grid, Paragraph, Tiles
from src.reporting.pdf_blocks import least_height, write_block
from src.reporting.pdf_flow import BODY, RAISED, WIDTH, Box, Drawing, Flow, Word
from tests.reporting.demo_document import cut


def _texts(flow: Flow) -> list[str]:
    return [item.text for page in flow.pages for item in page if isinstance(item, Word)]


def _written(block: Facts | Grid | Paragraph | Tiles) -> Flow:
    flow = Flow()
    write_block(flow, block)
    return flow


def test_tiles_stand_in_even_rows() -> None:
    flow = _written(Tiles([(f"name {i}", f"{i}.5") for i in range(8)]))
    boxes = [item for item in flow.pages[0] if isinstance(item, Box)]
    assert [sum(box.y == y for box in boxes) for y in sorted({box.y for box in boxes})] == [4, 4]
    assert {"name 7", "7.5"} <= set(_texts(flow))


def test_a_long_value_of_a_tile_is_written_smaller() -> None:
    words = [item for item in _written(Tiles([("a", "1"), ("b", "v" * 40)])).pages[0] if isinstance(item, Word)]
    assert words[1].font.size > words[-1].font.size


def test_facts_keep_names_and_values_side_by_side_and_whole() -> None:
    value = " ".join(str(i) for i in range(2000))
    flow = _written(Facts([("split", value), ("seed", "42")]))
    assert len(flow.pages) > 1
    assert " ".join(text for text in _texts(flow) if text[0].isdigit()) == f"{value} 42"


def test_a_verdict_has_its_ground_on_every_page() -> None:
    flow = _written(Paragraph("word " * 3000, "verdict"))
    assert len(flow.pages) > 1
    for page in flow.pages:
        grounds = [item for item in page if isinstance(item, Box) and item.color == RAISED]
        words = [item for item in page if isinstance(item, Word)]
        assert len(grounds) == 1
        assert all(grounds[0].y < word.y < grounds[0].y + grounds[0].height for word in words)


def test_grids_have_one_two_or_three_columns() -> None:
    for count, columns in ((1, 1), (2, 2), (4, 2), (5, 3), (9, 3)):
        drawings = [
            item
            for page in _written(Grid([cut(str(i), i) for i in range(count)])).pages
            for item in page
            if isinstance(item, Drawing)
        ]
        assert len(drawings) == count
        assert len({drawing.x for drawing in drawings}) == columns
        assert drawings[0].width <= WIDTH / columns


def test_a_heading_needs_room_for_the_first_lines_or_the_first_figures() -> None:
    assert least_height([]) == 0.0
    grid = Grid([cut(str(i), i) for i in range(6)])
    assert 50 < least_height([grid]) < least_height([Paragraph("word"), grid]) < BODY
