# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The documentation says what the code does: reasons, links, man pages, configuration examples."""
import glob
import os
import re
import select
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", f"{ROOT}/build")
PAGES = sorted(glob.glob(f"{ROOT}/*.md") + glob.glob(f"{ROOT}/docs/*.md"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def reasons(macro):
    body = re.search(rf"#define {macro}\(X\)(.*?)\n\n", read(f"{ROOT}/include/thruway/reason.h"), re.S)
    return re.findall(r'X\((\w+),\s*"([^"]+)"\)', body.group(1))


@pytest.mark.parametrize("macro", ["TW_REFUSALS", "TW_ENDS"])
def test_every_reason_stands_in_the_architecture_page_with_its_text(macro):
    page = read(f"{ROOT}/docs/architecture.md")
    missing = [word for word, text in reasons(macro) if f"| `{word}` | {text} |" not in page]
    assert not missing


def test_every_map_stands_in_the_architecture_and_bpftool_pages():
    maps = re.findall(r"^} (tw_\w+) SEC\(\"\.maps\"\)", read(f"{ROOT}/bpf/maps.bpf.h"), re.M)
    maps.remove("tw_scratch")  # not pinned
    assert maps
    for page in ("architecture.md", "bpftool.md"):
        text = read(f"{ROOT}/docs/{page}")
        assert not [name for name in maps if name not in text], page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: os.path.relpath(p, ROOT))
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page))
    missing = [t for t in targets if not os.path.exists(os.path.join(os.path.dirname(page), t))]
    assert not missing


@pytest.mark.parametrize("source", sorted(glob.glob(f"{ROOT}/docs/*.scd")), ids=os.path.basename)
def test_man_pages_are_well_formed(source):
    with open(source, "rb") as page:
        done = subprocess.run(["scdoc"], stdin=page, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b'.\\"')


def yaml_blocks(path):
    """Blocks of configuration in a page: ```yaml in Markdown, indented behind a tab in scdoc."""
    text = read(path)
    if path.endswith(".md"):
        return [b for b in re.findall(r"```yaml\n(.*?)```", text, re.S) if "listeners:" in b]
    blocks = re.findall(r"(?:^```\n)(.*?)(?:^```)", text, re.S | re.M)
    return [b for b in blocks if "listeners:" in b]


BLOCKS = [(os.path.relpath(p, ROOT), i, b)
          for p in PAGES + sorted(glob.glob(f"{ROOT}/docs/*.scd"))
          for i, b in enumerate(yaml_blocks(p))]


@pytest.mark.parametrize("page,number,block", BLOCKS, ids=lambda v: str(v)[:40].split("\n")[0])
def test_configurations_in_pages_pass_the_check(page, number, block, tmp_path):
    config = tmp_path / "thruway.yaml"
    config.write_text(block)
    done = subprocess.run([f"{BUILD}/thruway", "check", "-f", str(config)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"{page} block {number}: {done.stderr}"


@pytest.mark.parametrize("example", sorted(glob.glob(f"{ROOT}/docs/examples/*.yaml")), ids=os.path.basename)
def test_example_files_pass_the_check(example):
    done = subprocess.run([f"{BUILD}/thruway", "check", "-f", example], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_fits_a_screen_and_has_the_two_commands():
    readme = read(f"{ROOT}/README.md")
    assert len(readme.splitlines()) <= 75
    assert "make demo" in readme and "make check" in readme


# --- bpftool.md, against a running daemon -----------------------------------------------------

BPFTOOL_PAGE = f"{ROOT}/docs/bpftool.md"
INSTANCE = f"twd{os.getpid()}"


def commands_and_outputs():
    text = read(BPFTOOL_PAGE)
    return re.findall(r"```sh\n(.*?)```\n```\n(.*?)```", text, re.S)


@pytest.fixture(scope="module", name="daemon")
def daemon_of_the_page(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root: loads BPF programs")
    config = tmp_path_factory.mktemp("bpftool") / "thruway.yaml"
    config.write_text(yaml_blocks(BPFTOOL_PAGE)[0])
    with subprocess.Popen(["unshare", "--net", f"{BUILD}/thruwayd", "-c", str(config), "--instance", INSTANCE],
                          stderr=subprocess.PIPE, bufsize=0) as process:
        try:
            line = b""
            while b"ready" not in line:
                assert select.select([process.stderr], [], [], 30)[0], "not ready after 30 s"
                line = process.stderr.readline()
                assert line, "it ended"
            added = subprocess.run([f"{BUILD}/thruway", "--instance", INSTANCE, "route", "add", "cli.example.com",
                                    "127.0.0.1:18443"], capture_output=True, text=True, check=False)
            assert added.returncode == 0, added.stderr
            yield process
        finally:
            subprocess.run([f"{BUILD}/thruway", "--instance", INSTANCE, "down"], capture_output=True, check=False)
            process.kill()


@pytest.mark.parametrize("number", range(len(commands_and_outputs())))
def test_commands_of_the_bpftool_page_print_the_fields_that_it_shows(daemon, number):
    assert daemon.poll() is None
    command, shown = commands_and_outputs()[number]
    done = subprocess.run(["bash", "-ec", command.replace("/sys/fs/bpf/thruway", f"/sys/fs/bpf/{INSTANCE}")],
                          capture_output=True, text=True, check=False, env=dict(os.environ, PATH=os.environ["PATH"] +
                                                                               ":/usr/sbin"))
    assert done.returncode == 0, done.stderr
    fields = set(re.findall(r'"\w+":', shown))
    names = set(re.findall(r'"(?:name|text|protocol)": ?"[^"]*"', shown))
    assert not [text for text in fields | names if text not in done.stdout], done.stdout[:2000]
