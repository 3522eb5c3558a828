/*
 * The scrubber: a thread that goes through the stores of all regions, one after another, at a given rate, and begins again some days after the last pass began. What it finds is in the log, in `amid scrub`
 * and on the snapshots concerned.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct amid;
struct scrubber;

/* After the stores and the metadata, before the door. With `scrub_rate_mib` 0 in the configuration it works only when it is told to. */
int scrub_open(struct amid *amid, struct scrubber **scrubber, struct error *err);
/* Ends the thread and whoever waits; for the thread that closes. */
void scrub_stop(struct scrubber *scrubber);  /* NULL is legal */
void scrub_close(struct scrubber *scrubber); /* NULL is legal */
/* A pass of all regions from the beginning, now. `rate_mib` MiB a second for it, 0: as fast as it can be. */
void scrub_start_now(struct scrubber *scrubber, unsigned rate_mib);
/* Waits until no pass that was told to start is under way, at most so long; whether that is so. */
bool scrub_wait(struct scrubber *scrubber, unsigned limit_ms);
