/* Whether KVM works on this host: not "is there a /dev/kvm", but "did a machine boot under it". */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct acceleration;

/*
 * Reads the answer found earlier (FOLDER/kvm); if there is none for this kernel and QEMU, finds out in the background, which takes a few seconds. Until then the
 * answer is no.
 */
int acceleration_open(const char *folder, struct acceleration **acceleration, struct error *err);
/* Gives up a search that is under way. NULL is legal. */
void acceleration_close(struct acceleration *acceleration);
/* Never waits. Safe from every thread. */
bool acceleration_has_kvm(const struct acceleration *acceleration);

/* Boots a boot sector under the accelerator ("kvm", "tcg") with processor `cpu`; *works: it ran for two seconds and said so within timeout_ms. Scratch files go to `folder`. */
int acceleration_probe(const char *folder, const char *accelerator, const char *cpu, int timeout_ms,
	bool *works, struct error *err);
