"""The progress display: shared by bars that run at once, and used again after others."""

import threading

from flows.execution.progress import bar, console


def test_bars_can_follow_one_that_ran_within_a_status():
    with console.status("waiting"), bar("inside", 2) as line:
        line.step()
    with bar("after", 2) as line:
        line.step()
        assert console._live_stack
    assert not console._live_stack


def test_bars_of_several_threads_share_one_display_until_the_last_ends():
    entered, leave = threading.Barrier(3), threading.Event()
    shown = []

    def work():
        with bar("one of two", 1) as line:
            shown.append(line._display)
            entered.wait(10)
            leave.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    entered.wait(10)
    assert shown[0] is shown[1]
    assert len(shown[0].tasks) == 2
    leave.set()
    for thread in threads:
        thread.join()
    assert not shown[0].live.is_started


def test_a_line_says_where_it_is():
    with bar("train", 10) as line:
        line.at(4, "loss 0.5")
        task = line._display.tasks[0]
        assert (task.completed, task.fields["note"]) == (4, "loss 0.5")
