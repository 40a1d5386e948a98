// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Why a name is served as it is: objects and a name in, the listener, the route, those that lost,
 * the Services and what is in the way out, a line each. The decision is looked up in the table as
 * bpf/route.bpf.h does it.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "model/gateway.h"
#include "model/table.h"

/* --- objects --------------------------------------------------------------------------------- */

#define GROUP "apiVersion: gateway.networking.k8s.io/v1\n"
#define GATEWAY(name, listeners)                                                                   \
	"---\n" GROUP "kind: Gateway\nmetadata: {name: " name "}\n"                                \
	"spec: {gatewayClassName: any, listeners: [" listeners "]}\n"
#define TLS(name, port, more)                                                                      \
	"{name: " name ", port: " port ", protocol: TLS, tls: {mode: Passthrough}" more "},"
#define NAMED(hostname) ", hostname: '" hostname "'"
/* @meta and @parent have more members of metadata and of the one parentRef, or nothing. */
#define ROUTE(name, meta, parent, hostname, backends)                                              \
	"---\n" GROUP "kind: TLSRoute\nmetadata: {name: " name meta "}\n"                          \
	"spec: {parentRefs: [{name: gw" parent "}], hostnames: ['" hostname "'], "                 \
	"rules: [{backendRefs: [" backends "]}]}\n"
#define BORN(year) ", creationTimestamp: '" year "-01-01T00:00:00Z'"
#define APP	   "{name: app, port: 443}"
#define SERVICE(name, ip)                                                                          \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: " name "}\n"                         \
	"spec: {clusterIP: " ip ", ports: [{port: 443}]}\n"
#define SLICE(service, endpoints)                                                                  \
	"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " service     \
	"-1, labels: {kubernetes.io/service-name: " service "}}\naddressType: IPv4\n"              \
	"ports: [{port: 8443}]\nendpoints: [" endpoints "]\n"
#define WILD  GATEWAY("gw", TLS("tls", "443", NAMED("*.example.com")))
#define APPS  SERVICE("app", "10.0.0.1")
#define FIFTY "a-name-of-fifty-bytes-as-they-are-made-by-programs"
/* With its namespace it has more than 253 bytes. */
#define LONG  FIFTY "." FIFTY "." FIFTY "." FIFTY FIFTY
#define ALONE "the only listener here that covers the name\n"
#define ONE   "listener default/gw tls (*.example.com): " ALONE
#define FULL  "service default/app:443*1 100%: 10.0.0.1:443\n"

static const struct explain_case {
	const char *rule, *name;
	uint16_t port;
	const char *objects, *expected;
} cases[] = {
	{"the guide: one listener, one route, one Service", "app.example.com", 443,
	 WILD ROUTE("a", "", "", "app.example.com", APP) APPS,
	 ONE
	 "route default/a (app.example.com) only: the only TLSRoute that has the name here\n" FULL},
	{"an exact hostname comes before a wildcard", "app.example.com", 443,
	 WILD ROUTE("a", BORN("2020"), "", "*.example.com", APP)
		 ROUTE("b", BORN("2021"), "", "app.example.com", APP) APPS,
	 ONE
	 "route default/b (app.example.com) specificity: its hostname is more specific than the "
	 "others'\n"
	 "lost default/a (*.example.com) specificity: its hostname is less specific\n" FULL},
	{"of two wildcards on one listener, the route's own hostname counts", "x.example.com", 443,
	 WILD ROUTE("a", BORN("2020"), "", "*.com", APP)
		 ROUTE("b", BORN("2021"), "", "*.example.com", APP) APPS,
	 ONE "route default/b (*.example.com) specificity: its hostname is more specific than the "
	     "others'\n"
	     "lost default/a (*.com) specificity: its hostname is less specific\n" FULL},
	{"the older one has the name", "app.example.com", 443,
	 WILD ROUTE("a", BORN("2021"), "", "app.example.com", APP)
		 ROUTE("b", BORN("2020"), "", "app.example.com", APP) APPS,
	 ONE
	 "route default/b (app.example.com) age: it is the oldest of those whose hostname is as "
	 "specific\n"
	 "lost default/a (app.example.com) age: it is younger (2021-01-01T00:00:00Z; the other: "
	 "2020-01-01T00:00:00Z)\n" FULL},
	{"the last year that a time can have is younger than all others", "app.example.com", 443,
	 WILD ROUTE("a", BORN("9999"), "", "app.example.com", APP)
		 ROUTE("b", BORN("2020"), "", "app.example.com", APP) APPS,
	 ONE
	 "route default/b (app.example.com) age: it is the oldest of those whose hostname is as "
	 "specific\n"
	 "lost default/a (app.example.com) age: it is younger (9999-01-01T00:00:00Z; the other: "
	 "2020-01-01T00:00:00Z)\n" FULL},
	{"a name that is too long for the table", "app.example.com", 443,
	 WILD ROUTE(LONG, "", "", "app.example.com", APP) APPS,
	 ONE "route default/" LONG
	     " (app.example.com) only: the only TLSRoute that has the name here\n" FULL},
	{"without a time a route counts as younger", "app.example.com", 443,
	 WILD ROUTE("a", "", "", "app.example.com", APP)
		 ROUTE("b", BORN("2020"), "", "app.example.com", APP) APPS,
	 ONE
	 "route default/b (app.example.com) age: it is the oldest of those whose hostname is as "
	 "specific\n"
	 "lost default/a (app.example.com) age: it is younger (no creationTimestamp; the other: "
	 "2020-01-01T00:00:00Z)\n" FULL},
	{"of the same age: by name", "app.example.com", 443,
	 WILD ROUTE("b", "", "", "app.example.com", APP) ROUTE("a", "", "", "app.example.com", APP)
		 APPS,
	 ONE
	 "route default/a (app.example.com) name: it comes first by namespace and name of those "
	 "as specific and as old\n"
	 "lost default/b (app.example.com) name: it is as old, and comes later by namespace and "
	 "name\n" FULL},
	{"the most specific listener, and a route that is only on the other", "app.example.com",
	 443,
	 GATEWAY("gw", TLS("all", "443", "") TLS("tls", "443", NAMED("*.example.com")))
		 ROUTE("a", "", ", sectionName: all", "app.example.com", APP)
			 ROUTE("b", "", ", sectionName: tls", "*.example.com", APP) APPS,
	 "listener default/gw tls (*.example.com): the most specific of the 2 listeners here that "
	 "cover the name\n"
	 "route default/b (*.example.com) only: the only TLSRoute that has the name here\n"
	 "lost default/a (app.example.com) listener: the name belongs to another listener than its "
	 "own\n" FULL},
	{"a native route that is more specific has the name", "app.example.com", 443,
	 "routes: [{hostnames: [app.example.com], backends: ['10.0.0.9:443']}]\n" WILD ROUTE(
		 "a", "", "", "*.example.com", APP) APPS,
	 ONE "lost default/a (*.example.com) owner: route app.example.com, which is no TLSRoute's, "
	     "has the name\n"},
	{"shares of Services, and of their endpoints", "app.example.com", 443,
	 WILD ROUTE("a", "", "", "app.example.com",
		    "{name: app, port: 443, weight: 3}, {name: two, port: 443, weight: 0}, "
		    "{name: nope, port: 443}, {name: none, port: 443, weight: 4}")
		 APPS SLICE("app", "{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}")
			 SERVICE("two", "10.0.0.2") SERVICE("none", "None"),
	 ONE "route default/a (app.example.com) only: the only TLSRoute that has the name here\n"
	     "service default/app:443*3 38%: 10.1.0.1:8443 10.1.0.2:8443\n"
	     "service default/two:443*0 0%:\n"
	     "service default/nope:443*1 12%: (its share is refused: BackendNotFound: no Service "
	     "default/nope)\n"
	     "service default/none:443*4 50%: (its share is refused: no endpoint is ready)\n"
	     "obstacle TLSRoute default/a: ResolvedRefs=False/BackendNotFound: no Service "
	     "default/nope\n"},
	{"a Service without endpoints", "app.example.com", 443,
	 WILD ROUTE("a", "", "", "app.example.com", APP) SERVICE("app", "None"),
	 ONE "route default/a (app.example.com) only: the only TLSRoute that has the name here\n"
	     "service default/app:443*1 100%: (its share is refused: no endpoint is ready)\n"},
	{"a reference into another namespace without a grant", "app.example.com", 443,
	 WILD ROUTE("a", "", "", "app.example.com", "{name: s, namespace: other, port: 443}"),
	 ONE
	 "route default/a (app.example.com) only: the only TLSRoute that has the name here\n"
	 "service other/s:443*1 100%: (its share is refused: RefNotPermitted: no ReferenceGrant in "
	 "namespace other permits Service s)\n"
	 "obstacle TLSRoute default/a: ResolvedRefs=False/RefNotPermitted: no ReferenceGrant in "
	 "namespace other permits Service s\n"},
	{"a route of a namespace that is not allowed", "app.example.com", 443,
	 WILD ROUTE("a", ", namespace: other", ", namespace: default", "app.example.com", APP),
	 ONE
	 "obstacle TLSRoute other/a, parent default/gw: Accepted=False/NotAllowedByListeners: no "
	 "listener that is meant allows TLSRoutes of this namespace\n"},
	{"a route that is not allowed is told also where another one serves the name",
	 "app.example.com", 443,
	 WILD ROUTE("a", ", namespace: other", ", namespace: default", "app.example.com", APP)
		 ROUTE("b", "", "", "*.example.com", APP) APPS,
	 ONE
	 "route default/b (*.example.com) only: the only TLSRoute that has the name here\n" FULL
	 "obstacle TLSRoute other/a, parent default/gw: Accepted=False/NotAllowedByListeners: no "
	 "listener that is meant allows TLSRoutes of this namespace\n"},
	{"a listener that the route means is not there", "app.example.com", 443,
	 WILD ROUTE("a", "", ", sectionName: nope", "app.example.com", APP),
	 ONE
	 "obstacle TLSRoute default/a, parent default/gw/nope: Accepted=False/NoMatchingParent: "
	 "the Gateway has no listener of this name or port\n"},
	{"no hostname of the listener's", "app.example.org", 443,
	 WILD ROUTE("a", "", "", "app.example.org", APP),
	 "obstacle TLSRoute default/a, parent default/gw: "
	 "Accepted=False/NoMatchingListenerHostname: "
	 "no hostname of the route is one of a listener that is meant\n"},
	{"a Gateway that is not there", "app.example.com", 443,
	 WILD ROUTE("a", "", ", namespace: other", "app.example.com", APP),
	 ONE "obstacle TLSRoute default/a, parent other/gw: there is no such Gateway\n"},
	{"a Gateway of another class", "app.example.com", 443,
	 "---\n" GROUP "kind: GatewayClass\nmetadata: {name: any}\n"
	 "spec: {controllerName: example.com/other}\n" WILD ROUTE("a", "", "", "app.example.com",
								  APP),
	 "obstacle TLSRoute default/a, parent default/gw: the Gateway is of a class that is not "
	 "ours\n"},
	{"listeners in conflict, and no other", "app.example.com", 443,
	 WILD GATEWAY("two", TLS("tls", "443", NAMED("*.example.com")))
		 ROUTE("a", "", "", "app.example.com", APP),
	 "obstacle Gateway default/gw, listener tls: Accepted=False/HostnameConflict: another "
	 "listener has this port and name, or a protocol that cannot share it\n"
	 "obstacle Gateway default/two, listener tls: Accepted=False/HostnameConflict: another "
	 "listener has this port and name, or a protocol that cannot share it\n"},
	{"a listener in conflict beside a broader one", "app.example.com", 443,
	 GATEWAY("gw", TLS("all", "443", "") TLS("tls", "443", NAMED("*.example.com")))
		 GATEWAY("two", TLS("tls", "443", NAMED("*.example.com")))
			 ROUTE("a", "", ", sectionName: tls", "app.example.com", APP),
	 "listener default/gw all (all names): " ALONE
	 "obstacle Gateway default/gw, listener tls: Accepted=False/HostnameConflict: another "
	 "listener has this port and name, or a protocol that cannot share it\n"
	 "obstacle Gateway default/two, listener tls: Accepted=False/HostnameConflict: another "
	 "listener has this port and name, or a protocol that cannot share it\n"},
	{"a route of another port", "app.example.com", 443,
	 GATEWAY("gw", TLS("tls", "443", "") TLS("other", "8443", ""))
		 ROUTE("a", "", ", sectionName: other", "app.example.com", APP) APPS,
	 "listener default/gw tls (all names): " ALONE
	 "lost default/a (app.example.com) elsewhere: it is attached at other ports or "
	 "addresses\n"},
	{"nobody has the name", "app.example.com", 443, WILD,
	 ONE "obstacle Gateway default/gw, listener tls: no TLSRoute that is attached here has the "
	     "name\n"},
	{"no listener has the name", "app.example.org", 443, WILD,
	 "obstacle Gateway default/gw: no listener here has the name\n"},
	{"a route without parents", "app.example.com", 443,
	 WILD "---\n" GROUP "kind: TLSRoute\nmetadata: {name: a}\nspec: {hostnames: "
	      "[app.example.com], rules: [{backendRefs: [" APP "]}]}\n",
	 ONE "obstacle TLSRoute default/a: it has no parentRefs\n"},
	{"a listener that is terminated", "app.example.com", 443,
	 "terminate: '127.0.0.1:9443'\n" GATEWAY(
		 "gw",
		 "{name: web, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}"),
	 "listener default/gw web (all names, terminated): " ALONE},
	{"an address of the Gateway's", "app.example.com", 443,
	 "---\n" GROUP "kind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: any, "
	 "addresses: [{value: 127.0.0.5}, {value: 127.0.0.6}], listeners: [" TLS(
		 "tls", "443", "") "]}\n" ROUTE("a", "", "", "app.example.com", APP) APPS,
	 "listener default/gw tls (all names): " ALONE
	 "route default/a (app.example.com) only: the only TLSRoute that has the name here\n" FULL},
	{"no object has to do with it", "app.example.com", 443,
	 "listeners: [{port: 443}]\n" ROUTE("a", "", "", "other.example.com", APP), "nothing\n"},
};

/* --- the decision ---------------------------------------------------------------------------- */

static const struct table_name *look_up(const struct table *t, uint32_t bind, const char *name)
{
	const struct table_name *best = NULL;

	for (size_t i = 0; i < t->n_names; i++)
		if (t->names[i].bind == bind && table_covers(t->names[i].pattern, name) &&
		    (!best || table_rank(t->names[i].pattern) > table_rank(best->pattern)))
			best = &t->names[i];
	return best;
}

static void decide(const struct table *t, const char *name, uint16_t port,
		   struct gateway_decision *decision)
{
	const struct table_name *found;

	*decision = (struct gateway_decision){.name = name, .port = htons(port)};
	for (uint32_t i = 0; i < t->n_binds && !decision->addr; i++) {
		if (t->binds[i].key.port != htons(port))
			continue;
		decision->addr = t->binds[i].key.addr;
		decision->listener = t->listeners[t->binds[i].listener].config->name;
		found = look_up(t, i, name);
		if (!found)
			continue;
		decision->listener = t->listeners[found->listener].config->name;
		if (found->route != TABLE_NONE)
			decision->route = t->routes[found->route].name;
	}
}

/* --- what came out, as text ------------------------------------------------------------------ */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void print_attached(FILE *out, const char *head, const json_t *one)
{
	fprintf(out, "%s %s/%s (%s) %s: %s\n", head, text_of(one, "namespace"),
		text_of(one, "name"), text_of(one, "hostname"), text_of(one, "by"),
		text_of(one, "text"));
}

static void print_service(FILE *out, const json_t *one)
{
	const json_t *endpoint;
	size_t i;

	fprintf(out, "service %s/%s:%lld*%lld %.0f%%:", text_of(one, "namespace"),
		text_of(one, "name"), json_integer_value(json_object_get(one, "port")),
		json_integer_value(json_object_get(one, "weight")),
		json_real_value(json_object_get(one, "share")));
	json_array_foreach (json_object_get(one, "endpoints"), i, endpoint)
		fprintf(out, " %s", json_string_value(endpoint));
	if (*text_of(one, "text"))
		fprintf(out, " (%s)", text_of(one, "text"));
	fputc('\n', out);
}

static void print_why(FILE *out, const json_t *why)
{
	const json_t *listener = json_object_get(why, "listener"), *one;
	size_t i;

	if (json_is_null(why))
		fprintf(out, "nothing\n");
	if (json_is_object(listener))
		fprintf(out, "listener %s/%s %s (%s%s): %s\n", text_of(listener, "namespace"),
			text_of(listener, "gateway"), text_of(listener, "name"),
			*text_of(listener, "hostname") ? text_of(listener, "hostname")
						       : "all names",
			json_is_true(json_object_get(listener, "terminated")) ? ", terminated" : "",
			text_of(listener, "text"));
	if (json_is_object(json_object_get(why, "route")))
		print_attached(out, "route", json_object_get(why, "route"));
	json_array_foreach (json_object_get(why, "lost"), i, one)
		print_attached(out, "lost", one);
	json_array_foreach (json_object_get(why, "services"), i, one)
		print_service(out, one);
	json_array_foreach (json_object_get(why, "obstacles"), i, one)
		fprintf(out, "obstacle %s\n", text_of(one, "text"));
}

static char *answer_to(const struct explain_case *c)
{
	struct gateway_decision decision;
	struct config_problems problems;
	struct table *table = NULL;
	struct config *config;
	char *result = NULL;
	size_t size;
	json_t *why;
	FILE *out = open_memstream(&result, &size);

	assert_non_null(out);
	config_problems_init(&problems);
	(void)config_parse("f", c->objects, strlen(c->objects), &config, &problems);
	assert_non_null(config);
	if (problems.n_errors)
		config_problems_print(&problems, out);
	assert_int_equal(table_build(config, NULL, 0, &problems, &table), 0);
	decide(table, c->name, c->port, &decision);
	why = gateway_explain(config, &decision);
	assert_non_null(why);
	print_why(out, why);
	json_decref(why);
	fclose(out);
	table_free(table);
	config_free(config);
	config_problems_fini(&problems);
	return result;
}

static void every_answer_names_the_rule_or_the_object_in_the_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *answer = answer_to(&cases[i]);

		if (strcmp(answer, cases[i].expected) != 0)
			fail_msg("%s:\n-- expected:\n%s-- came:\n%s", cases[i].rule,
				 cases[i].expected, answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_answer_names_the_rule_or_the_object_in_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
