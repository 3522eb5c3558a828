/* Functions whose use is a compile error: each has overflowed a buffer somewhere. Every .c file includes this, after the system headers. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat gets strtok atoi atol atoll
