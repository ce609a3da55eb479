/* isa.c: which instruction set the kernels may use: what the processor has, capped by the environment variable
 * that caps oneDNN. */
#include <stdlib.h>
#include <strings.h>

#include "kernels/kernel.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Tiles exist, and the system lets this process use their state. */
static bool has_amx(void) {
    enum { ARCH_REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, BF16_BIT = 1 << 22, TILE_BIT = 1 << 24 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (!(d & BF16_BIT) || !(d & TILE_BIT)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQUEST_PERMISSION, TILE_DATA) == 0;
}

static sn_isa processor(void) {
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return SN_ISA_BASE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")
        || !__builtin_cpu_supports("avx512dq"))
        return SN_ISA_AVX2;
    if (!__builtin_cpu_supports("avx512bf16")) return SN_ISA_AVX512;
    return has_amx() ? SN_ISA_AMX : SN_ISA_AVX512_BF16;
}
#else
static sn_isa processor(void) { return SN_ISA_BASE; }
#endif

/* oneDNN's names; an unknown one caps nothing, as there. */
static const struct {
    const char *name;
    sn_isa most;
} caps[] = {{"SSE41", SN_ISA_BASE},
            {"AVX", SN_ISA_BASE},
            {"AVX2", SN_ISA_AVX2},
            {"AVX2_VNNI", SN_ISA_AVX2},
            {"AVX2_VNNI_2", SN_ISA_AVX2},
            {"AVX512_MIC", SN_ISA_AVX2},
            {"AVX512_MIC_4OPS", SN_ISA_AVX2},
            {"AVX512_CORE", SN_ISA_AVX512},
            {"AVX512_CORE_VNNI", SN_ISA_AVX512},
            {"AVX512_CORE_BF16", SN_ISA_AVX512_BF16},
            {"AVX512_CORE_FP16", SN_ISA_AVX512_BF16}};

sn_isa sn_isa_detect(void) {
    sn_isa isa = processor();
    const char *cap = getenv("ONEDNN_MAX_CPU_ISA");
    if (!cap) cap = getenv("DNNL_MAX_CPU_ISA");
    for (size_t i = 0; cap && i < sizeof caps / sizeof *caps; i++)
        if (!strcasecmp(cap, caps[i].name) && caps[i].most < isa) isa = caps[i].most;
    return isa;
}

const char *sn_isa_name(sn_isa isa) {
    static const char *const names[] = {"baseline", "avx2", "avx512", "avx512-bf16", "amx"};
    return names[isa];
}

bool sn_isa_bf16(sn_isa isa) { return isa >= SN_ISA_AVX512_BF16; }
