/* SPDX-License-Identifier: MIT */
/*
 * datagram_batch.c - many datagrams a system call, and rows of them that the kernel cuts or joins.
 *
 * A row (segment_bytes) goes to the kernel with UDP_SEGMENT. Where the kernel, the route or the
 * device refuses that, its datagrams are sent one by one, as a batch of their own; sent_bytes says
 * how far that got, so that a row can be gone on with after a wait.
 */
#include "io/datagram.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "base/sys_datagram.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Room for the one control message of each direction, aligned as the kernel wants it. */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr header;
};

/* What the kernel is given for a batch; only the first `count` of each are touched. */
struct batch {
    struct mmsghdr headers[BIDE_MESSAGES_MOST];
    struct iovec pieces[BIDE_MESSAGES_MOST];
    union control controls[BIDE_MESSAGES_MOST];
};

static int at_most(int count)
{
    return count < BIDE_MESSAGES_MOST ? count : BIDE_MESSAGES_MOST;
}

/* Receiving. */

static void prepare_recv(struct batch *batch, int i, bide_message *message, bool is_gro)
{
    batch->pieces[i] = (struct iovec){.iov_base = message->buf, .iov_len = message->size};
    batch->headers[i].msg_hdr = (struct msghdr){
        .msg_name = &message->address.bide__any,
        .msg_namelen = sizeof message->address.bide__un,
        .msg_iov = &batch->pieces[i],
        .msg_iovlen = 1,
        .msg_control = is_gro ? &batch->controls[i] : NULL,
        .msg_controllen = is_gro ? sizeof batch->controls[i] : 0,
    };
}

/* The length of the datagrams that were joined; 0 when none were. */
static size_t joined_bytes(struct msghdr *header, size_t bytes)
{
    int length = 0;

    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
         control = CMSG_NXTHDR(header, control))
        if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO)
            memcpy(&length, CMSG_DATA(control), sizeof length);
    return length > 0 && (size_t)length < bytes ? (size_t)length : 0;
}

static void finish_recv(struct mmsghdr *header, bide_message *message)
{
    message->bytes = header->msg_len;
    message->is_truncated = (header->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    message->segment_bytes = joined_bytes(&header->msg_hdr, message->bytes);
    bide__datagram_address_came(&message->address, header->msg_hdr.msg_namelen);
}

static int recv_batch(bide_datagram *datagram, bide_message *messages, int count)
{
    struct batch batch;
    int got;

    for (int i = 0; i < count; i++)
        prepare_recv(&batch, i, &messages[i], datagram->is_gro);
    got = bide__sys_recv_many(datagram->number, batch.headers, count);
    for (int i = 0; i < got; i++)
        finish_recv(&batch.headers[i], &messages[i]);
    return got;
}

int bide_datagram_recv_many(bide_datagram *datagram, bide_message *messages, int count)
{
    struct bide__fd *fd = datagram->fd;
    int got = bide__datagram_enter_recv(datagram, "bide_datagram_recv_many");

    if (got < 0)
        return got;
    got = count < 0 ? -EINVAL : count == 0 ? 0 : -EAGAIN;
    count = at_most(count);
    while (got == -EAGAIN) {
        uint32_t seen = fd->ready[BIDE__IN];
        if (seen != 0)
            got = recv_batch(datagram, messages, count);
        /*
         * Fewer than asked for: the queue was empty, or an error has come, of which an event will
         * tell; once one has told, nothing is concluded any more (reads_on).
         */
        if (got > 0 && got < count && !fd->reads_on && fd->ready[BIDE__IN] == seen)
            fd->ready[BIDE__IN] = 0;
        if (got == -EAGAIN) {
            int err =
                bide__fd_wait(datagram->epoll, fd, BIDE__IN, seen, "receive datagrams", datagram);
            got = err < 0 ? err : bide__datagram_is_open(datagram) ? -EAGAIN : -EBADF;
        } else if (got == -EINTR) {
            got = -EAGAIN;
        }
    }
    return (int)bide__datagram_exit_recv(datagram, got);
}

/* Sending. */

static bool is_row(const bide_message *message)
{
    return message->segment_bytes > 0 && message->segment_bytes < message->bytes;
}

/*
 * Whether the kernel can cut. One that cannot would ignore the control message and send the row as
 * one datagram, so it is asked before, with an option that changes nothing.
 */
static bool kernel_cuts(bide_datagram *datagram)
{
    if (datagram->segmenting == BIDE__SEGMENTING_UNKNOWN)
        datagram->segmenting =
            bide__sys_setsockopt(datagram->number, IPPROTO_UDP, UDP_SEGMENT, 0) == 0
                ? BIDE__SEGMENTING_KERNEL
                : BIDE__SEGMENTING_OURS;
    return datagram->segmenting == BIDE__SEGMENTING_KERNEL;
}

/* Whether the row's datagrams are to be sent one by one; they are when some have been. */
static bool is_ours_to_cut(bide_datagram *datagram, const bide_message *message)
{
    return is_row(message) && (message->sent_bytes > 0 || message->segment_bytes > UINT16_MAX ||
                               !kernel_cuts(datagram));
}

static void prepare_send(struct batch *batch, int i, const bide_message *message, size_t from,
                         size_t bytes)
{
    const bool has_address = message->address.bide__bytes > 0;

    batch->pieces[i] = (struct iovec){.iov_base = (char *)message->buf + from, .iov_len = bytes};
    batch->headers[i].msg_hdr = (struct msghdr){
        .msg_name = has_address ? (void *)&message->address.bide__any : NULL,
        .msg_namelen = message->address.bide__bytes,
        .msg_iov = &batch->pieces[i],
        .msg_iovlen = 1,
    };
}

static void ask_to_cut(struct batch *batch, int i, size_t segment_bytes)
{
    const uint16_t length = (uint16_t)segment_bytes;
    struct msghdr *header = &batch->headers[i].msg_hdr;
    struct cmsghdr *control = &batch->controls[i].header;

    memset(&batch->controls[i], 0, sizeof batch->controls[i]);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof length);
    memcpy(CMSG_DATA(control), &length, sizeof length);
    header->msg_control = control;
    header->msg_controllen = CMSG_SPACE(sizeof length);
}

/*
 * Send the next datagrams of a row. Returns 1 when it is complete, 0 after progress, or an error.
 */
static int send_cut(bide_datagram *datagram, bide_message *message)
{
    struct batch batch;
    size_t from = message->sent_bytes;
    int count = 0, sent;

    for (; count < BIDE_MESSAGES_MOST && from < message->bytes; count++) {
        size_t left = message->bytes - from;
        size_t bytes = left < message->segment_bytes ? left : message->segment_bytes;
        prepare_send(&batch, count, message, from, bytes);
        from += bytes;
    }
    sent = bide__sys_send_many(datagram->number, batch.headers, count);
    if (sent < 0)
        return sent;
    for (int i = 0; i < sent; i++)
        message->sent_bytes += batch.pieces[i].iov_len;
    return message->sent_bytes == message->bytes;
}

/* Send messages up to the first that is ours to cut; there are some. Returns their number. */
static int send_batch(bide_datagram *datagram, bide_message *messages, int count)
{
    struct batch batch;
    int asked = 0, sent;

    for (; asked < count && !is_ours_to_cut(datagram, &messages[asked]); asked++) {
        prepare_send(&batch, asked, &messages[asked], 0, messages[asked].bytes);
        if (is_row(&messages[asked]))
            ask_to_cut(&batch, asked, messages[asked].segment_bytes);
    }
    sent = bide__sys_send_many(datagram->number, batch.headers, asked);
    for (int i = 0; i < sent; i++)
        messages[i].sent_bytes = messages[i].bytes;
    return sent;
}

/*
 * What the kernel says when it will not cut this row: a device without checksums, a datagram beyond
 * the MTU, more of them than it takes. An error of another cause comes again when we cut.
 */
static bool is_refusal(int err)
{
    return err == -EIO || err == -EINVAL || err == -EMSGSIZE || err == -ENOPROTOOPT ||
           err == -EOPNOTSUPP;
}

/* Returns the number of messages that are complete now, 0 after progress in a row, or an error. */
static int send_some(bide_datagram *datagram, bide_message *messages, int count)
{
    int sent;

    if (is_ours_to_cut(datagram, messages))
        return send_cut(datagram, messages);
    sent = send_batch(datagram, messages, at_most(count));
    if (is_refusal(sent) && is_row(messages))
        sent = send_cut(datagram, messages);
    return sent;
}

static int send_all(bide_datagram *datagram, bide_message *messages, int count, int *done)
{
    while (*done < count) {
        uint32_t seen = datagram->fd->ready[BIDE__OUT];
        int got = -EAGAIN;

        if (seen != 0 || datagram->family == AF_UNIX)
            got = send_some(datagram, messages + *done, count - *done);
        if (got == -EAGAIN)
            got = bide__datagram_wait_to_send(datagram, seen, &messages[*done].address);
        else if (got >= 0)
            bide__budget_spend(bide__loop_here);
        if (!bide__datagram_is_open(datagram))
            return -EBADF;
        if (got < 0 && got != -EINTR)
            return got;
        *done += got > 0 ? got : 0;
        if (*done < count && bide__loop_here->current->cancel_code != 0)
            return bide__loop_here->current->cancel_code;
    }
    return 0;
}

int bide_datagram_send_many(bide_datagram *datagram, bide_message *messages, int count)
{
    int done = 0, err = bide__datagram_enter(datagram, "bide_datagram_send_many");

    for (int i = 0; i < count; i++)
        messages[i].sent_bytes = 0;
    if (err < 0)
        return err;
    err = count < 0 ? -EINVAL : datagram->refused;
    datagram->refused = 0;
    if (err == 0)
        err = send_all(datagram, messages, count, &done);
    /* The network says it once, so it must not get lost behind what was sent before. */
    if (done > 0 && err == -ECONNREFUSED && datagram->family != AF_UNIX)
        datagram->refused = err;
    return (int)bide__datagram_exit(datagram, done > 0 && err != -EBADF ? done : err);
}
