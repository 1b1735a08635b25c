/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the kernel's verifier says of each program of an object, one line each:
 * name, accepted or refused, instructions processed, reason. Exit status 2: it cannot be asked; 3: the
 * object cannot be read.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char log_text[16 << 20];

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return getenv("ORACLE_LOG") ? vfprintf(stderr, format, args) : 0;
}

/* The line before the last one, which tells of the work; without what would split the table. */
static void reason(char *out, size_t size)
{
	char *line, *last = "", *save = NULL;

	for (line = strtok_r(log_text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "processed ", 10) && strncmp(line, "verification time", 17) &&
		    strncmp(line, "stack depth", 11) && strncmp(line, "max_states", 10))
			last = line;
	snprintf(out, size, "%s", last);
}

static int judge(const char *path, const char *name)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	char why[200] = "";
	unsigned long processed = 0;
	char *at;
	int error;

	if (!object)
		return 3;
	bpf_object__for_each_program(program, object) {
		int wanted = !strcmp(bpf_program__name(program), name);

		bpf_program__set_autoload(program, wanted);
		if (!wanted)
			continue;
		log_text[0] = 0;
		bpf_program__set_log_buf(program, log_text, sizeof(log_text));
		/* 4: how much work it was. The last lines of 1 are the reason. */
		bpf_program__set_log_level(program, getenv("ORACLE_REASON") ? 5 : 4);
	}
	error = bpf_object__load(object);
	at = strstr(log_text, "processed ");
	while (at && strstr(at + 1, "\nprocessed "))
		at = strstr(at + 1, "\nprocessed ") + 1;
	if (at)
		processed = strtoul(at + 10, NULL, 10);
	if (error) {
		reason(why, sizeof(why));
		if (!processed)
			snprintf(why, sizeof(why), "not loaded: %s", strerror(-error));
	}
	printf("%s\t%s\t%lu\t%s\n", name, error ? "refused" : "accepted", processed, why);
	bpf_object__close(object);
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;
	/* r0 = 0; exit */
	struct bpf_insn nothing[] = { { .code = 0xb7 }, { .code = 0x95 } };
	int status = 0;

	libbpf_set_print(quiet);
	if (bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "GPL", nothing, 2, NULL) < 0)
		return 2;
	if (argc != 2 || !(object = bpf_object__open_file(argv[1], NULL)))
		return 3;
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__autoload(program))
			continue;
		status |= judge(argv[1], bpf_program__name(program));
	}
	bpf_object__close(object);
	return status;
}
