# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/gateway-api.md: its commands, run as they stand, on a host of their own."""
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
PAGE = f"{ROOT}/docs/gateway-api.md"
# What the page leaves running, and what it pinned, goes by what it wrote down itself.
FRAME = """set -euo pipefail
trap 'kill $(jobs -p) $(cat nginx.pid) 2> kill.log || true; wait; thruway --instance {0} down > down.log' EXIT
ip link set lo up
{1}
"""


def test_commands_of_the_page_work(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: loads BPF programs")
    with open(PAGE, encoding="utf-8") as page:
        blocks = re.findall(r"```sh\n(.*?)```", page.read(), re.S)
    assert len(blocks) >= 6
    instance = f"twg{os.getpid()}"
    script = FRAME.format(instance, "\n".join(blocks).replace("--instance guide", f"--instance {instance}"))
    done = subprocess.run(["unshare", "--net", "bash", "-c", script], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{BUILD}:/usr/sbin:{os.environ['PATH']}"}, check=False,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("hello from pod", "CN = app.example.com", "refused", "TLSRoute  default/tls-secure-app-route", "kind: List\n",
                 "the only TLSRoute that has the name here", "no TLSRoute that is attached here has the name",
                 '"Accepted"', "next goes to  127.0.0.1:8443"):
        assert said in done.stdout, f"{said!r} is not in\n{done.stdout}{done.stderr}"
