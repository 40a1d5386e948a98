/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Moving bytes from one end of a connection to the other, one direction at a time. Knows sockets
 * and pipes; what an end of file or an error means for the connection is conn.c's.
 */
#ifndef THRUWAY_FLOW_H
#define THRUWAY_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/pipe.h"

/* What epoll_event.data.ptr points to: the first member of whatever waits for events. */
enum source_kind {
	SOURCE_QUEUE,
	SOURCE_RING,
	SOURCE_LISTENER,
	SOURCE_WARM,
	SOURCE_CLIENT,
	SOURCE_BACKEND
};

struct source {
	int fd;	      /* -1 = none */
	uint8_t kind; /* enum source_kind */
};

/* One end of a connection. */
struct side {
	struct source source;
	uint16_t error;	     /* errno that ended this side; 0 = none */
	bool is_unix : 1;    /* a UNIX socket; else TCP */
	bool is_watched : 1; /* in the epoll set */
	bool wants_out : 1;  /* ... for EPOLLOUT, too */
	bool readable : 1;   /* bytes, end of file or an error may be there to be received */
	bool writable : 1;   /* room may be there */
	bool rdhup : 1;	     /* FIN came, perhaps behind bytes that are not received yet */
	bool urgent : 1;     /* urgent data came: see flow.c */
	bool in_map : 1;     /* in a sockmap: splice(2) from it finds nothing */
	bool lingers : 1;    /* closing it sends RST */
	bool is_quiet : 1;   /* watched for its end and urgent data alone */
	bool eof : 1;	     /* nothing more can be received from it */
	bool shut : 1;	     /* we have sent FIN to it */
};

/* One direction. */
struct flow {
	struct pipe *pipe;
	uint32_t pending; /* bytes in the pipe */
	bool is_bulk;	  /* splice(2) without looking first */
	uint64_t bytes;	  /* handed to the socket of the other end */
};

/* What one worker's flows share. */
struct flow_tools {
	struct pipe_pool pipes;
	uint8_t *buf; /* FLOW_BUF_BYTES */
};

#define FLOW_BUF_BYTES (128 << 10)

/*
 * Move what can be moved from @src to @dst without waiting, up to a bound that is fair to other
 * connections. Returns true if it stopped because of that bound. Updates both sides' flags; an
 * error is left in the side that it came from.
 */
bool flow_pump(struct flow_tools *tools, struct flow *flow, struct side *src, struct side *dst);
/* Throw away what is in the pipe and give it back. */
void flow_drop(struct flow_tools *tools, struct flow *flow);

#endif
