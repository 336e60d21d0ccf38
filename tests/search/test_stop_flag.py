import os
import signal
import threading

import pytest

from src.errors import Drained, Interrupted
from src.search.stop_flag import StopFlag, exit_on_sigterm, interrupted_by, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_requests_a_stop_and_the_second_interrupts(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before, stop_flag = signal.getsignal(number), StopFlag()
    with pytest.raises(KeyboardInterrupt), stop_on_signals(stop_flag):
        os.kill(os.getpid(), number)
        assert stop_flag.requested
        assert "saving finished trials" in capsys.readouterr().err
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_signals_belong_to_the_main_thread() -> None:
    entered = []

    def enter() -> None:
        with stop_on_signals(StopFlag()):
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [signal.getsignal(signal.SIGINT)], "nothing was changed"


def test_sigterm_ends_a_process_with_status_143() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Drained) as caught, exit_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_search_that_was_stopped_says_by_which_signal(number: int, status: int) -> None:
    stop_flag = StopFlag()
    with pytest.raises(Interrupted) as caught, exit_on_sigterm():
        with stop_on_signals(stop_flag):
            os.kill(os.getpid(), number)
        raise interrupted_by(stop_flag, "3 of 9")
    assert (str(caught.value), caught.value.exit_status) == ("stopped: 3 of 9", status)
