/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The same programs with the layouts of v3 of the series: no `default_filter`, a shorter `meta`. */
#define SERIES_V3
#include "series.bpf.c"
