/*
 * Controllers: each keeps one kind of thing as its record says it should be. They are woken by changes of the metadata (the listener in control.c), by events of machines, by stores that have something to free, and by timers;
 * a look at a thing that is as it should be does nothing, so a lost wake-up or a crash costs time, not correctness.
 */
#pragma once

#include "svc/amid.h"

/* Opens the work queue, listens to changes, and looks at everything once: what a crash interrupted goes on. */
int control_open(struct amid *amid, struct error *err);
/* Stops looking; what runs is finished first. Events of machines may still come, and do nothing. */
void control_stop(struct amid *amid);
/* After the machines' driver was closed: gives up the rest. */
void control_close(struct amid *amid);
/* Looks at everything once more: the clock was moved. */
int control_look_again(struct amid *amid, struct error *err);
/* compute_listener: an event of a machine wakes its instance's controller. `context` is the struct amid. */
void control_machine_event(void *context, const char *machine_id, enum machine_event event);
