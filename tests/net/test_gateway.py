# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Gateway API objects from files, end to end."""
import json

import pytest
from clienthello import hello
from hosts import ROUTER4, eventually
from raw import backend_of
from thruway import configuration, route

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: %s}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [%s]
  rules: [{backendRefs: [%s]}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: %s}
spec: {ports: [{port: 443, targetPort: %d}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s-1, labels: {kubernetes.io/service-name: %s}}
addressType: IPv4
ports: [{port: %d}]
endpoints: [{addresses: [%s]}]
"""


def gateway(*listeners, name="gateway"):
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  gatewayClassName: any
  listeners: [{", ".join(listeners)}]
"""


GATEWAY = gateway('{name: tls, port: 443, protocol: TLS, hostname: "*.example.com", tls: {mode: Passthrough}}')


def service(name, address, port):
    return SERVICE % (name, port, name, name, port, address)


def objects(*texts):
    return "\n---\n".join(texts)


def test_objects_become_routes_and_have_statuses(hosts, run, echo):
    one = echo(2, "one")
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"),
                         service("s", one.address, one.port), "{apiVersion: v1, kind: Secret}"))
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    assert backend_of(hosts.client, ROUTER4, hello("other.example.com")) in ("rst", "fin")
    status = daemon.json("status")
    assert status["skipped"] == 1 and "1 object of other kinds" in daemon.cli("status").stdout
    assert (status["apiVersion"], status["kind"]) == ("v1", "List")
    kinds = {item["kind"]: item for item in status["items"]}
    assert kinds["Gateway"]["status"]["listeners"][0]["attachedRoutes"] == 1
    assert {"type": "IPAddress", "value": ROUTER4} in kinds["Gateway"]["status"]["addresses"]
    assert not any(a["value"].startswith(("127.", "fe80:", "::")) for a in kinds["Gateway"]["status"]["addresses"])
    only = daemon.json("status", "tlsroute/r")["items"]
    conditions = {c["type"]: (c["status"], c["reason"]) for c in only[0]["status"]["parents"][0]["conditions"]}
    assert conditions == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    assert "NoMatchingParent" not in daemon.cli("status").stdout
    assert daemon.cli("status", "TLSRoute/nope", check=False).returncode == 1


def test_status_is_narrowed_to_a_namespace(hosts, run):
    del hosts
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"),
                         (ROUTE % ("r", "b.example.com", "{name: s, port: 443}")).replace(
                             "{name: r}", "{name: r, namespace: apps}").replace("{name: gateway}",
                                                                               "{name: gateway, namespace: default}")))
    assert [i["metadata"]["namespace"] for i in daemon.json("status", "tlsroute/r")["items"]] == ["apps", "default"]
    only, = daemon.json("status", "tlsroute/r", "-n", "apps")["items"]
    assert only["status"]["parents"][0]["conditions"][0]["reason"] == "NotAllowedByListeners"
    assert daemon.cli("status", "gateway", "-n", "apps", check=False).returncode == 1


def test_status_takes_an_object_as_kubectl_does(hosts, run):
    del hosts
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"),
                         (ROUTE % ("lost", "b.example.com", "{name: s, port: 443}")).replace("{name: gateway}", "{name: nope}")))
    whole = daemon.json("status", "tlsroute/r")
    for words in (("tlsroute", "r"), ("TLSRoutes/r",), ("tlsroutes.gateway.networking.k8s.io", "r"),
                  ("tlsroute.v1.gateway.networking.k8s.io/r",)):
        assert daemon.json("status", *words) == whole
    for words in (("tlsroute/r", "r"), ("tlsroute/",), ("tlsroute.example.com", "r"), ("service", "s"), ("", "r")):
        assert daemon.cli("status", *words, check=False).returncode == 2, words
    lost, = daemon.json("status", "tlsroute/lost")["items"]
    assert lost["status"] == {"parents": []}
    assert "none of its parents is a Gateway that is served here" in daemon.cli("status", "tlsroute/lost").stdout


def test_explain_names_the_objects_that_decide_and_the_one_in_the_way(hosts, run, echo):
    one = echo(2, "one")
    app, other = "{name: s, port: 443}", "{name: s, namespace: other, port: 443}"
    bad = gateway("{name: plain, port: 8443, protocol: HTTP}", name="web")
    daemon = run(objects(GATEWAY, bad, ROUTE % ("exact", "app.example.com", app), ROUTE % ("wild", '"*.example.com"', other),
                         service("s", one.address, one.port)))
    said, = daemon.json("route", "explain", "app.example.com")
    why = said["gateway"]
    assert (said["backend"], why["listener"]["gateway"], why["route"]["name"], why["route"]["by"]) == (
        f"{one.address}:{one.port}", "gateway", "exact", "specificity")
    assert [(r["name"], r["by"]) for r in why["lost"]] == [("wild", "specificity")]
    assert why["services"] == [{"kind": "Service", "namespace": "default", "name": "s", "port": 443, "weight": 1,
                                "share": 100.0, "endpoints": [f"{one.address}:{one.port}"], "text": None}]
    assert backend_of(hosts.client, ROUTER4, hello("b.example.com")) == "rst"
    shown = daemon.cli("route", "explain", "b.example.com").stdout
    for part in ("refused: no_backend", "TLSRoute      default/wild (*.example.com)", "other/s:443",
                 "in the way    TLSRoute default/wild: ResolvedRefs=False/RefNotPermitted: "):
        assert part in shown, shown
    done = daemon.cli("route", "explain", "app.example.com", "--port", "8443", check=False)
    assert done.returncode == 1 and "no listener on this port" in done.stderr
    assert "Gateway default/web, listener plain: Accepted=False/UnsupportedProtocol" in done.stderr


def test_weights_and_an_invalid_reference_share_the_connections(hosts, run, echo):
    one = echo(2, "one")
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com",
                                           "{name: s, port: 443, weight: 3}, {name: nope, port: 443, weight: 1}"),
                         service("s", one.address, one.port)))
    seen = [backend_of(hosts.client, ROUTER4, hello("app.example.com")) for _ in range(40)]
    assert seen.count("one") == 30 and seen.count("rst") == 10
    assert daemon.refusals()["no_backend"] == 10


def test_a_change_of_the_objects_is_taken_over(hosts, run, echo):
    one, two = echo(2, "one"), echo(3, "two", port=9001)
    services = (service("s", one.address, one.port), service("t", two.address, two.port))
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), *services))
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    daemon.hangup(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: t, port: 443}"), *services))
    eventually(lambda: backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "two")
    daemon.hangup(objects(GATEWAY, *services))
    eventually(lambda: backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "rst")
    assert daemon.json("status", "gateway")["items"][0]["status"]["listeners"][0]["attachedRoutes"] == 0


def test_an_object_with_an_error_is_left_out_when_it_is_new_and_else_not_lost(hosts, run, echo):
    one, two = echo(2, "one"), echo(3, "two", port=9001)
    services = (service("s", one.address, one.port), service("t", two.address, two.port))
    bad = ROUTE % ("bad", "BAD.example.com", "{name: s, port: 443}")
    first = ROUTE % ("r", "app.example.com", "{name: s, port: 443}")
    daemon = run(objects(GATEWAY, first, bad, *services))
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    www = ROUTE % ("www", "www.example.com", "{name: t, port: 443}")
    # What is wrong with it has been told; that it is left out, is told each time.
    daemon.hangup(objects(GATEWAY, first, bad, www, *services), "without the objects that have errors")
    assert backend_of(hosts.client, ROUTER4, hello("www.example.com")) == "two"
    assert daemon.json("status")["reload"]["errors"] == 1
    more = objects(GATEWAY, first, bad, *services)
    for mode, text in ((), more), (("--partial",), objects(GATEWAY, bad, *services)):
        done = daemon.cli("apply", *mode, "-f", "-", input=text, check=False)
        assert done.returncode == 1 and "TLSRoute default/bad" in done.stderr
    assert [backend_of(hosts.client, ROUTER4, hello(f"{name}.example.com")) for name in ("app", "www")] == ["one", "two"]
    daemon.hangup(objects(GATEWAY, first.replace("[app.", "[App."), *services),
                  "TLSRoute default/r would be lost by a mistake; the running configuration stays as it was")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    assert backend_of(hosts.client, ROUTER4, hello("www.example.com")) == "two"
    # Nobody can tell what these are about: it may be what is served.
    for slip in (first.replace("kind: TLSRoute", ""), first.replace("apiVersion: gateway.networking.k8s.io/v1", ""),
                 first.replace("{name: r}", "{name: R}"), first.replace("metadata: {name: r}", ""),
                 "{apiVersion: v1, kind: List, items: [{metadata: {name: r}}]}", "{apiVersion: v1, kind: List, items: 7}"):
        daemon.hangup(objects(GATEWAY, slip, *services), "TLSRoute default/r would be lost by a mistake; the running")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    daemon.hangup(objects(GATEWAY, first, *services))
    eventually(lambda: backend_of(hosts.client, ROUTER4, hello("www.example.com")) == "rst")


def test_a_slip_in_a_type_loses_nothing(hosts, run, echo):
    one = echo(2, "one")
    services, first = service("s", one.address, one.port), ROUTE % ("r", "app.example.com", "{name: s, port: 443}")
    daemon = run(objects(GATEWAY, first, services))
    for slip in ("kind: TlsRoute", "kind: TSLRoute", "kind: TLSRoutes"):
        daemon.hangup(objects(GATEWAY, first.replace("kind: TLSRoute", slip), services), "TLSRoute default/r would be lost by a mistake")
    for slip in ("gateway.networking.k8s.io/v1beta1", "gateway.networking.k8.io/v1", "v1"):
        daemon.hangup(objects(GATEWAY, first.replace("gateway.networking.k8s.io/v1", slip), services),
                      "TLSRoute default/r would be lost by a mistake")
    item = first.strip().replace("\n", "\n  ")
    for slip in ("kind: TlsRouteList\napiVersion: gateway.networking.k8s.io/v1\nitems:\n- " + item,
                 "kind: list\napiVersion: v1\nitems:\n- " + item, "kind: List\napiVersion: v1\nitmes:\n- " + item,
                 first.replace("name: r", "nmae: r"), first.replace("name: r", "name: ~"),
                 first.replace("kind: TLSRoute", "kind: TlsRoute").replace("name: r", "name: R")):
        daemon.hangup(objects(GATEWAY, slip, services), "TLSRoute default/r would be lost by a mistake")
    done = daemon.cli("apply", "-f", "-", input=objects(GATEWAY, first.replace("TLSRoute", "TlsRoute"), services), check=False)
    assert done.returncode == 1 and "TLSRoute default/r would be lost by a mistake" in done.stderr
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    # What was never in force can be lost by nothing, whatever it is called.
    strangers = (first.replace("kind: TLSRoute", "kind: TlsRoute").replace("{name: r}", "{name: q}"),
                 ROUTE % ("Nope", "b.example.com", "{name: s, port: 443}"), "{apiVersion: v1, metadata: {name: x}}")
    daemon.hangup(objects(GATEWAY, first, services, *strangers), "reloaded .*, without the objects that have errors")
    daemon.hangup(objects(GATEWAY, services, *strangers), "reloaded ")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "rst"


SELECTED = gateway('{name: tls, port: 443, protocol: TLS, hostname: "*.example.com", tls: {mode: Passthrough}, allowedRoutes: '
                   '{namespaces: {from: Selector, selector: {matchExpressions: [{key: tier, operator: NotIn, values: [prod]}]}}}}')
WEB = "{apiVersion: v1, kind: Namespace, metadata: {name: web, labels: {tier: %s}}}"


@pytest.mark.parametrize("after", [
    WEB.replace("Namespace", "Namespce") % "test", WEB.replace("v1", "core/v1") % "test", WEB % '"not a value!"',
    WEB.replace("name: web", "nme: web") % "test", WEB.replace("name: web", "name: w, name: web") % "test",
    "{apiVersion: v1, kind: namespaceList, items: [{metadata: {name: web}}]}", "{apiVersion: v1, kind: Namespace}",
    WEB.replace("kind: Namespace, ", "") % "test", "{apiVersion: v1, kind: List, item: [%s]}" % (WEB % "test"),
    WEB.replace("v1", "k8s.io/v1") % "test",
    "{apiVersion: v1, kind: Secret, kind: Namespace, metadata: {name: web}}", '{apiVersion: v1, kind: "Namespace\\0", metadata: {name: web}}'])
def test_a_slip_in_a_namespace_changes_nobodys_isolation(hosts, run, echo, after):
    one = echo(2, "one")
    local = ROUTE % ("r", "app.example.com", "{name: s, port: 443}")
    rest = (SELECTED, local, local.replace("{name: r}", "{name: r, namespace: web}").replace("name: gateway", "name: gateway, namespace: default")
            .replace("app.", "web.").replace("name: s,", "name: s, namespace: default,"), service("s", one.address, one.port),
            "{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: g}, spec: {from: [{group: "
            "gateway.networking.k8s.io, kind: TLSRoute, namespace: web}], to: [{group: '', kind: Service}]}}")

    def served():
        return [name for name in ("app", "web") if backend_of(hosts.client, ROUTER4, hello(f"{name}.example.com")) == "one"]

    # It was known, and it was not.
    for before, then in ((WEB % "prod", ["app"]), ("", ["app", "web"])):
        daemon = run(objects(before, *rest))
        assert served() == then
        mark = daemon.process.mark()
        daemon.hangup(objects(after, *rest), "would be lost by a mistake|reloaded ")
        assert served() == then
        if before:
            daemon.process.wait_for("Namespace web would be lost", after=mark)
        daemon.close()


def test_one_mistake_mended_does_not_hide_another(hosts, run, echo):
    one = echo(2, "one")
    first = ROUTE % ("r", "app.example.com", "{name: s, port: 443}")
    rest = (GATEWAY, service("s", one.address, one.port))
    junk, bad = "{apiVersion: v1, metadata: {name: x}}", ROUTE % ("Bad", "b.example.com", "{name: s, port: 443}")
    near = first.replace("TLSRoute", "TlsRoute")
    broken = "{apiVersion: v1, kind: List}", "{apiVersion: v1, kind: List, item: [{}]}"
    for before, after in (((junk, first), (first.replace("kind: TLSRoute", ""),)),
                          ((bad, first), (bad.replace("Bad", "good"), first.replace("name: r", "name: R_"))),
                          ((near, first), (near.replace("TlsRoute", "TLSRout"),)), ((broken[0], first), (broken[1],)),
                          ((near, first), (near, near)),
                          (("{apiVersion: v1, kind: List, items: {}}", first), ("{apiVersion: v1, kind: List, items: {}}",) * 2),
                          ((junk, first), (junk + first.replace("apiVersion", "\napiVersion"),))):
        daemon = run(objects(*rest, *before))
        daemon.hangup(objects(*rest, *after), "the running configuration stays")
        assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
        daemon.close()


def test_room_goes_to_those_in_force_and_names_without_room_to_nobody(hosts, run, echo):
    one = echo(2, "one")
    listener = "{name: l%d, port: 443, protocol: TLS, hostname: a%d.n%d.example.com, tls: {mode: Passthrough}}"
    full = [gateway(*(listener % (k, i, k) for k in range(64)), name=f"m{i:02}") for i in range(16)]
    own = gateway("{name: tls, port: 443, protocol: TLS, hostname: app.example.com, tls: {mode: Passthrough}}", name="z")
    rest = (gateway("{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"),
            ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", one.address, one.port))
    daemon = run(objects(*rest))
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    # Its names would have to go to nobody, and with them those of the broader one that is in force.
    daemon.hangup(objects(*full, own, *rest), "Gateway default/gateway would be lost")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    daemon.hangup(objects(*full[:14], *rest), "reloaded ")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    daemon.term()
    daemon.write(objects(*full, own, *rest)).start()
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "rst"
    assert "Gateway default/z, listener tls: Programmed=False/NoResources" in daemon.cli("route", "explain", "app.example.com").stdout


def test_errors_alone_replace_nothing(hosts, run, echo):
    one = echo(2, "one")
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", one.address, one.port)))
    daemon.hangup(ROUTE % ("new", "App.example.com", "{name: s, port: 443}"), "the running configuration stays")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"


def test_a_class_with_an_error_makes_no_gateway_somebody_elses(hosts, run, echo):
    one = echo(2, "one")
    rest = (GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", one.address, one.port))
    daemon = run(objects(*rest))
    for word, controller in (("GatewayClass", "not a controller"), ("Gatewayclass", "example.com/x"), ("GatewayClasses", "example.com/x")):
        daemon.hangup(objects("{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: x}, spec: {controllerName: %s}}"
                              % (word, controller), *rest), "Gateway default/gateway would be lost by a mistake")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"


def test_what_was_bad_before_holds_nothing_up(hosts, run, echo):
    one = echo(2, "one")
    first, other = (ROUTE % (name, f"{name}.example.com", "{name: s, port: 443}") for name in ("r", "q"))
    junk = ("{apiVersion: v1, metadata: {name: x}}", first.replace("name: r", "nme: r"), first.replace("/v1", "/v1beta9"))
    rest = (GATEWAY, *junk, service("s", one.address, one.port), other)
    daemon = run(objects(first, *rest))
    daemon.hangup(objects(*rest), "reloaded ")
    assert [backend_of(hosts.client, ROUTER4, hello(f"{name}.example.com")) for name in "rq"] == ["rst", "one"]
    daemon.hangup(objects(*junk), "the running configuration stays")
    assert backend_of(hosts.client, ROUTER4, hello("q.example.com")) == "one"


def test_a_namesake_with_an_error_is_no_reason_to_go_back_to_an_older_one(hosts, run, echo):
    one, two = echo(2, "one"), echo(3, "two", port=9001)
    rest = (GATEWAY, service("s", one.address, one.port), service("t", two.address, two.port))
    old, new = (ROUTE % ("r", "app.example.com", f"{{name: {name}, port: 443}}") for name in "st")
    daemon = run(objects(old, new, *rest))
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "two"
    bad = new.replace("app.", "App.")
    daemon.hangup(objects(old, bad, *rest), "TLSRoute default/r would be lost by a mistake")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "two"
    # Where it stood so at start, it holds up nothing.
    with run.prepared(objects(old, bad, *rest)) as other:
        daemon.close()
        other.start()
        other.hangup(objects(old, bad, ROUTE % ("q", "www.example.com", "{name: t, port: 443}"), *rest), "reloaded ")
        assert [backend_of(hosts.client, ROUTER4, hello(f"{name}.example.com")) for name in ("app", "www")] == ["one", "two"]


def test_a_terminator_that_is_this_router_changes_nothing(hosts, run, echo):
    one = echo(2, "one")
    web = '{name: web, port: 443, protocol: HTTPS, hostname: w.example.com, tls: {certificateRefs: [{name: c}]}}'
    rest = (gateway('{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}', web),
            ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", one.address, one.port))
    daemon = run(objects(f"terminate: {one.address}:{one.port}", *rest))
    daemon.hangup(objects("terminate: 127.0.0.1:443", *rest), "the running configuration stays as it was")
    assert backend_of(hosts.client, ROUTER4, hello("w.example.com")) == "one"
    with open(daemon.log, encoding="utf-8") as log:
        assert log.read().count("of this router: a loop") == 1


def test_partial_needs_something_good(hosts, run, echo):
    one = echo(2, "one")
    rest = (GATEWAY, service("s", one.address, one.port))
    daemon = run(objects(ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), *rest))
    bad = objects(ROUTE % ("r", "App.example.com", "{name: s, port: 443}"), *rest)
    done = daemon.cli("apply", "--partial", "-f", "-", input=bad, check=False)
    assert done.returncode == 1 and "TLSRoute default/r" in done.stderr
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    good = ROUTE % ("q", "www.example.com", "{name: s, port: 443}")
    done = daemon.cli("apply", "--partial", "-f", "-", input=objects(bad, good), check=False)
    assert "TLSRoute default/r" in done.stderr
    assert [backend_of(hosts.client, ROUTER4, hello(f"{name}.example.com")) for name in ("app", "www")] == ["rst", "one"]


def test_a_gateway_on_an_address_that_is_not_there_yet_waits_for_it(hosts, run, echo):
    one = echo(2, "one")
    rest = (GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", one.address, one.port))
    absent = ("10.77.1.77", "fd77:1::77")
    listener = '{name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}'
    other = objects(*(gateway(listener, name=f"g{i}").replace("spec:", f'spec:\n  addresses: [{{value: "{ip}"}}]')
                      for i, ip in enumerate((*absent, "0.0.0.1"))),
                    ROUTE.replace("[{name: gateway}]", "[{name: g0}, {name: g1}]") % ("w", "www.example.com", "{name: s, port: 443}"))

    def programmed(name):
        status = daemon.json("status", f"gateway/{name}")["items"][0]["status"]
        said, = (c for c in status["conditions"] if c["type"] == "Programmed")
        at, = (c for c in status["listeners"][0]["conditions"] if c["type"] == "Programmed")
        return said["status"], said["reason"], at["status"], [a["value"] for a in status["addresses"]]

    daemon = run(objects(*rest))
    daemon.hangup(objects(*rest, other), "reloaded ")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    daemon.term()
    daemon.start()
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    for name in ("g0", "g1", "g2"):
        assert programmed(name) == ("False", "AddressNotUsable", "False", [])
    for i, ip in enumerate(absent):
        hosts.router.run("ip", "address", "add", f"{ip}/128" if i else f"{ip}/32", "dev", "lo", *(["nodad"] if i else []))
        try:
            assert programmed(f"g{i}") == ("True", "Programmed", "True", [ip])
            assert backend_of(hosts.router, ip, hello("www.example.com"), port=8443) == "one"
        finally:
            hosts.router.run("ip", "address", "del", f"{ip}/128" if i else f"{ip}/32", "dev", "lo")
        assert programmed(f"g{i}") == ("False", "AddressNotUsable", "False", [])


def test_a_daemon_starts_though_its_only_gateway_has_an_error(hosts, run, echo):
    one = echo(2, "one")
    rest = (ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", one.address, one.port))
    daemon = run(objects(GATEWAY.replace("port: 443", "port: 70000"), *rest))
    with pytest.raises(ConnectionRefusedError):
        backend_of(hosts.client, ROUTER4, hello("app.example.com"))
    assert daemon.json("status")["paths"] == ["socket", "relay"]
    daemon.hangup(objects(GATEWAY, *rest), "reloaded ")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"


def test_a_route_keeps_its_counters_and_connections_where_its_listeners_change(hosts, run, echo):
    one = echo(2, "one")
    rest = (ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", one.address, one.port))
    daemon = run(objects(GATEWAY, *rest))
    with hosts.client.connect(ROUTER4, 443) as conn:
        conn.send(hello("app.example.com"))
        eventually(lambda: len(daemon.json("conn", "show", "--route", "default/r")) == 1)
        more = '{name: more, port: 8443, protocol: TLS, tls: {mode: Passthrough}}'
        tls = '{name: tls, port: 443, protocol: TLS, hostname: "*.example.com", tls: {mode: Passthrough}}'
        daemon.hangup(objects(gateway(tls, more), *rest), "reloaded ")
        route, = daemon.json("route", "show", "default/r")
        assert (route["listeners"], route["stats"]["connections"]) == (["default/gateway/more", "default/gateway/tls"], 1)
        assert len(daemon.json("conn", "show", "--route", "default/r")) == 1
        daemon.hangup(objects(gateway(tls.replace("name: tls", "name: new")), *rest), "reloaded ")
        route, = daemon.json("route", "show", "default/r")
        assert (route["listeners"], route["stats"]["connections"]) == (["default/gateway/new"], 1)


@pytest.fixture(name="anyip")
def _anyip(hosts):
    """A network of which all addresses are this host's, though no device has one."""
    hosts.router.run("ip", "route", "add", "local", "10.99.0.0/24", "dev", "lo")
    yield
    hosts.router.run("ip", "route", "del", "local", "10.99.0.0/24", "dev", "lo")


@pytest.mark.parametrize("address", ["127.0.0.1", ROUTER4, "10.99.0.5"])
def test_a_route_to_this_router_itself_says_so(hosts, run, anyip, address):
    del anyip
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", address, 443)))
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "rst"
    item, = daemon.json("status", "tlsroute/r")["items"]
    reasons = {c["type"]: (c["status"], c["reason"]) for c in item["status"]["parents"][0]["conditions"]}
    assert reasons == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("False", "UnsupportedValue")}
    said = daemon.cli("route", "explain", "app.example.com").stdout
    assert f"in the way    TLSRoute default/r: ResolvedRefs=False/UnsupportedValue: the backend {address}:443 is" in said, said
    done = daemon.cli("check", "-f", daemon.file, check=False)
    # Which addresses this host has, check does not ask.
    assert (f"{daemon.file}:11:1: error: route default/r: the backend" in done.stderr) == (address == "127.0.0.1"), done.stderr
    # A change in place leads back just the same.
    slow = service("t", "192.0.2.9", 443)
    daemon.hangup(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: t, port: 443}"), slow, service("s", address, 443)),
                  "reloaded ")
    daemon.hangup(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), slow, service("s", address, 443)),
                  "default/r would be lost by a mistake")
    done = daemon.cli("route", "add", "cli.example.com", f"{address}:443", check=False)
    assert done.returncode == 1 and "loop" in done.stderr


def test_objects_beside_it_make_no_lone_loop_good(hosts, run):
    del hosts
    loop = configuration([route("a.example.com", f"{ROUTER4}:443")], [{"name": "tls", "address": ROUTER4, "port": 443}])
    daemon = run.prepared(objects(json.dumps(loop), "{apiVersion: v1, kind: Secret}")).start(wait=False)
    assert daemon.process.wait() == 1
    daemon.process.wait_for("a loop")


def test_lists_are_in_order_whatever_came_first(hosts, run):
    del hosts
    address = service("s", "192.0.2.9", 443)
    daemon = run(objects(GATEWAY, ROUTE % ("m", "m.example.com", "{name: s, port: 443}"), address))
    daemon.hangup(objects(GATEWAY, *(ROUTE % (name, f"z.{name}.example.com, a.{name}.example.com, k.{name}.example.com",
                                              "{name: s, port: 443}, {name: s, port: 443}") for name in "zam"), address))
    eventually(lambda: [r["name"] for r in daemon.json("route", "show")] == ["default/a", "default/m", "default/z"])
    routes = daemon.json("route", "show")
    assert routes[0]["hostnames"] == ["a.a.example.com", "k.a.example.com", "z.a.example.com"]
    backend, = daemon.json("backend", "show")
    assert backend["routes"] == ["default/a", "default/m", "default/z"]


def since(daemon, name):
    item, = daemon.json("status", f"tlsroute/{name}")["items"]
    return {c["type"]: c["lastTransitionTime"] for c in item["status"]["parents"][0]["conditions"]}


def test_a_few_objects_change_among_many(hosts, run, echo):
    """The daemon reads these alone; what it then serves and says is what all of them say."""
    one, two = echo(2, "one"), echo(3, "two")
    many = [ROUTE % (f"r{i}", f"h{i}.example.com", "{name: s, port: 443}") for i in range(50)]
    app = ROUTE % ("app", "app.example.com", "{name: t, port: 443}")
    first, second = service("s", one.address, one.port), service("t", two.address, two.port)
    daemon = run(objects(GATEWAY, *many, first))
    assert backend_of(hosts.client, ROUTER4, hello("h7.example.com")) == "one"
    before = since(daemon, "r7")
    # One comes, with its Service; the endpoints of all others move.
    moved = first.replace(f"[{one.address}]", f"[{two.address}]")
    daemon.hangup(objects(GATEWAY, app, *many, moved, second), wait_for="reloaded")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "two"
    assert backend_of(hosts.client, ROUTER4, hello("h7.example.com")) == "two"
    assert since(daemon, "r7") == before
    gateway, = daemon.json("status", "gateway/gateway")["items"]
    assert gateway["status"]["listeners"][0]["attachedRoutes"] == 51
    # An error keeps all of it.
    daemon.hangup(objects(GATEWAY, app, *many, first.replace("port: 443", "port: 0"), second), wait_for="the running configuration stays")
    assert backend_of(hosts.client, ROUTER4, hello("h7.example.com")) == "two"
    # A route that leads back here is an error, too.
    daemon.hangup(objects(GATEWAY, app, *many, moved, service("t", "127.0.0.1", 443)), wait_for="the running configuration stays")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "two"
    # One goes.
    daemon.hangup(objects(GATEWAY, *many, first, second), wait_for="reloaded")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) in ("rst", "fin")
    assert backend_of(hosts.client, ROUTER4, hello("h7.example.com")) == "one"
    assert daemon.json("status", "tlsroute/r7")["items"] and not daemon.json("status", "tlsroute/app", check=False).get("items")


def test_a_bad_object_is_left_out_and_the_others_work(hosts, run, echo):
    one = echo(2, "one")
    daemon = run(objects(GATEWAY, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"),
                         ROUTE % ("bad", "APP.example.com", "{name: s, port: 443}"),
                         service("s", one.address, one.port)))
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"
    done = daemon.cli("check", "-f", daemon.file, check=False)
    assert done.returncode == 1 and "TLSRoute default/bad: spec.hostnames[0]" in done.stderr
    with open(daemon.log, encoding="utf-8") as log:
        assert "TLSRoute default/bad: spec.hostnames[0]" in log.read()


@pytest.mark.parametrize("form", ["json", "list"])
def test_other_forms_are_read_alike(hosts, run, echo, form):
    one = echo(2, "one")
    items = [
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "gateway"},
         "spec": {"gatewayClassName": "any", "listeners": [
             {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}]}},
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "TLSRoute", "metadata": {"name": "r"},
         "spec": {"parentRefs": [{"name": "gateway"}], "hostnames": ["app.example.com"],
                  "rules": [{"backendRefs": [{"name": "s", "port": 443}]}]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
         "spec": {"ports": [{"port": 443, "targetPort": one.port}]}},
    ]
    own = json.dumps({"endpoints": [{"service": "s", "addresses": [one.address]}]})
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}) if form == "list" else \
        "\n---\n".join(json.dumps(item) for item in items)
    run(f"{text}\n---\n{own}")
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com")) == "one"


def test_https_goes_to_the_terminator_beside_passthrough_on_one_port(hosts, run, web):
    """Two real nginx: one terminates a name for everybody, one is a backend with a certificate of its own."""
    address, _, port = web["app"].rpartition(":")
    both = gateway('{name: https, port: 443, protocol: HTTPS, hostname: "*.example.com", tls: {certificateRefs: [{name: c}]}}',
                   "{name: tls, port: 443, protocol: TLS, hostname: app.example.com, tls: {mode: Passthrough}}")
    daemon = run(objects(f"terminate: '{web['wild']}'", both, ROUTE % ("r", "app.example.com", "{name: s, port: 443}"), service("s", address, int(port))))
    for name, expected in (("app.example.com", "app.example.com"), ("www.example.com", "wild.example.com")):
        done = hosts.client.run("sh", "-c", f"openssl s_client -connect {ROUTER4}:443 -servername {name} </dev/null")
        assert f"CN = {expected}" in done.stdout
    listeners = daemon.json("status", "gateway")["items"][0]["status"]["listeners"]
    assert all({"type": "Accepted", "status": "True"}.items() <= c.items()
               for item in listeners for c in item["conditions"] if c["type"] == "Accepted")
