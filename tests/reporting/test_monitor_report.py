from dataclasses import replace

from src.reporting.document.blocks import Figure
from src.reporting.html.page import page_html
from src.reporting.monitor_report import monitor_document
from tests.monitoring.test_result import RESULT, line


def test_the_page_has_verdict_drift_score_and_all_statistics() -> None:
    document = monitor_document(RESULT)
    assert [chapter.key for chapter in document.chapters] == ["summary", "drift", "score", "statistics"]
    figures = [block for chapter in document.chapters for block in chapter.blocks if isinstance(block, Figure)]
    assert [figure.key for figure in figures] == ["drift-bars", "score-parts"]
    page = page_html(document)
    assert "pnl: ALARM: signal" in page and "only 40 dates" in page and "models:/pnl/4" in page


def test_without_thresholds_and_labels_the_page_has_tables_only() -> None:
    bare = replace(RESULT, score=None, lines=(replace(line("x"), threshold=None, distance=None),))
    document = monitor_document(bare)
    assert [chapter.key for chapter in document.chapters] == ["summary", "drift", "statistics"]
    assert "nothing could be judged" in page_html(document)
