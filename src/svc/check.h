/* Checking a data folder that no server uses: the metadata, the stores, the volumes, and that they agree. */
#pragma once

#include <stdint.h>

#include "base/error.h"

typedef void check_report(void *context, const char *line);

/*
 * `report` gets a line for each fault, and *faults counts them. Fails with ERROR_CONFLICT if a server uses the folder, ERROR_NOT_FOUND if there is no data in it.
 */
int check_data(const char *data, check_report *report, void *context, uint64_t *faults, struct error *err);
