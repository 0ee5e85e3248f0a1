/*
 * feed: a part of a file as bytes in order, decompressed where it has to be. In
 * go a file and a range; out come bytes, a buffer at a time, so that memory
 * does not depend on the file.
 *
 * Whatever follows the end of the bytes, or can't be decompressed, is "no more
 * bytes": the reader above says what it lacks, and where.
 */
#include "replay/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define BUFFER ((size_t)65536)
/* A frame that wants a larger window is refused: 2^27 is zstd's own limit. */
#define WINDOW_LOG 27

/* ---- the file ---------------------------------------------------------- */

int pp_input_open(pp_input *in, const char *path)
{
    struct stat st;
    *in = (pp_input){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (in->fd < 0) {
        return errno;
    }
    int error = fstat(in->fd, &st) != 0 ? errno : 0;
    if (error == 0 && !S_ISREG(st.st_mode)) {
        error = S_ISDIR(st.st_mode) ? EISDIR : ESPIPE;
    }
    if (error != 0) {
        pp_input_close(in);
        return error;
    }
    in->size = (uint64_t)st.st_size;
    return 0;
}

void pp_input_close(pp_input *in)
{
    if (in->fd >= 0) {
        close(in->fd);
    }
    in->fd = -1;
}

int64_t pp_input_read(pp_input *in, uint64_t at, void *to, size_t size)
{
    if (at >= in->size) {
        return 0;
    }
    if (size > in->size - at) {
        size = (size_t)(in->size - at);
    }
    size_t done = 0;
    if (in->fd < 0) {
        memcpy(to, in->data + at, size);
        done = size;
    }
    while (done < size) {
        ssize_t n =
            pread(in->fd, (char *)to + done, size - done, (off_t)(at + done));
        if (n == 0) {
            break; /* it has become shorter */
        }
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    in->n_read += done;
    return (int64_t)done;
}

/* ---- life -------------------------------------------------------------- */

pyprof_status pp_feed_open(pp_feed *feed, const pp_allocator *a,
                           pp_input *input, uint64_t at, uint64_t end,
                           bool is_packed, pyprof_error *err)
{
    *feed = (pp_feed){.allocator = a, .input = input, .at = at, .end = end};
    feed->out = pp_alloc(a, BUFFER);
    if (is_packed) {
        feed->in = pp_alloc(a, BUFFER);
        feed->packed = ZSTD_createDCtx();
    }
    if (feed->out == NULL ||
        (is_packed && (feed->in == NULL || feed->packed == NULL))) {
        return pp_error_memory(err, "reading a profile");
    }
    if (is_packed) {
        (void)ZSTD_DCtx_setParameter(feed->packed, ZSTD_d_windowLogMax,
                                     WINDOW_LOG);
    }
    return PYPROF_OK;
}

void pp_feed_close(pp_feed *feed)
{
    ZSTD_freeDCtx(feed->packed);
    pp_free(feed->allocator, feed->in);
    pp_free(feed->allocator, feed->out);
    *feed = (pp_feed){.allocator = feed->allocator};
}

/* ---- more bytes -------------------------------------------------------- */

/* Reads into `to`; 0 at the end or when reading fails. */
static size_t read_more(pp_feed *feed, uint8_t *to, size_t room)
{
    uint64_t left = feed->end - feed->at;
    if (room > left) {
        room = (size_t)left;
    }
    int64_t n = pp_input_read(feed->input, feed->at, to, room);
    if (n < 0) {
        feed->os_errno = errno;
        return 0;
    }
    feed->at += (uint64_t)n;
    return (size_t)n;
}

/* Decompresses into the room behind out_size; false when there is no more. */
static bool unpack_more(pp_feed *feed)
{
    size_t before = feed->out_size;
    while (feed->out_size == before && feed->refused == NULL) {
        if (feed->in_at == feed->in_size) {
            feed->in_at = 0;
            feed->in_size = read_more(feed, feed->in, BUFFER);
        }
        ZSTD_inBuffer in = {
            .src = feed->in, .size = feed->in_size, .pos = feed->in_at};
        ZSTD_outBuffer out = {
            .dst = feed->out, .size = BUFFER, .pos = feed->out_size};
        size_t left = ZSTD_decompressStream(feed->packed, &out, &in);
        if (ZSTD_isError(left)) {
            feed->refused = ZSTD_getErrorName(left);
            break;
        }
        bool is_stuck = in.pos == feed->in_at && out.pos == feed->out_size;
        if (is_stuck && feed->in_size == 0) {
            break;
        }
        feed->in_frame = left != 0;
        feed->in_at = in.pos;
        feed->out_size = out.pos;
    }
    return feed->out_size > before;
}

bool pp_feed_need(pp_feed *feed, size_t size)
{
    while (feed->out_size - feed->out_at < size) {
        memmove(feed->out, feed->out + feed->out_at,
                feed->out_size - feed->out_at);
        feed->out_size -= feed->out_at;
        feed->out_at = 0;
        size_t n = 0;
        if (feed->packed == NULL) {
            n = read_more(feed, feed->out + feed->out_size,
                          BUFFER - feed->out_size);
            feed->out_size += n;
        }
        if (feed->packed == NULL ? n == 0 : !unpack_more(feed)) {
            return false;
        }
    }
    return true;
}

/* ---- taking ------------------------------------------------------------ */

bool pp_feed_varint(pp_feed *feed, uint64_t *out)
{
    (void)pp_feed_need(feed, PP_VARINT_MAX);
    const uint8_t *at = feed->out + feed->out_at;
    if (!pp_varint_get(&at, feed->out + feed->out_size, out)) {
        return false;
    }
    feed->out_at = (size_t)(at - feed->out);
    return true;
}

bool pp_feed_fixed(pp_feed *feed, unsigned size, bool is_swapped, uint64_t *out)
{
    if (!pp_feed_need(feed, size)) {
        return false;
    }
    const uint8_t *at = feed->out + feed->out_at;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)at[is_swapped ? size - 1 - i : i] << 8 * i;
    }
    feed->out_at += size;
    *out = value;
    return true;
}

bool pp_feed_take(pp_feed *feed, void *to, size_t size)
{
    uint8_t *at = to;
    while (size > 0) {
        if (!pp_feed_need(feed, 1)) {
            return false;
        }
        size_t n = feed->out_size - feed->out_at;
        n = n < size ? n : size;
        memcpy(at, feed->out + feed->out_at, n);
        feed->out_at += n;
        at += n;
        size -= n;
    }
    return true;
}

bool pp_feed_is_over(pp_feed *feed)
{
    return !pp_feed_need(feed, 1) && feed->refused == NULL &&
           feed->os_errno == 0 && !feed->in_frame;
}

uint64_t pp_feed_where(const pp_feed *feed)
{
    if (feed->packed != NULL) {
        return feed->at - (feed->in_size - feed->in_at);
    }
    return feed->at - (feed->out_size - feed->out_at);
}
