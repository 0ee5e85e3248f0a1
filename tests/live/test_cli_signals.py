"""Being ended early: what was sampled is written, no process is left."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

import harness

PROGRAM = harness.program("cli_signals.py")


def start(*options, mode=(), **more):
    """pyprof-cli running PROGRAM, which is ready; and PROGRAM's pid."""
    command = [harness.CLI, "run"] + list(options) + [
        "--python", sys.executable, PROGRAM] + list(mode)
    cli = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           start_new_session=True, encoding="utf-8", **more)
    line = cli.stdout.readline()
    assert line.startswith("ready "), (line, cli.stderr.read())
    return cli, int(line.split()[1])


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(cli, pid):
    """Safe to call whatever happened."""
    for process in (pid, cli.pid):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    cli.communicate()


def finish(cli, pid):
    out, err = cli.communicate(timeout=harness.PATIENCE)
    assert not alive(pid), (pid, err)
    return out, err


def sampled(path):
    with open(path) as file:
        stacks = harness.collapsed(file.read())
    assert any("cli_signals.py" in frame for stack in stacks
               for frame in stack), stacks


def ended_by(number, status, mode=(), group=False):
    with harness.folder() as folder:
        path = os.path.join(folder, "stacks")
        cli, pid = start("--collapsed", "-o", path, mode=mode)
        try:
            time.sleep(0.3)
            if group:
                os.killpg(cli.pid, number)
            else:
                os.kill(cli.pid, number)
            _, err = finish(cli, pid)
            assert cli.returncode == status, (cli.returncode, err)
            assert "Captured" in err, err
            sampled(path)
        finally:
            end(cli, pid)


def test_interrupt():
    ended_by(signal.SIGINT, 128 + signal.SIGINT)


def test_interrupt_group():
    ended_by(signal.SIGINT, 128 + signal.SIGINT, group=True)


def test_interrupt_tidy():
    """The target's own way of ending, and its status."""
    ended_by(signal.SIGINT, 7, mode=["tidy"])
    ended_by(signal.SIGINT, 7, mode=["tidy"], group=True)


def test_terminate():
    ended_by(signal.SIGTERM, 128 + signal.SIGTERM)


def test_hangup():
    ended_by(signal.SIGHUP, 128 + signal.SIGTERM)


def test_terminate_deaf():
    ended_by(signal.SIGTERM, 128 + signal.SIGKILL, mode=["deaf"])


def test_second_signal():
    """A second Ctrl-C is meant: no waiting for a deaf target."""
    cli, pid = start("--collapsed", "-o", "/dev/null", mode=["deaf"])
    try:
        os.kill(cli.pid, signal.SIGINT)
        time.sleep(0.6)
        assert alive(pid)
        os.kill(cli.pid, signal.SIGINT)
        finish(cli, pid)
        assert cli.returncode == 128 + signal.SIGKILL, cli.returncode
    finally:
        end(cli, pid)


def test_before_python():
    """Ended while the command is not yet Python."""
    for number in (signal.SIGINT, signal.SIGTERM):
        cli = subprocess.Popen(
            [harness.CLI, "run", "--", "sh", "-c", "echo $$; exec sleep 1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8")
        pid = int(cli.stdout.readline())
        try:
            cli.send_signal(number)
            finish(cli, pid)
            assert cli.returncode == 128 + number, cli.returncode
        finally:
            end(cli, pid)


def test_killed():
    """Killed in a way it can't see, the target goes on by itself."""
    cli, pid = start("--collapsed", "-o", "/dev/null")
    try:
        cli.kill()
        cli.wait()
        time.sleep(0.3)
        assert alive(pid)
        with open("/proc/%d/status" % pid) as file:
            status = file.read()
        assert "TracerPid:\t0" in status, status
    finally:
        end(cli, pid)


def test_attach():
    """Attached, the target is left alone."""
    with harness.folder() as folder:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            path = os.path.join(folder, "stacks%d" % number)
            with harness.running([sys.executable, PROGRAM]) as target:
                cli = subprocess.Popen(
                    [harness.CLI, "attach", "--collapsed", "-o", path,
                     str(target.pid)], stderr=subprocess.PIPE)
                time.sleep(0.5)
                cli.send_signal(number)
                cli.communicate(timeout=harness.PATIENCE)
                assert cli.returncode == 0, cli.returncode
                assert target.alive()
                sampled(path)


def test_closed_pipe():
    """A reader of the output that goes away is an error, not a death."""
    cli, pid = start("--collapsed", "-o", "-", "-d", "0.5")
    try:
        cli.stdout.close()
        err = cli.stderr.read()
        assert cli.wait(harness.PATIENCE) == 1, err
        assert "pyprof-cli: " in err, err
        assert not alive(pid)
    finally:
        end(cli, pid)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *command):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.environ.pop("NO_COLOR", None)
            os.execv(command[0], command)

    def read_until(self, wanted):
        limit = time.monotonic() + harness.PATIENCE
        while wanted is None or wanted not in self.text:
            assert time.monotonic() < limit, self.text
            if not select.select([self.fd], [], [], 1)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            if not data:
                assert wanted is None, (wanted, self.text)
                return
            self.text += data.decode("utf-8", "replace")

    def finish(self):
        self.read_until(None)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return (os.WEXITSTATUS(status) if os.WIFEXITED(status)
                else 128 + os.WTERMSIG(status))


def test_ctrl_c():
    """At a terminal both get it; the line of progress goes away."""
    terminal = Terminal(harness.CLI, "run", "--python", sys.executable,
                        PROGRAM)
    terminal.read_until("ready ")
    terminal.read_until("samples")
    pid = int(terminal.text.split("ready ")[1].split()[0])
    os.write(terminal.fd, b"\x03")
    status = terminal.finish()
    assert status == 128 + signal.SIGINT, (status, terminal.text)
    assert not alive(pid)
    assert "\r\033[K" in terminal.text, terminal.text
    assert "\r\033[K" in terminal.text.rpartition(" errors")[2], terminal.text
    assert "KeyboardInterrupt" in terminal.text, terminal.text


def test_no_line_without_terminal():
    result = harness.cli("run", "-d", "0.6", "-c", "while True: pass")
    assert "\r" not in result.stderr and "\033" not in result.stderr, result


def test_realtime_stats():
    result = harness.cli("run", "-d", "2.5", "--realtime-stats", "-o", "-",
                         "--collapsed", "-c", "while True: pass")
    lines = [line for line in result.stderr.splitlines()
             if line.startswith("Stats: ")]
    assert 1 <= len(lines) <= 3, result
    assert harness.collapsed(result.stdout), result


if __name__ == "__main__":
    harness.main(test_interrupt, test_interrupt_group, test_interrupt_tidy,
                 test_terminate, test_hangup, test_terminate_deaf,
                 test_second_signal, test_before_python, test_killed,
                 test_attach, test_closed_pipe, test_ctrl_c,
                 test_no_line_without_terminal, test_realtime_stats,
                 each=False)
