/* A message there and back between two threads, with nothing around it: what the transports of hftlab are held against.
 *
 *     pingpong udp-spin|tcp-spin|xdp-skb|xdp-drv SIZE MESSAGES WARM CORE CORE PRIORITY
 *
 * CORE -1: not pinned; PRIORITY 0: default scheduling. Writes MESSAGES round trips, then MESSAGES ways there, each a uint64 of ticks
 * of the time-stamp counter. xdp: a veth pair in a namespace of its own; needs root and `ip`. It ends after ten seconds at most.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define CHUNK 2048u
#define SLOTS 64u
#define HEADER 42u
#define BURST_TICKS (UINT64_C(1) << 30) /* about 0.4 s */
#define STOP UINT64_MAX
#define PAUSE (UINT64_MAX - 1)

static void fail(const char *what) {
    fprintf(stderr, "%s: %s (errno %d)\n", what, strerror(errno), errno);
    exit(1);
}

static inline uint64_t ticks(void) {
    unsigned core;
    uint64_t now = __rdtscp(&core);
    _mm_lfence();
    return now;
}

/* One end: `receive` gives the length of the next message, or 0 at once; the message is then at `message`. */
struct end {
    int socket;
    uint8_t buffer[4096];
    uint8_t *message;
    size_t (*receive)(struct end *);
    void (*send)(struct end *, const uint8_t *, size_t);
    /* xdp */
    uint8_t *memory, header[HEADER];
    struct ring {
        uint32_t *producer, *consumer, next;
        void *places;
    } rx, fill, tx, done;
    uint64_t held, free[SLOTS];
    unsigned frees;
    int link, holds;
    /* tcp */
    size_t there;
};

/* ---- udp ---- */

static size_t udp_receive(struct end *end) {
    ssize_t length = recv(end->socket, end->buffer, sizeof end->buffer, MSG_DONTWAIT);
    if (length < 0 && errno != EAGAIN) fail("recv");
    end->message = end->buffer;
    return length < 0 ? 0 : (size_t)length;
}

static void udp_send(struct end *end, const uint8_t *message, size_t length) {
    if (send(end->socket, message, length, MSG_DONTWAIT) != (ssize_t)length) fail("send");
}

static void udp(struct end ends[2]) {
    struct sockaddr_in at[2];
    socklen_t size = sizeof at[0];
    for (int n = 0; n < 2; n++) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        ends[n].socket = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(ends[n].socket, (struct sockaddr *)&any, sizeof any)) fail("bind");
        if (getsockname(ends[n].socket, (struct sockaddr *)&at[n], &size)) fail("getsockname");
        ends[n].receive = udp_receive;
        ends[n].send = udp_send;
    }
    for (int n = 0; n < 2; n++)
        if (connect(ends[n].socket, (struct sockaddr *)&at[1 - n], sizeof at[0])) fail("connect");
}

/* ---- tcp: a length of two bytes, then the message ---- */

static size_t tcp_receive(struct end *end) {
    ssize_t length = recv(end->socket, end->buffer + end->there, sizeof end->buffer - end->there, MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN) return 0;
    if (length <= 0) fail("recv");
    end->there += (size_t)length;
    size_t whole = 2 + (size_t)(end->buffer[0] << 8 | end->buffer[1]);
    if (end->there < 2 || end->there < whole) return 0;
    end->there = 0; /* there is never more than one on its way */
    end->message = end->buffer + 2;
    return whole - 2;
}

static void tcp_send(struct end *end, const uint8_t *message, size_t length) {
    uint8_t frame[4096] = {(uint8_t)(length >> 8), (uint8_t)length};
    memcpy(frame + 2, message, length);
    if (send(end->socket, frame, length + 2, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length + 2) fail("send");
}

static void tcp(struct end ends[2]) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 1)) fail("listen");
    if (getsockname(listener, (struct sockaddr *)&at, &size)) fail("getsockname");
    ends[1].socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ends[1].socket, (struct sockaddr *)&at, size)) fail("connect");
    ends[0].socket = accept(listener, NULL, NULL);
    if (ends[0].socket < 0) fail("accept");
    for (int n = 0; n < 2; n++) {
        setsockopt(ends[n].socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        ends[n].receive = tcp_receive;
        ends[n].send = tcp_send;
    }
    close(listener);
}

/* ---- xdp: frames of Ethernet, IPv4 and UDP, in copy mode ---- */

static size_t xdp_receive(struct end *end) {
    if (end->holds) {
        ((uint64_t *)end->fill.places)[end->fill.next & (SLOTS - 1)] = end->held & ~(uint64_t)(CHUNK - 1);
        __atomic_store_n(end->fill.producer, ++end->fill.next, __ATOMIC_RELEASE);
        end->holds = 0;
    }
    if (__atomic_load_n(end->rx.producer, __ATOMIC_ACQUIRE) == end->rx.next) return 0;
    struct xdp_desc found = ((struct xdp_desc *)end->rx.places)[end->rx.next & (SLOTS - 1)];
    __atomic_store_n(end->rx.consumer, ++end->rx.next, __ATOMIC_RELEASE);
    end->held = found.addr;
    end->holds = 1;
    end->message = end->memory + found.addr + HEADER;
    uint16_t length; /* of UDP */
    memcpy(&length, end->memory + found.addr + 38, 2);
    return ntohs(length) - 8u;
}

static void xdp_send(struct end *end, const uint8_t *message, size_t length) {
    while (__atomic_load_n(end->done.producer, __ATOMIC_ACQUIRE) != end->done.next) {
        end->free[end->frees++] = ((uint64_t *)end->done.places)[end->done.next & (SLOTS - 1)];
        __atomic_store_n(end->done.consumer, ++end->done.next, __ATOMIC_RELEASE);
    }
    uint64_t frame = end->free[--end->frees];
    uint8_t *at = end->memory + frame;
    uint16_t ip = htons((uint16_t)(28 + length)), plain = htons((uint16_t)(8 + length));
    memcpy(at, end->header, HEADER);
    memcpy(at + 16, &ip, 2);
    memcpy(at + 38, &plain, 2);
    uint32_t sum = 0;
    for (int n = 14; n < 34; n += 2) sum += (uint32_t)(at[n] << 8 | at[n + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    uint16_t checksum = htons((uint16_t)~(sum + (sum >> 16)));
    memcpy(at + 24, &checksum, 2);
    memcpy(at + HEADER, message, length);
    ((struct xdp_desc *)end->tx.places)[end->tx.next & (SLOTS - 1)] = (struct xdp_desc){frame, (uint32_t)(HEADER + length), 0};
    __atomic_store_n(end->tx.producer, ++end->tx.next, __ATOMIC_RELEASE);
    if (sendto(end->socket, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY) fail("sendto");
}

static struct ring ring(int socket, uint64_t page, const struct xdp_ring_offset *at, size_t place) {
    uint8_t *start = mmap(NULL, at->desc + SLOTS * place, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, (off_t)page);
    if (start == MAP_FAILED) fail("mmap(ring)");
    return (struct ring){(uint32_t *)(start + at->producer), (uint32_t *)(start + at->consumer), 0, start + at->desc};
}

static int bpf(int command, union bpf_attr *attributes, const char *what) {
    int made = (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
    if (made < 0) fail(what);
    return made;
}

/* Everything that comes goes to the socket: nobody else is on the wire. */
static int program(int socket, unsigned index, int generic) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
    int xsks = bpf(BPF_MAP_CREATE, &map, "bpf(MAP_CREATE)");
    uint32_t key = 0;
    union bpf_attr entry = {.map_fd = (uint32_t)xsks, .key = (uintptr_t)&key, .value = (uintptr_t)&socket};
    bpf(BPF_MAP_UPDATE_ELEM, &entry, "bpf(MAP_UPDATE_ELEM)");
    struct bpf_insn code[] = {
        {BPF_LDX | BPF_W | BPF_MEM, 2, 1, 16, 0}, /* queue */
        {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, xsks},
        {0, 0, 0, 0, 0},
        {BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_PASS},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    };
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_XDP,
                           .insn_cnt = sizeof code / sizeof *code,
                           .insns = (uintptr_t)code,
                           .license = (uintptr_t)"MIT"};
    int loaded = bpf(BPF_PROG_LOAD, &load, "bpf(PROG_LOAD)");
    union bpf_attr link = {.link_create = {.prog_fd = (uint32_t)loaded,
                                           .target_ifindex = index,
                                           .attach_type = BPF_XDP,
                                           .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE}};
    return bpf(BPF_LINK_CREATE, &link, "bpf(LINK_CREATE)");
}

static void xdp_end(struct end *end, const char *interface, int n, int generic) {
    unsigned index = if_nametoindex(interface), slots = SLOTS;
    end->socket = socket(AF_XDP, SOCK_RAW, 0);
    if (!index || end->socket < 0) fail("socket(AF_XDP)");
    size_t bytes = 2 * SLOTS * CHUNK;
    end->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct xdp_umem_reg shared = {.addr = (uintptr_t)end->memory, .len = bytes, .chunk_size = CHUNK};
    if (setsockopt(end->socket, SOL_XDP, XDP_UMEM_REG, &shared, sizeof shared)) fail("XDP_UMEM_REG");
    int options[] = {XDP_RX_RING, XDP_TX_RING, XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING};
    for (int o = 0; o < 4; o++)
        if (setsockopt(end->socket, SOL_XDP, options[o], &slots, sizeof slots)) fail("setsockopt(ring)");
    struct xdp_mmap_offsets at;
    socklen_t size = sizeof at;
    if (getsockopt(end->socket, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size)) fail("XDP_MMAP_OFFSETS");
    end->rx = ring(end->socket, XDP_PGOFF_RX_RING, &at.rx, sizeof(struct xdp_desc));
    end->tx = ring(end->socket, XDP_PGOFF_TX_RING, &at.tx, sizeof(struct xdp_desc));
    end->fill = ring(end->socket, XDP_UMEM_PGOFF_FILL_RING, &at.fr, 8);
    end->done = ring(end->socket, XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, 8);
    struct sockaddr_xdp place = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = index};
    if (bind(end->socket, (struct sockaddr *)&place, sizeof place)) fail("bind(AF_XDP)");
    end->link = program(end->socket, index, generic);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        ((uint64_t *)end->fill.places)[slot] = slot * CHUNK;
        end->free[slot] = (SLOTS + slot) * CHUNK;
    }
    end->frees = SLOTS;
    __atomic_store_n(end->fill.producer, end->fill.next = SLOTS, __ATOMIC_RELEASE);
    uint8_t header[HEADER] = {2, 'c', 0, 0, 0, (uint8_t)(2 - n), 2, 'c', 0, 0, 0, (uint8_t)(1 + n), 8, 0, 0x45};
    header[20] = 0x40, header[22] = 1, header[23] = 17, header[34] = header[36] = 0x67;
    memcpy(end->header, header, HEADER);
    end->receive = xdp_receive;
    end->send = xdp_send;
}

static void xdp(struct end ends[2], int generic) {
    if (unshare(CLONE_NEWNET)) fail("unshare(CLONE_NEWNET)");
    if (system("ip link add bare0 type veth peer name bare1 && ip link set bare0 addrgenmode none up && "
               "ip link set bare1 addrgenmode none up"))
        fail("ip link");
    xdp_end(&ends[0], "bare0", 0, generic);
    xdp_end(&ends[1], "bare1", 1, generic);
}

/* ---- both ---- */

static struct end ends[2];
static size_t size;
static uint64_t messages, warm, *trips, *ways;
static int cores[2], priority;

static void place(int n) {
    if (cores[n] >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)cores[n], &set);
        if (sched_setaffinity(0, sizeof set, &set)) fprintf(stderr, "core %d: %s\n", cores[n], strerror(errno));
    }
    struct sched_param how = {.sched_priority = priority};
    if (priority && sched_setscheduler(0, SCHED_FIFO, &how) && !n) fprintf(stderr, "SCHED_FIFO: %s\n", strerror(errno));
}

static void rest(void) {
    nanosleep(&(struct timespec){0, 60000000}, NULL);
}

static void *echo(void *unused) {
    (void)unused;
    uint8_t reply[4096];
    place(1);
    for (;;) {
        size_t length;
        while (!(length = ends[1].receive(&ends[1]))) {}
        uint64_t number, stamp = ticks();
        memcpy(reply, ends[1].message, length);
        memcpy(&number, reply, 8);
        if (number == STOP) return NULL;
        if (number == PAUSE) {
            rest();
            continue;
        }
        memcpy(reply + 8, &stamp, 8);
        ends[1].send(&ends[1], reply, length);
    }
}

static void *ping(void *unused) {
    (void)unused;
    uint8_t message[4096] = {0};
    place(0);
    uint64_t burst = ticks();
    for (uint64_t n = 0; n < warm + messages; n++) {
        memcpy(message, &n, 8);
        uint64_t sent = ticks(), number, stamp;
        ends[0].send(&ends[0], message, size);
        while (!ends[0].receive(&ends[0])) {}
        uint64_t back = ticks();
        memcpy(&number, ends[0].message, 8);
        memcpy(&stamp, ends[0].message + 8, 8);
        if (number != n) fprintf(stderr, "another message came\n"), exit(1);
        if (n >= warm) {
            trips[n - warm] = back - sent;
            ways[n - warm] = stamp > sent ? stamp - sent : 0;
        }
        if (priority && n % 64 == 0 && back - burst > BURST_TICKS) {
            number = PAUSE;
            memcpy(message, &number, 8);
            ends[0].send(&ends[0], message, size);
            rest();
            burst = ticks();
        }
    }
    uint64_t stop = STOP;
    memcpy(message, &stop, 8);
    ends[0].send(&ends[0], message, size);
    return NULL;
}

int main(int count, char **words) {
    if (count != 8) fprintf(stderr, "see the head of pingpong.c\n"), exit(2);
    size = strtoul(words[2], NULL, 10), messages = strtoull(words[3], NULL, 10), warm = strtoull(words[4], NULL, 10);
    cores[0] = atoi(words[5]), cores[1] = atoi(words[6]), priority = atoi(words[7]);
    if (size < 16 || size > 1472 || !messages || messages > 10000000) fprintf(stderr, "out of range\n"), exit(2);
    trips = calloc(2 * messages, 8);
    if (!trips) fail("calloc");
    memset(trips, 1, 2 * messages * 8); /* pages are there before the clock is read */
    ways = trips + messages;
    alarm(10);
    if (!strcmp(words[1], "udp-spin")) udp(ends);
    else if (!strcmp(words[1], "tcp-spin")) tcp(ends);
    else if (!strcmp(words[1], "xdp-skb")) xdp(ends, 1);
    else if (!strcmp(words[1], "xdp-drv")) xdp(ends, 0);
    else fprintf(stderr, "unknown transport\n"), exit(2);
    pthread_t other, one;
    if (pthread_create(&other, NULL, echo, NULL) || pthread_create(&one, NULL, ping, NULL)) fail("pthread_create");
    pthread_join(one, NULL);
    pthread_join(other, NULL);
    return fwrite(trips, 8, 2 * messages, stdout) == 2 * messages ? 0 : 1;
}
