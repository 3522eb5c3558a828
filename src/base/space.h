/*
 * Room on a disk, and the part of it that is kept free: so that what must be written (metadata, maps of layers, the deletion that gives space back) can be. Pure but for asking the kernel; any thread.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* So many thousandths of the file system, but at most `bytes`; with 0 thousandths, `bytes`. */
struct space_reserve {
	unsigned permille;
	uint64_t bytes;
};

/* A fiftieth, at most 1 GiB. */
#define SPACE_RESERVE_DEFAULT ((struct space_reserve){ .permille = 20, .bytes = 1ULL << 30 })

/* "5%", "0.5%" (up to 90%), or bytes: "2000000000", "20G" (K, M, G, T by 1024). ERROR_INVALID. */
int space_parse_reserve(const char *text, struct space_reserve *reserve, struct error *err);
/* Bytes that the file system of `path` has beyond its reserve; 0 if there are none, or that cannot be found out. */
uint64_t space_available(const char *path, const struct space_reserve *reserve);
