/*
 * collector: what stands between those who see samples and a collector's own
 * functions. In go samples, out they go to the slots, with defaults for those
 * that are NULL; what a slot answers becomes a status.
 *
 *   idle --begin--> collecting --end--> ended --write--> written
 *                       |  ^              |                 |
 *                     sample              +------ begin ----+
 *
 * Invariants:
 * 1. A slot is called in the state that its contract names, by one driver at a
 *    time: anything else is PYPROF_ERR_BUSY.
 * 2. From begin on the tables are held, so that text stays for the writing.
 * 3. A status that a slot returns comes back as it is; what is no status
 *    becomes PYPROF_ERR_CALLBACK. There is always a message.
 *
 * It must not know a format.
 */
#include "collector/format.h"

#include <string.h>

typedef enum collector_state {
    STATE_IDLE,
    STATE_COLLECTING,
    STATE_ENDED,
    STATE_WRITTEN,
} collector_state;

struct pyprof_collector {
    pp_allocator allocator;
    pyprof_collector_ops ops;
    void *self;
    bool owns_self;
    collector_state state;
    pyprof_tables *tables; /* NULL before the first begin */
    pyprof_writer *next;   /* of the next run; NULL: it doesn't stream */
    pyprof_writer *writer; /* of this run */
    pyprof_summary summary;
};

/* ---- life -------------------------------------------------------------- */

pyprof_status pp_collector_new(const pyprof_collector_ops *ops, void *self,
                               const pp_allocator *allocator,
                               pyprof_collector **out, pyprof_error *err)
{
    pyprof_collector *c = pp_calloc(allocator, 1, sizeof(*c));
    if (c == NULL) {
        return pp_error_memory(err, "a collector");
    }
    if (allocator != NULL) {
        c->allocator = *allocator;
    } else {
        (void)pp_alloc_init(&c->allocator, NULL, NULL);
    }
    c->ops = *ops;
    c->self = self;
    c->state = STATE_IDLE;
    *out = c;
    return PYPROF_OK;
}

pyprof_status pp_collector_new_own(const pyprof_collector_ops *ops, size_t size,
                                   const pp_allocator *allocator,
                                   void **out_self, pyprof_collector **out,
                                   pyprof_error *err)
{
    pp_allocator *self = pp_calloc(allocator, 1, size);
    if (self == NULL) {
        return pp_error_memory(err, "a collector");
    }
    *self = *allocator;
    pyprof_status status = pp_collector_new(ops, self, allocator, out, err);
    if (status != PYPROF_OK) {
        pp_free(allocator, self);
        return status;
    }
    (*out)->owns_self = true;
    *out_self = self;
    return PYPROF_OK;
}

const char *pp_collector_name(const pyprof_collector *c)
{
    return c->ops.name != NULL ? c->ops.name : "collector";
}

void pp_collector_free(pyprof_collector *c)
{
    if (c == NULL) {
        return;
    }
    if (c->ops.free != NULL) {
        c->ops.free(c->self);
    }
    pp_tables_unref(c->tables);
    const pp_allocator allocator = c->allocator;
    if (c->owns_self) {
        pp_free(&allocator, c->self);
    }
    pp_free(&allocator, c);
}

/* ---- what a slot answers ----------------------------------------------- */

static pyprof_status busy(const pyprof_collector *c, const char *why,
                          pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_BUSY, "the collector \"%s\" %s",
                        pp_collector_name(c), why);
}

/* `given` is what the slot itself said; its status 0: nothing. */
static pyprof_status judge(const pyprof_collector *c, pyprof_status status,
                           const char *slot, pyprof_error *given,
                           pyprof_error *err)
{
    if (PP_LIKELY(status == PYPROF_OK)) {
        return PYPROF_OK;
    }
    if (!pp_status_is_known(status)) {
        return pp_error_set(err, PYPROF_ERR_CALLBACK,
                            "the function \"%s\" of the collector \"%s\" "
                            "failed with %d",
                            slot, pp_collector_name(c), (int)status);
    }
    if (given->status == PYPROF_OK) {
        return pp_error_set(err, status,
                            "the function \"%s\" of the collector \"%s\" "
                            "failed: %s",
                            slot, pp_collector_name(c), pp_status_text(status));
    }
    given->status = status;
    return pp_error_copy(err, given);
}

/* ---- a run ------------------------------------------------------------- */

pyprof_status pp_collector_stream(pyprof_collector *c, pyprof_writer *w,
                                  pyprof_error *err)
{
    if (w != NULL && (c->ops.caps & PYPROF_COLLECTOR_STREAMS) == 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "the collector \"%s\" can't write before its run "
                            "has ended",
                            pp_collector_name(c));
    }
    if (c->state == STATE_COLLECTING) {
        return busy(c, "is in use by a run", err);
    }
    c->next = w;
    return PYPROF_OK;
}

pyprof_status pp_collector_begin(pyprof_collector *c,
                                 const pyprof_session *session,
                                 pyprof_tables *tables, pyprof_error *err)
{
    if (c->state == STATE_COLLECTING) {
        return busy(c, "is in use by another run", err);
    }
    pp_tables_ref(tables);
    pp_tables_unref(c->tables);
    c->tables = tables;
    c->summary = (pyprof_summary){.sz = sizeof(c->summary)};
    c->state = STATE_IDLE;
    c->writer = c->next;
    c->next = NULL;
    if (c->ops.begin != NULL) {
        pyprof_error given = PYPROF_ERROR_INIT;
        pyprof_session own = *session;
        own.writer = c->writer;
        pyprof_status status = c->ops.begin(c->self, &own, &given);
        PP_TRY(judge(c, status, "begin", &given, err));
    }
    c->state = STATE_COLLECTING;
    return PYPROF_OK;
}

pyprof_status pp_collector_sample(pyprof_collector *c,
                                  const pyprof_sample *sample,
                                  pyprof_error *err)
{
    if (PP_UNLIKELY(c->state != STATE_COLLECTING)) {
        return busy(c, "is not in a run", err);
    }
    if (sample->n_stacks == 0) {
        return PYPROF_OK;
    }
    /* not the whole message: this is called for each sample */
    pyprof_error given;
    given.sz = sizeof(given);
    given.status = PYPROF_OK;
    given.os_errno = 0;
    given.address = 0;
    given.message[0] = '\0';
    pyprof_status status = c->ops.sample(c->self, sample, &given);
    return judge(c, status, "sample", &given, err);
}

bool pp_collector_takes_calls(const pyprof_collector *c)
{
    return c->ops.calls != NULL;
}

pyprof_status pp_collector_calls(pyprof_collector *c, const pyprof_calls *calls,
                                 pyprof_error *err)
{
    if (c->state != STATE_COLLECTING) {
        return busy(c, "is not in a run", err);
    }
    pyprof_error given = PYPROF_ERROR_INIT;
    pyprof_status status = c->ops.calls(c->self, calls, &given);
    return judge(c, status, "calls", &given, err);
}

pyprof_status pp_collector_end(pyprof_collector *c,
                               const pyprof_summary *summary, pyprof_error *err)
{
    if (c->state != STATE_COLLECTING) {
        return busy(c, "is not in a run", err);
    }
    c->summary = *summary;
    c->state = STATE_ENDED;
    return PYPROF_OK;
}

pyprof_status pp_collector_write(pyprof_collector *c, pyprof_writer *w,
                                 pyprof_error *err)
{
    if (c->state != STATE_ENDED) {
        return busy(c,
                    c->state == STATE_WRITTEN
                        ? "is written already"
                        : "has nothing to write before its run has ended",
                    err);
    }
    if (c->writer != NULL && c->writer != w) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "the collector \"%s\" has streamed to another "
                            "writer: give it that one",
                            pp_collector_name(c));
    }
    c->state = STATE_WRITTEN;
    if (c->ops.finish == NULL) {
        return PYPROF_OK;
    }
    pyprof_error given = PYPROF_ERROR_INIT;
    pyprof_status status = c->ops.finish(c->self, &c->summary, w, &given);
    return judge(c, status, "finish", &given, err);
}
