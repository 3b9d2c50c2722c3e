/* machine: see machine.h. */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool have_program(const char *name)
{
	char command[128];
	int n = snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", name);
	return n > 0 && (size_t)n < sizeof command && system(command) == 0;
}

bool check_is_full(void)
{
	const char *check = getenv("CNNC_CHECK");
	return check && !strcmp(check, "full");
}

bool check_is_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
	return true;
#else
	return false;
#endif
}

const char *check_compiler(const char *compiler)
{
	if (!compiler || !check_is_sanitized()) return compiler;
	return strncmp(compiler, "clang", 5) ? "gcc -O0 -w" : "clang -O0 -w";
}

bool target_runs(const char *target)
{
#if defined __x86_64__ && defined __GNUC__
	if (!strcmp(target, "avx512"))
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
	if (!strcmp(target, "avx2"))
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	return !strcmp(target, "x86-64") || !strcmp(target, "generic");
#elif defined __aarch64__
	return !strcmp(target, "neon") || !strcmp(target, "generic");
#else
	return !strcmp(target, "generic");
#endif
}
