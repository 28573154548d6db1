/* What the decode kernels need of the GPU beyond plain C++: wide loads, tensor cores, conversions, and the order of
   kernels that overlap. No header is included, so that NVRTC needs none. For compute capability 8.0 and later. */

typedef unsigned short Half;

struct Words {
    unsigned int x, y, z, w;
};

struct __align__(8) Pair {
    unsigned int first, second;
};

struct __align__(16) Quad {
    float x, y, z, w;
};

/* Eight halves of what no kernel of the step writes: read once, past the first level of cache. */
__device__ __forceinline__ Words load_constant(const Half *from)
{
    Words words;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "l"(from));
    return words;
}

/* Eight halves that an earlier kernel wrote. */
__device__ __forceinline__ Words load_fresh(const Half *from)
{
    Words words;
    asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
                 : "l"(from)
                 : "memory");
    return words;
}

/* Four halves. */
__device__ __forceinline__ Pair load_fresh(const Pair *from)
{
    Pair pair;
    asm volatile("ld.global.cg.v2.u32 {%0, %1}, [%2];" : "=r"(pair.first), "=r"(pair.second) : "l"(from) : "memory");
    return pair;
}

__device__ __forceinline__ Quad load_fresh(const Quad *from)
{
    Quad quad;
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(quad.x), "=f"(quad.y), "=f"(quad.z), "=f"(quad.w)
                 : "l"(from)
                 : "memory");
    return quad;
}

__device__ __forceinline__ float load_fresh(const float *from)
{
    float value;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(value) : "l"(from) : "memory");
    return value;
}

__device__ __forceinline__ int load_fresh(const int *from)
{
    int value;
    asm volatile("ld.global.cg.s32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
    return value;
}

__device__ __forceinline__ Half load_fresh_half(const Half *from)
{
    Half value;
    asm volatile("ld.global.cg.u16 %0, [%1];" : "=h"(value) : "l"(from) : "memory");
    return value;
}

__device__ __forceinline__ float to_float(Half value)
{
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value));
    return result;
}

__device__ __forceinline__ Half to_half(float value)
{
    Half result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}

/* sums[16, 8] += a[16, 16] * b[16, 8], spread over a warp as PTX has it for mma.m16n8k16. */
__device__ __forceinline__ void multiply_add(float (&sums)[4], unsigned int a0, unsigned int a1, unsigned int a2,
                                             unsigned int a3, unsigned int b0, unsigned int b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/* Wait until the kernel before this one is complete. Where kernels do not overlap it is. */
__device__ __forceinline__ void wait_for_predecessor()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* From here on the next kernel may start, and do what it can before it waits for this one. */
__device__ __forceinline__ void let_successor_start()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}
