// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which namespaces a listener's selector takes, by their labels. */
#include <string.h>

#include "model/gateway_fields.h"
#include "model/gateway_resolving.h"

static const char *label_fault(const char *key, char *const *values, size_t n_values)
{
	if (!gw_label_key.fits(key))
		return "a key is no label's key";
	for (size_t i = 0; i < n_values; i++)
		if (!gw_label_value.fits(values[i]))
			return "a value is no label's value";
	return NULL;
}

static const char *rule_fault(const struct gw_selector_rule *rule)
{
	if (rule->op == GW_UNKNOWN)
		return "an operator is none of In, NotIn, Exists and DoesNotExist";
	if ((rule->op == GW_IN || rule->op == GW_NOT_IN) != !!rule->n_values)
		return "values must be given for In and NotIn, and for these alone";
	return label_fault(rule->key, rule->values, rule->n_values);
}

/* metav1.LabelSelectorAsSelector, labels.NewRequirement */
const char *gw_selector_fault(const struct gw_listener *l)
{
	const char *fault = NULL;

	for (size_t i = 0; i < l->n_labels && !fault; i++)
		fault = label_fault(l->labels[i].key, &l->labels[i].value, 1);
	for (size_t i = 0; i < l->n_rules && !fault; i++)
		fault = rule_fault(&l->rules[i]);
	return fault;
}

static const char *label_of(const struct gateway *gw, const char *ns, const char *key)
{
	const struct gw_object *o = gw_find(gw, GW_NAMESPACE, "", ns);

	/* Every API server puts this one on, whatever the object says. */
	if (!strcmp(key, "kubernetes.io/metadata.name"))
		return ns;
	for (size_t i = 0; o && i < o->n_labels; i++)
		if (!strcmp(o->labels[i].key, key))
			return o->labels[i].value;
	return NULL;
}

static bool is_among(const char *text, char *const *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(values[i], text))
			return true;
	return false;
}

static bool rule_fits(const struct gw_selector_rule *rule, const char *value)
{
	switch (rule->op) {
	case GW_IN:
		return value && is_among(value, rule->values, rule->n_values);
	case GW_NOT_IN:
		return !value || !is_among(value, rule->values, rule->n_values);
	case GW_EXISTS:
		return value;
	default:
		return !value;
	}
}

bool gw_selector_fits(const struct gateway *gw, const struct gw_listener *l, const char *ns)
{
	/* Where nobody knows the labels, NotIn must not take it for that. */
	if (!l->has_selector || gw_selector_fault(l) || !gw_knows_namespace(gw, ns))
		return false;
	for (size_t i = 0; i < l->n_labels; i++) {
		const char *value = label_of(gw, ns, l->labels[i].key);

		if (!value || strcmp(value, l->labels[i].value) != 0)
			return false;
	}
	for (size_t i = 0; i < l->n_rules; i++)
		if (!rule_fits(&l->rules[i], label_of(gw, ns, l->rules[i].key)))
			return false;
	return true;
}
