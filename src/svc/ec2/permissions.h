/* Lists of permissions, to launch an image or to make volumes of a snapshot: checked and changed. What they mean: svc/sharing.h. */
#pragma once

#include "svc/ec2/common.h"

/* A change names one account, the group "all", an organization or a unit (by ARN): it is well formed, or `item` (InvalidAMIAttributeItemValue and the like). InvalidParameterCombination for none or several. */
int permission_check(
	const struct record_launch_permission *permission, enum error_code item, struct error *err);
/* Adds a permission unless it is there; ResourceLimitExceeded over 1,000. */
int permission_add(struct call *call, struct record_launch_permission_list *list,
	const struct record_launch_permission *permission, struct error *err);
void permission_remove(
	struct record_launch_permission_list *list, const struct record_launch_permission *permission);
/* Whether "all" is among them. */
bool permissions_are_public(const struct record_launch_permission_list *list);
