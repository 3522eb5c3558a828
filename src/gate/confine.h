/* Shutting the scanner in. One thread, and for good. */
#pragma once

/*
 * From here on this process can read, write and poll the descriptors it has, and have memory; any other system call ends it (SIGSYS). It has no privileges and cannot get any, is nobody (if it was root), is in namespaces of its
 * own with no network and an empty file system (where the kernel lets it), cannot be looked into, and has limits of memory and CPU time. All descriptors but `fd` are closed.
 * 0; -1, with what failed in *what, if one of those that must be there cannot be had.
 */
int gate_confine(int fd, const char **what);
