/* Invitations as records: found by whom they concern, shown, out of date. */
#pragma once

#include "svc/organizations/common.h"

enum {
	HANDSHAKE_VALID_MS = 15 * 24 * 3600 * 1000, /* to be answered */
	HANDSHAKE_SHOWN_DAYS = 30                   /* after it is over */
};

/* Its state now: one that nobody has answered in time is EXPIRED. */
const char *org_handshake_state(const struct handshake_record *handshake);
/* Whether it is over for so long that nobody is shown it any more; it goes with the next invitation. */
bool org_handshake_is_old(const struct handshake_record *handshake);

enum org_party { ORG_INVITER = 1, ORG_INVITED = 2 };
/* One that the caller is one of these parties of (bits); any other: ERROR_ORG_HANDSHAKE_NOT_FOUND. *party tells which. */
int org_handshake_find(struct call *call, const char *id, unsigned parties, enum org_party *party,
	struct handshake_record **handshake, struct error *err);
/* All of an organization, in order of id. */
int org_handshakes_list(
	struct call *call, const char *organization, struct meta_rows *rows, struct error *err);
struct organizations_Handshake *org_handshake_show(
	struct call *call, const struct handshake_record *handshake, struct error *err);
