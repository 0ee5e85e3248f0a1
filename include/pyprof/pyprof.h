/**
 * @file pyprof/pyprof.h
 * @brief The whole library in one include.
 *
 * In the order in which a program meets it:
 * - pyprof/common.h and pyprof/status.h: the grammar of the interface, and what
 *   calls answer;
 * - pyprof/target.h: what to look at;
 * - pyprof/sampler.h: look at it from outside, on a clock;
 * - pyprof/tracer.h: follow its calls from inside;
 * - pyprof/sample.h: what is seen;
 * - pyprof/collector.h: who takes it, and the formats it can be written in;
 * - pyprof/replay.h: a saved profile back into any collector;
 * - pyprof/writer.h: where the bytes go;
 * - pyprof/version.h: which library this is.
 */
#ifndef PYPROF_PYPROF_H
#define PYPROF_PYPROF_H

#include <pyprof/collector.h>
#include <pyprof/common.h>
#include <pyprof/replay.h>
#include <pyprof/sample.h>
#include <pyprof/sampler.h>
#include <pyprof/status.h>
#include <pyprof/target.h>
#include <pyprof/tracer.h>
#include <pyprof/version.h>
#include <pyprof/writer.h>

#endif /* PYPROF_PYPROF_H */
