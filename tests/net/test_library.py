# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The test library itself, with nginx as the router: when this fails, look here before blaming
the daemon."""
import clienthello
import pytest
import real
from hosts import ROUTER4, server4


@pytest.fixture(name="nginx_router")
def _nginx_router(hosts, web, echo, tmp_path):
    backend = echo(6, "echo")
    config = tmp_path / "router.conf"
    config.write_text(f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
        daemon off; master_process off; pid {tmp_path}/router.pid; error_log stderr; events {{}}
        stream {{ map $ssl_preread_server_name $to {{ app.example.com {web["app"]};
            default {backend.text()}; }}
            server {{ listen 443; ssl_preread on; proxy_pass $to; }} }}""")
    process = hosts.router.start("nginx", "-c", config, "-e", "stderr", log=tmp_path / "router.log")
    real.wait_for_port(hosts.router, ROUTER4, 443)
    yield backend
    process.stop()


def test_another_router_carries_real_and_raw_hellos_over_the_three_hosts(hosts, nginx_router):
    answer = real.curl(hosts.client, "app.example.com", ROUTER4)
    assert (answer.certificate, answer.body) == ("app.example.com", "hello from app.example.com\n")
    hello = clienthello.hello("b.example.com", protocols=["h2"], post_quantum=True, piece=300)
    with hosts.client.connect(ROUTER4) as client:
        client.send(hello)
        assert client.read(8) == nginx_router.tag
        assert client.read(len(hello)) == hello


def test_a_connection_reports_fin_and_rst_as_what_they_are(hosts):
    with hosts.server.listen(server4(7), 9001) as listener:
        with hosts.client.connect(server4(7), 9001) as client:
            listener.accept().send(b"x").close()
            assert client.ending() == ("fin", b"x")
        with hosts.client.connect(server4(7), 9001) as client:
            listener.accept().rst()
            assert client.ending()[0] == "rst"
